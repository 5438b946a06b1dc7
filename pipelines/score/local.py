"""Workers that are processes of this machine, one a core."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ctypes import Array, c_int64
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from cat_model import BundleError
from cat_model.memory import keep_freed
from pipelines.score.driver import Event, WorkerError
from pipelines.score.scorer import Job, Scorer, Stopped
from pipelines.score.shards import Crash, Shard

END_S = 10.0
"""Seconds that a worker is given to end by itself."""
PHOTO_S = 120.0
"""Seconds for decoding a photo, or for asking the model about it, after which its worker is ended: a hundred
times what the largest ones take, since the machine may have other things to do."""
ALARM: int | None = getattr(signal, "SIGALRM", None)
"""What ends a process whose time is over; Windows has none."""
KEPT_BYTES = 512 << 20
"""How much freed memory a worker keeps: several photos are on their way at once."""
CRASHED = "This photo cannot be used: the program that decodes it came to a sudden end, each time."
HUNG = f"This photo takes too long: it was given up after {PHOTO_S:.0f} seconds."
NOWHERE = -1, -1


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Note:
    """Where a worker writes which photos it is at, in memory that outlives it.

    While it is at any, its process has so much time for each and is ended behind it: a decoder that hangs
    hears of nothing else.
    """

    def __init__(self, shared: "Array[c_int64]") -> None:
        """Be a note.

        Args:
            shared: first and last position, and so shared between the two processes.
        """
        self._shared = shared

    @contextmanager
    def at(self, positions: Sequence[int]) -> Iterator[None]:
        """Say that photos are at work, at least one, by their positions in order."""
        self._shared[:] = [positions[0], positions[-1]]
        _end_after(PHOTO_S * len(positions))
        try:
            yield
        finally:
            _end_after(0)
            self._shared[:] = NOWHERE

    def positions(self) -> tuple[int, ...]:
        """Return the positions of photos that are at work, and of those between them."""
        first, last = self._shared
        return () if first < 0 else tuple(range(first, last + 1))


@dataclass(frozen=True)
class Child:
    """A worker's process, and the two ways to hear of it."""

    process: SpawnProcess
    pipe: Connection
    note: Note


class LocalEngine:
    """A process for each worker; one that dies is replaced."""

    def __init__(self, job: Job, workers: int) -> None:
        """Start the processes.

        Args:
            job: what they do.
            workers: how many there are, at least 1.
        """
        self.workers = workers
        self._job = job
        self._children: dict[int, Child] = {}
        for worker in range(workers):
            self._start(worker)

    def give(self, worker: int, shard: Shard) -> None:
        """Have a worker score a shard; see `Engine.give`."""
        with suppress(OSError):  # it has died since: the next wait tells
            self._children[worker].pipe.send(shard)

    def wait(self, seconds: float) -> list[Event]:
        """Return what has happened; see `Engine.wait`."""
        pipes = {child.pipe: worker for worker, child in self._children.items()}
        return [self._heard(pipes[pipe]) for pipe in wait(list(pipes), seconds) if pipe in pipes]  # pyright: ignore[reportArgumentType]

    def close(self) -> None:
        """End all processes; see `Engine.close`."""
        for child in self._children.values():
            child.pipe.close()  # a worker looks for this before each photo
        for child in self._children.values():
            child.process.join(END_S)
            if child.process.is_alive():
                child.process.kill()
        self._children.clear()

    def _start(self, worker: int) -> None:
        spawn = multiprocessing.get_context("spawn")  # a fork would copy threads' locks as they happen to be
        ours, theirs = spawn.Pipe()
        shared = spawn.RawArray(c_int64, list(NOWHERE))
        process = spawn.Process(target=serve, args=(theirs, shared, self._job), daemon=True)
        with _without_ctrl_c():
            process.start()
        theirs.close()
        self._children[worker] = Child(process, ours, Note(shared))

    def _heard(self, worker: int) -> Event:
        child = self._children[worker]
        try:
            said = child.pipe.recv()
        except (EOFError, OSError):
            child.pipe.close()
            child.process.join()
            code = child.process.exitcode
            self._start(worker)
            crash = Crash(child.note.positions(), HUNG if _hung(code) else CRASHED)
            return Event(worker, problem=f"its process has ended ({_how(code)})", lost=True, crash=crash)
        if isinstance(said, BundleError):
            raise WorkerError(str(said))
        return Event(worker, *said)


def serve(pipe: Connection, shared: "Array[c_int64]", job: Job) -> None:
    """Score the shards that come through a pipe, until it is closed at the other end."""
    keep_memory()
    with suppress(EOFError, ConnectionError, Stopped):  # reset, where the other end left an answer unread
        try:  # while a shard is scored nothing comes but the end
            scorer = Scorer(job, stop=pipe.poll, at=Note(shared).at)
        except BundleError as error:
            pipe.send(error)
            return
        pipe.send((None, None))
        while True:
            pipe.send(scorer.tried(pipe.recv()))


def keep_memory() -> None:
    """Let this process keep the memory of a photo for the next one, where the C library is glibc."""
    keep_freed(KEPT_BYTES, arenas=1)  # the threads that fetch would each keep some for themselves


def _end_after(seconds: float) -> None:
    """Have this process ended after some seconds, whatever it is doing; 0 for not at all."""
    if ALARM is not None:
        signal.setitimer(signal.ITIMER_REAL, seconds)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Let a child that is started here never hear of Ctrl-C: its parent tells it what to do."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _how(code: int | None) -> str:
    """Return how a process has ended, by its exit code."""
    if code is not None and code < 0:
        if _hung(code):
            return f"a photo took more than {PHOTO_S:.0f} seconds"
        return f"signal {signal.Signals(-code).name}; SIGKILL often means that memory was short"
    return f"exit code {code}"


def _hung(code: int | None) -> bool:
    """Return whether a process was ended because its time was over, by its exit code."""
    return ALARM is not None and code == -ALARM
