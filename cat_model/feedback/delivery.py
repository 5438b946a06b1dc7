"""Delivery: a thread that brings the outbox to the stores, again and again until they have confirmed it.

Photo before record, deletions before all; a store that fails is asked again after a wait that grows
(exponential backoff with full jitter: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog,
2015).
"""

import json
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from cat_model.feedback.outbox import Bounds, Outbox
from cat_model.feedback.record import FeedbackError, Record, Tombstone, record_key, same
from cat_model.feedback.stores import DeletionRefusedError, Store, StoreError, from_settings
from cat_model.settings import Settings

LOG = logging.getLogger(__name__)
FIRST_S, LONGEST_S = 1.0, 300.0
"""The first wait after a failure is up to so long, and no wait is longer than that."""
IDLE_S = 60.0
EXPIRE_S = 3600.0
NOT_CHECKED = "it is not known yet whether deletion there is complete."


@dataclass(frozen=True)
class Status:
    """How delivery stands.

    Attributes:
        destination: names of the stores; None where feedback stays in the outbox.
        backlog: records and deletions that wait; 0 without a destination.
        kept: records in the outbox.
        last_error: what went wrong at the last attempt; None if it succeeded.
        last_success: when a store last confirmed something, in UTC, ISO 8601; None if never since the start.
        deletion_problem: why what is deleted may still lie in a store; None where deletion is complete.
    """

    destination: str | None
    backlog: int
    kept: int
    last_error: str | None
    last_success: str | None
    deletion_problem: str | None


class Delivery:
    """Brings one outbox to some stores."""

    def __init__(
        self,
        outbox: Outbox,
        stores: Sequence[Store],
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Remember what goes where; `jitter` draws each wait, from its bounds."""
        self._outbox = outbox
        self._stores = stores
        self._jitter = jitter
        self._failures: Counter[str] = Counter()
        self._refused: set[str] = set()
        self._unsure: dict[str, str] = {store.name: f"{store.name}: {NOT_CHECKED}" for store in stores}
        self._last_error: str | None = None
        self._last_success: str | None = None
        self._stopping, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="delivery", daemon=True)

    @property
    def status(self) -> Status:
        """How delivery stands now."""
        names = " and ".join(store.name for store in self._stores)
        backlog = self._outbox.backlog if self._stores else 0
        kept = len(self._outbox.pending())
        problem = " ".join(tuple(self._unsure.values())) or None
        return Status(names or None, backlog, kept, self._last_error, self._last_success, problem)

    def start(self) -> None:
        """Begin to deliver in the background."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new; it is taken at once unless a store has just failed."""
        self._woken.set()

    def stop(self, patience: float = 1.0) -> None:
        """Stop within some seconds; what is not delivered stays in the outbox."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def deliver(self) -> bool:
        """Try once to deliver all that waits; return whether nothing failed.

        What failed before comes last, so that one bad record never holds up the others.
        """
        if not self._stores:
            return True
        jobs = {tombstone.name: partial(self._carry_out, tombstone) for tombstone in self._outbox.deletions()}
        jobs |= {name: partial(self._send, name) for name in self._outbox.pending() if name not in jobs}
        trouble: str | None = None
        again = False
        for name in sorted(jobs, key=self._failures.__getitem__):
            if self._stopping.is_set():
                return True
            if again and name in self._refused:
                continue  # one was refused once more, so all would be
            try:
                jobs[name]()
                self._last_success = datetime.now(UTC).isoformat(timespec="seconds")
                del self._failures[name]
                self._refused.discard(name)
            except DeletionRefusedError as error:  # its owner must permit it; nothing else waits for that
                self._failures[name] += 1
                again = again or name in self._refused
                self._refused.add(name)
                trouble = str(error)
            except FeedbackError as error:  # damaged: it stays where it is, for its owner to look at
                trouble = str(error)
            except (StoreError, OSError) as error:
                self._failures[name] += 1
                self._report(str(error))
                return False
        self._report(trouble)
        return True

    def _send(self, identity: str) -> None:
        item = self._outbox.read(identity)
        if item is None:
            return
        record = item.record
        for store in self._stores:
            if record.photo_key and item.photo is not None:
                store.put(record.photo_key, item.photo)
            store.put(record.key, record.to_json())
        self._outbox.delivered(record)

    def check_deletion(self) -> None:
        """Find out whether each store deletes completely; what cannot be told stays as it was."""
        for store in self._stores:
            try:
                store.check_deletion()
                self._unsure.pop(store.name, None)
            except DeletionRefusedError as error:
                self._refuses(store, error)
            except StoreError as error:
                LOG.info("Whether deletion is complete could not be checked. %s", error)

    def _refuses(self, store: Store, error: DeletionRefusedError) -> None:
        if self._unsure.get(store.name) != str(error):
            LOG.warning("Deletion is not complete. %s", error)
        self._unsure[store.name] = str(error)

    def _carry_out(self, tombstone: Tombstone) -> None:
        refused: DeletionRefusedError | None = None
        for store in self._stores:
            found = tombstone if tombstone.sure else self._ask(store, tombstone)
            if found is None:
                continue
            if not tombstone.sure:
                self._outbox.confirm(tombstone, found)
                tombstone = found
            # A note of the deletion stays in the store: a copy of the record that was pulled before goes too.
            note = {"id": found.id, "hour": datetime.now(UTC).strftime("%Y-%m-%dT%H:00:00+00:00")}
            if store.get(_note_key(found)) is None:
                store.put(_note_key(found), json.dumps(note, sort_keys=True).encode() + b"\n")
            for key in reversed(found.keys):  # the photo first: the record names it
                try:
                    store.delete(key)
                except DeletionRefusedError as error:
                    self._refuses(store, error)
                    refused = error
        if refused:
            raise refused
        self._outbox.deletion_done(tombstone)

    def _ask(self, store: Store, tombstone: Tombstone) -> Tombstone | None:
        """Return what a store holds under a code that was not checked here; None if it is wrong."""
        content = store.get(record_key(tombstone.id))
        try:
            record = Record.from_json(content) if content else None
        except FeedbackError as error:
            raise StoreError(f"{store.name}: {error}") from error
        if record is None or not same(record.token, tombstone.token):
            return None
        return Tombstone.of(record)

    def _report(self, error: str | None) -> None:
        if error != self._last_error:  # a store that is down for a day is one line in the log
            if error:
                LOG.warning("Feedback waits in %s: %s", self._outbox.folder, error)
            else:
                LOG.warning("Feedback in %s is delivered again.", self._outbox.folder)
        self._last_error = error

    def _work(self) -> None:
        failures, swept, checked = 0, float("-inf"), float("-inf")
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                if time.monotonic() - swept > EXPIRE_S:
                    self._outbox.expire()
                    swept = time.monotonic()
                if self._unsure or time.monotonic() - checked > EXPIRE_S:
                    self.check_deletion()
                    checked = time.monotonic()
                delivered = self.deliver()
            except Exception:  # a mistake of ours must not end the thread
                LOG.exception("Delivery failed.")
                delivered = False
            if delivered:
                failures = 0
                self._woken.wait(IDLE_S)
            else:
                failures += 1
                longest = min(LONGEST_S, FIRST_S * 2 ** min(failures - 1, 20))
                self._stopping.wait(self._jitter(0.0, longest))


def open_outbox(settings: Settings) -> tuple[Outbox, Delivery]:
    """Return the outbox and what delivers it, as the settings say; delivery is not started yet."""
    stores = from_settings(settings)
    bounds = Bounds(settings.feedback_mb * 1_000_000, settings.feedback_days)
    outbox = Outbox(settings.feedback_dir, bounds, delivers=bool(stores))
    return outbox, Delivery(outbox, stores)


def _note_key(tombstone: Tombstone) -> str:
    return f"deleted/{tombstone.id}.json"
