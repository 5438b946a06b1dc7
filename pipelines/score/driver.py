"""Hands out shards to workers, whichever engine runs them, and gives those of lost workers to others."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pipelines.score.scorer import Done
from pipelines.score.shards import Crash, Shard, after

ATTEMPTS = 3
"""How often a shard is tried before it is given up, and how often a worker may end before it has come up."""
CRASHES = 20
"""How often workers may end at photos of one shard, two for each bad one: where every photo of a kind ends
them, it is the decoder that is broken, and not the photos."""
GIVEN_UP = 3
"""Shards given up one after the other before all the rest is: a store that is away answers to none."""


class WorkerError(Exception):
    """No worker can be had; the message says why."""


@dataclass(frozen=True)
class Event:
    """What a worker has to say.

    Attributes:
        worker: its number.
        done: the shard that it has finished.
        problem: why it could not; a worker that is neither done nor in trouble has come up.
        lost: whether it is gone itself; it says so when it, or another in its place, has come up.
        crash: where its process has ended in the middle of a shard.
    """

    worker: int
    done: Done | None = None
    problem: str | None = None
    lost: bool = False
    crash: Crash | None = None


class Engine(Protocol):
    """Workers that score shards, each one at a time."""

    workers: int

    def give(self, worker: int, shard: Shard) -> None:
        """Have a worker score a shard; only one that has come up and has none."""

    def wait(self, seconds: float) -> list[Event]:
        """Return what has happened, as soon as something has or this time is over.

        Raises:
            WorkerError: none of the workers will ever come up.
        """
        ...

    def close(self) -> None:
        """End all workers; what they are at is given up."""


class Report(Protocol):
    """Is told how the work goes on."""

    def tick(self, up: int) -> None:
        """Hear that time goes by, and how many workers are up."""

    def done(self, done: Done) -> None:
        """Hear of a shard that is done."""

    def trouble(self, shard: Shard, problem: str, last: bool) -> None:
        """Hear why a shard was not finished, and whether it is given up."""


@dataclass
class Driver:
    """Has all shards scored.

    Attributes:
        engine: the workers.
        report: is told of all.
    """

    engine: Engine
    report: Report
    _given: dict[int, Shard] = field(default_factory=dict)
    _idle: list[int] = field(default_factory=list)
    _again: deque[Shard] = field(default_factory=deque)
    _tries: Counter[int] = field(default_factory=Counter)
    _crashes: Counter[int] = field(default_factory=Counter)
    _falls: Counter[int] = field(default_factory=Counter)
    _up: set[int] = field(default_factory=set)
    _given_up: int = 0

    def run(self, shards: Iterable[Shard]) -> None:
        """Hand out shards until all are done or given up.

        Raises:
            WorkerError: no worker can be had, or no shard succeeds any more.
        """
        rest = iter(shards)
        following = self._following(rest)
        while self._given or following is not None:
            while self._idle and following is not None:
                worker = self._idle.pop()
                self._given[worker] = following
                self.engine.give(worker, following)
                following = self._following(rest)
            for event in self.engine.wait(1.0):
                self._hear(event)
            self.report.tick(len(self._up))
            if following is None:
                following = self._following(rest)

    def _following(self, rest: Iterator[Shard]) -> Shard | None:
        return self._again.popleft() if self._again else next(rest, None)

    def _hear(self, event: Event) -> None:
        shard = self._given.pop(event.worker, None)
        if event.done:
            self.report.done(event.done)
            self._given_up = 0
        elif shard:
            self._retry(shard, event)
        elif event.lost:
            self._falls[event.worker] += 1
            if self._falls[event.worker] == ATTEMPTS:
                raise WorkerError(f"A worker ends again and again before it comes up: {event.problem}")
        if event.lost:
            self._up.discard(event.worker)
            self._idle = [worker for worker in self._idle if worker != event.worker]
        else:
            self._falls[event.worker] = 0
            self._up.add(event.worker)
            self._idle.append(event.worker)

    def _retry(self, shard: Shard, event: Event) -> None:
        """Put a shard back in the queue, or give it up.

        Raises:
            WorkerError: no shard succeeds any more.
        """
        problem, crash = str(event.problem), event.crash
        if crash and crash.at:  # the next attempt knows more, so it is none of the three
            self._crashes[shard.number] += 1
            last = self._crashes[shard.number] == CRASHES
            problem += f" at {shard.keys[crash.at[0]]}" + (" or near it" if len(crash.at) > 1 else "")
            shard = after(shard, crash)
        else:
            self._tries[shard.number] += 1
            last = self._tries[shard.number] == ATTEMPTS
        self.report.trouble(shard, problem, last)
        if not last:
            self._again.append(shard)
            return
        self._given_up += 1
        if self._given_up == GIVEN_UP:
            raise WorkerError(f"{GIVEN_UP} shards one after the other could not be scored: {problem}")
