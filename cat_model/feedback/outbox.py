"""The outbox: a folder that keeps feedback on the disk until every store has confirmed it.

    records/ID.json      flags, each on the disk before anybody says thanks
    photos/ID-HASH.jpg   their photos; written before the record, so that a record's photo is always there
    delivered/ID.json    of what lies in the stores now: all that is needed to delete it there
    deleted/ID.json      deletions that the stores have not confirmed yet

Every step is one durable file, so that a power cut between any two leaves something that `recover` finishes.
"""

import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cat_model.atomic import write_durably
from cat_model.feedback.record import Feedback, FeedbackError, Record, Tombstone, pack, read_receipt, same

LOG = logging.getLogger(__name__)
FOLDERS = ("records", "photos", "delivered", "deleted")
UNKNOWN = "There is no feedback with this code (any more)."
NOTES = 10_000
"""At most so many deletions wait that nobody here could check: strangers may send any number of codes."""


@dataclass(frozen=True)
class Bounds:
    """What an outbox holds at most: bytes on the disk, and days that anything is kept."""

    size: int = 500_000_000
    days: int = 365


@dataclass(frozen=True)
class DeliveryItem:
    """A record that is to be delivered, with the bytes of its photo."""

    record: Record
    photo: bytes | None


class Outbox:
    """Keeps feedback in one folder, for one process; safe to share between its threads."""

    def __init__(
        self, folder: str | os.PathLike[str], bounds: Bounds | None = None, delivers: bool = False
    ) -> None:
        """Name the folder; it is made when the first record comes.

        Args:
            folder: where everything is kept.
            bounds: what it holds at most; `Bounds()` unless given.
            delivers: whether there are stores to deliver to, so that deletions must reach them as well.
        """
        self.folder = Path(folder)
        self.bounds = bounds or Bounds()
        self.delivers = delivers
        self._lock = threading.RLock()
        self._used: int | None = None

    def add(self, said: Feedback) -> Record:
        """Store what a person says of a verdict; it is on the disk when this returns.

        Raises:
            FeedbackError: it could not be written (a full or read-only disk, a full outbox, a comment too
                long); nothing half-written is left.
        """
        record, photo = pack(said)
        with self._lock:
            if self._path("deleted", record.id).exists():
                raise FeedbackError("This feedback was deleted. Please show the photo again to give it anew.")
            if self._path("records", record.id).exists() or self._path("delivered", record.id).exists():
                return record
            files = {} if photo is None or record.photo_key is None else {record.photo_key: photo}
            # The photo first: whoever finds a record also finds the photo that it names.
            files |= {record.key: record.to_json()}
            self._make_room(sum(map(len, files.values())))
            try:
                for key, content in files.items():
                    self._write(self.folder / key, content)
            except OSError as error:
                for key in files:  # without its record nobody would know whose consent the photo has
                    with suppress(OSError):
                        self._remove(self.folder / key)
                raise FeedbackError(f"Your answer could not be saved: {error.strerror or error}.") from error
        return record

    def undo(self, code: str) -> bool:
        """Delete a person's feedback, photo included, by its receipt code.

        The deletion is on the disk when this returns; stores follow as soon as they answer.

        Returns:
            True if it was found here; False if only the stores can tell whether the code is right.

        Raises:
            FeedbackError: the code is wrong, or the deletion could not be written down.
        """
        identity, token = read_receipt(code)
        with self._lock:
            tombstone = self._known(identity)
            if tombstone is not None:
                if not same(tombstone.token, token):
                    raise FeedbackError(UNKNOWN)
            elif not self.delivers:
                raise FeedbackError(UNKNOWN)
            elif sum("-" in name for name in self._names("deleted")) >= NOTES:
                raise FeedbackError("Too many deletions are waiting; please try again later.")
            else:
                tombstone = Tombstone(identity, token, None, "", sure=False)
            self._delete(tombstone)
        return tombstone.sure

    def pending(self) -> list[str]:
        """Return the ids of records that are not delivered yet, the oldest first."""
        found = []
        for name in self._names("records"):
            with suppress(FileNotFoundError):
                found.append((self._path("records", name).stat().st_mtime_ns, name))
        return [name for _, name in sorted(found)]

    def read(self, identity: str) -> DeliveryItem | None:
        """Return a record and its photo; None where it has been deleted meanwhile.

        Raises:
            FeedbackError: it cannot be read, or is damaged.
        """
        try:
            record = self._record(identity)
            photo = (self.folder / record.photo_key).read_bytes() if record.photo_key else None
        except FileNotFoundError:
            if self._path("records", identity).exists():
                raise FeedbackError(f"The photo of record {identity} is missing.") from None
            return None
        return DeliveryItem(record, photo)

    def delivered(self, record: Record) -> None:
        """Note that every store has confirmed a record; only what deletes it there is kept here."""
        with self._lock:
            if self._path("records", record.id).exists():  # else it was deleted while it was being sent
                self._write(self._path("delivered", record.id), Tombstone.of(record).to_json())
                self._forget(Tombstone.of(record))

    def deletions(self) -> list[Tombstone]:
        """Return the deletions that the stores have not confirmed yet."""
        tombstones = (self._read_stub("deleted", name) for name in self._names("deleted"))
        return [tombstone for tombstone in tombstones if tombstone]

    def deletion_done(self, tombstone: Tombstone) -> None:
        """Note that every store has confirmed a deletion, or that there was nothing to delete."""
        with self._lock:
            self._remove(self._path("deleted", tombstone.name))

    def confirm(self, tombstone: Tombstone, found: Tombstone) -> None:
        """Note that a store holds a record under a code that could not be checked here.

        Once its deletion has begun, the store could not be asked for the code again.
        """
        with self._lock:
            self._write(self._path("deleted", found.name), found.to_json())
            self._remove(self._path("deleted", tombstone.name))

    def expire(self) -> None:
        """Delete what is older than `bounds.days`, here and in the stores: so it was promised."""
        oldest = datetime.now(UTC) - timedelta(days=self.bounds.days)
        for folder in ("records", "delivered"):
            for name in self._names(folder):
                with self._lock:
                    tombstone = self._known(name)
                    if tombstone and tombstone.hour and datetime.fromisoformat(tombstone.hour) < oldest:
                        self._delete(tombstone)

    def recover(self) -> None:
        """Finish what a crash may have left half done; call it before anything else is stored."""
        try:
            self._recover()
        except OSError as error:
            LOG.error("The outbox %s cannot be put in order: %s", self.folder, error)

    def _recover(self) -> None:
        with self._lock:
            for tombstone in self.deletions():
                if tombstone.sure:
                    self._remove(self._path("delivered", tombstone.id))
                    self._forget(tombstone)
            for name in self._names("delivered"):
                self._remove(self._path("records", name))
            known = set(self._names("records"))
            for path in self._files():
                orphan = path.parent.name == "photos" and path.name.partition("-")[0] not in known
                if orphan or path.name.startswith("."):  # nobody was thanked for it
                    self._remove(path)

    @property
    def backlog(self) -> int:
        """How many records and deletions wait for the stores."""
        return len(self._names("records")) + len(self._names("deleted"))

    def _record(self, identity: str) -> Record:
        record = Record.from_json(self._path("records", identity).read_bytes())
        if record.id != identity:
            raise FeedbackError(f"Record {identity} is damaged: its content is not what its name says.")
        return record

    def _known(self, identity: str) -> Tombstone | None:
        """Return what is known here of a record that is kept, delivered, or about to be deleted."""
        with suppress(FeedbackError, FileNotFoundError, NotADirectoryError):
            return Tombstone.of(self._record(identity))
        return self._read_stub("deleted", identity) or self._read_stub("delivered", identity)

    def _delete(self, tombstone: Tombstone) -> None:
        try:
            self._write(self._path("deleted", tombstone.name), tombstone.to_json())
        except OSError as error:
            raise FeedbackError(f"The deletion could not be saved: {error.strerror or error}.") from error
        if tombstone.sure:
            self._forget(tombstone)
            delivered = self._path("delivered", tombstone.id)
            if not self.delivers and not delivered.exists():
                self._remove(self._path("deleted", tombstone.name))  # no store ever had it
            self._remove(delivered)

    def _forget(self, tombstone: Tombstone) -> None:
        """Remove a record and its photo from the disk."""
        for key in tombstone.keys:
            self._remove(self.folder / key)

    def _make_room(self, size: int) -> None:
        if self._used is None:
            self._used = sum(_size(path) for path in self._files())
        if self._used + size > self.bounds.size:
            raise FeedbackError(
                f"Your answer could not be saved: there is room for {self.bounds.size / 1e6:g} MB of "
                "feedback, and it is full. Please try again another day."
            )

    def _write(self, path: Path, content: bytes) -> None:
        before = _size(path)
        write_durably(path, content)
        if self._used is not None:
            self._used += len(content) - before

    def _remove(self, path: Path) -> None:
        size = _size(path)
        path.unlink(missing_ok=True)
        if self._used is not None:
            self._used -= size

    def _path(self, folder: str, identity: str) -> Path:
        return self.folder / folder / f"{identity}.json"

    def _names(self, folder: str) -> list[str]:
        with suppress(FileNotFoundError, NotADirectoryError):
            names = os.listdir(self.folder / folder)  # noqa: PTH208 - names are enough, and 5 times as fast
            return sorted(name[:-5] for name in names if name.endswith(".json") and name[0] != ".")
        return []

    def _files(self) -> Iterator[Path]:
        for name in FOLDERS:
            with suppress(FileNotFoundError, NotADirectoryError):
                yield from (self.folder / name).iterdir()

    def _read_stub(self, folder: str, identity: str) -> Tombstone | None:
        try:
            return Tombstone(**json.loads(self._path(folder, identity).read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            LOG.error("%s cannot be read: %s", self._path(folder, identity), error)
            return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
