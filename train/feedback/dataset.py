"""People's feedback as a local, versioned set: pulled from where it was delivered to, deletions honoured.

    SET/records/ID.json, SET/photos/ID-HASH.jpg    as they lie in the store
    SET/versions/0001.json                         which records each version has, by their fingerprints
    SET/reviewed.csv                               what a person decided about photos: id,group,note

Only photos that are in `reviewed.csv`, which a person writes, become training data.
"""

import csv
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from cat_model.atomic import write_durably
from cat_model.bundle import sha256
from cat_model.feedback.record import FeedbackError, Record, photo_key, record_key
from cat_model.feedback.stores import FolderStore, StoreError, from_settings
from cat_model.settings import Settings
from cat_model.verdict import CAT, NOT_SURE
from train.config import TrainError

REVIEWED, VERSIONS = "reviewed.csv", "versions"
COLUMNS = ("id", "group", "note")
DROP = "drop"


class Source(Protocol):
    """Where a set is pulled from: a store, or a folder such as an outbox."""

    name: str

    def get(self, key: str) -> bytes | None:
        """Return an object, None where there is none."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """Return all keys that begin with a prefix."""
        ...


@dataclass(frozen=True)
class Pulled:
    """What a pull did.

    Attributes:
        version: number of the set's version, from 1.
        records: how many there are now.
        added: how many are new.
        removed: how many were deleted at the source, and so here.
        problems: a sentence for each record that was left out.
    """

    version: int
    records: int
    added: int
    removed: int
    problems: tuple[str, ...]

    def __str__(self) -> str:
        """Return all of it in words."""
        words = f"Version {self.version}: {self.records} records, {self.added} new, {self.removed} deleted."
        return "\n".join([words, *self.problems])


def source(folder: Path | None, settings: Settings) -> Source:
    """Return where to pull from: a folder if one is given, else the store of the settings, else the outbox.

    Raises:
        TrainError: there is no such folder.
    """
    if folder is not None:
        if not folder.is_dir():
            raise TrainError(f"There is no folder {folder}.")
        return FolderStore(folder)
    stores = from_settings(settings)
    return stores[0] if stores else FolderStore(settings.feedback_dir)


def pull(origin: Source, folder: Path) -> Pulled:
    """Make a set hold what the source holds now; whatever was deleted there is deleted here, photos included.

    Raises:
        TrainError: the source does not answer, or the set cannot be written.
    """
    try:
        before = set(_ids(folder))
        deleted = {Path(key).stem for key in origin.keys("deleted/")}
        offered = {Path(key).stem for key in origin.keys("records/")} - deleted
        for identity in before - offered:  # first: a pull that is cut short has forgotten what it must
            _remove(folder, identity)
        problems, kept = [], {}
        for identity in sorted(offered):
            try:
                kept[identity] = _fetch(origin, folder, identity)
            except FeedbackError as error:
                problems.append(f"Record {identity} is left out. {error}")
                _remove(folder, identity)
        number = _note(folder, kept)
    except (StoreError, OSError) as error:
        raise TrainError(f"The feedback cannot be pulled: {error}") from error
    now = set(kept)
    return Pulled(number, len(now), len(now - before), len(before - now), tuple(problems))


def read(folder: Path) -> list[Record]:
    """Return the records of a set, sorted by hour and id.

    Raises:
        TrainError: there is no set in the folder, or a record is damaged.
    """
    if not (folder / VERSIONS).is_dir():
        raise TrainError(
            f"{folder} holds no feedback: `python -m train feedback pull --out {folder}` gets it."
        )
    try:
        records = [Record.from_json((folder / record_key(name)).read_bytes()) for name in _ids(folder)]
    except OSError as error:
        raise TrainError(f"The feedback in {folder} cannot be read: {error}") from error
    return sorted(records, key=lambda record: (record.hour, record.id))


def fingerprint(records: Sequence[Record]) -> str:
    """Return a SHA-256 that changes when a record comes, goes or changes."""
    return sha256("".join(sorted(sha256(record.to_json()) for record in records)).encode())


def photo(folder: Path, record: Record) -> Path | None:
    """Return where the photo of a record lies, None where there is none."""
    return folder / record.photo_key if record.photo_key else None


def agrees(record: Record) -> bool | None:
    """Whether the person says what the model said; None where the model was not sure."""
    return None if record.verdict == NOT_SURE else (record.verdict == CAT) == record.person_says_cat


def with_photos(photos: Path, folder: Path, out: Path) -> Path:
    """Return a folder of groups that holds photos to learn from and the reviewed ones of a set.

    The photos are linked, not copied, where the system can.

    Args:
        photos: folder of groups.
        folder: the set.
        out: where the folder is made; it is made anew if it is there.

    Raises:
        TrainError: the review cannot be used, or names a record without a photo.
    """
    records = {record.id: record for record in read(folder)}
    chosen = reviewed(folder)
    digest = sha256(json.dumps([str(photos.absolute()), sorted(chosen.items())]).encode())[:8]
    merged = out / f"photos-{digest}"
    shutil.rmtree(merged, ignore_errors=True)
    for path in photos.glob("*/**/*"):
        if path.is_file():
            _link(path, merged / path.relative_to(photos))
    for identity, group in chosen.items():
        lies = photo(folder, records[identity]) if identity in records else None
        if group == DROP or (lies is None and identity not in records):
            continue  # deleted by the person who gave it
        if lies is None:
            raise TrainError(f"{folder / REVIEWED} names {identity}, which has no photo to learn from.")
        _link(lies, merged / group / f"feedback-{identity}.jpg")
    return merged


def embeddings(records: Sequence[Record]) -> np.ndarray:
    """Return the embeddings of records that all have one, shape (N, D), float32."""
    rows = []
    for record in records:
        assert record.numbers is not None
        rows.append(record.numbers)
    return np.stack(rows)


def reviewed(folder: Path) -> dict[str, str]:
    """Return the group that a person gave the photo of each record of a set, by the record's id.

    Raises:
        TrainError: nothing was reviewed yet, or a line means nothing.
    """
    path = folder / REVIEWED
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise TrainError(
            f"No photo was reviewed yet: look at the report and write {path} with the columns "
            f"{','.join(COLUMNS)}; the group is cat, dog, selfie, misc … or {DROP}."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:  # as a spreadsheet may save it
        raise TrainError(f"{path} cannot be read: save it as CSV in UTF-8 ({error}).") from error
    for number, row in enumerate(rows, start=2):
        group = (row.get("group") or "").strip()
        if not row.get("id") or not group or group != Path(group).name or group.startswith("."):
            raise TrainError(f"{path}, line {number}: it needs an id and the name of a group.")
    return {row["id"].strip(): row["group"].strip() for row in rows}


def _fetch(origin: Source, folder: Path, identity: str) -> str:
    """Get a record with its photo, unless they are here; return the record's fingerprint."""
    path = folder / record_key(identity)
    content = path.read_bytes() if path.exists() else origin.get(record_key(identity))
    if content is None:
        raise FeedbackError("It was deleted just now.")
    record = Record.from_json(content)
    if record.id != identity:
        raise FeedbackError("Its content is not what its name says.")
    lies = photo(folder, record)
    if lies is not None and record.photo_key is not None and not lies.exists():
        picture = origin.get(record.photo_key)
        if picture is None or hashlib.sha256(picture).hexdigest() != record.photo:
            raise FeedbackError("Its photo is missing or damaged.")
        write_durably(lies, picture)
    if not path.exists():
        write_durably(path, content)
    return sha256(content)


def _note(folder: Path, kept: Mapping[str, str]) -> int:
    """Write down a version if it differs from the last one; return its number."""
    numbers = sorted(int(path.stem) for path in (folder / VERSIONS).glob("[0-9]*.json"))
    last = folder / VERSIONS / f"{numbers[-1]:04d}.json" if numbers else None
    if last and json.loads(last.read_text())["records"] == dict(kept):
        return numbers[-1]
    number = numbers[-1] + 1 if numbers else 1
    content = {"version": number, "records": dict(kept)}
    write_durably(folder / VERSIONS / f"{number:04d}.json", json.dumps(content, indent=1).encode())
    return number


def _remove(folder: Path, identity: str) -> None:
    with suppress(FeedbackError, FileNotFoundError):
        record = Record.from_json((folder / record_key(identity)).read_bytes())
        if key := photo_key(identity, record.photo):
            (folder / key).unlink(missing_ok=True)
    (folder / record_key(identity)).unlink(missing_ok=True)


def _ids(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "records").glob("[!.]*.json"))


def _link(source_path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(source_path.absolute())
    except OSError:  # Windows, without the right to make links
        shutil.copyfile(source_path, target)
