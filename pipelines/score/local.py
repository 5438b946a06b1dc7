"""Workers that are processes of this machine, one a core."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from cat_model import BundleError
from pipelines.score.driver import Event, WorkerError
from pipelines.score.scorer import Job, Scorer, Stopped
from pipelines.score.shards import Shard

END_S = 10.0
"""Seconds that a worker is given to end by itself."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
        self._processes: dict[int, tuple[SpawnProcess, Connection]] = {}
        for worker in range(workers):
            self._start(worker)

    def give(self, worker: int, shard: Shard) -> None:
        """Have a worker score a shard; see `Engine.give`."""
        with suppress(OSError):  # it has died since: the next wait tells
            self._processes[worker][1].send(shard)

    def wait(self, seconds: float) -> list[Event]:
        """Return what has happened; see `Engine.wait`."""
        pipes = {pipe: worker for worker, (_, pipe) in self._processes.items()}
        return [self._heard(pipes[pipe], pipe) for pipe in wait(list(pipes), seconds) if pipe in pipes]  # pyright: ignore[reportArgumentType]

    def close(self) -> None:
        """End all processes; see `Engine.close`."""
        for _, pipe in self._processes.values():
            pipe.close()  # a worker looks for this before each photo
        for process, _ in self._processes.values():
            process.join(END_S)
            if process.is_alive():
                process.kill()
        self._processes.clear()

    def _start(self, worker: int) -> None:
        spawn = multiprocessing.get_context("spawn")  # a fork would copy threads' locks as they happen to be
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=serve, args=(theirs, self._job), daemon=True)
        with _without_ctrl_c():
            process.start()
        theirs.close()
        self._processes[worker] = process, ours

    def _heard(self, worker: int, pipe: Connection) -> Event:
        try:
            said = pipe.recv()
        except (EOFError, OSError):
            process, _ = self._processes[worker]
            pipe.close()
            process.join()
            self._start(worker)
            return Event(worker, problem=f"its process has ended ({_how(process.exitcode)})", lost=True)
        if isinstance(said, BundleError):
            raise WorkerError(str(said))
        return Event(worker, *said)


def serve(pipe: Connection, job: Job) -> None:
    """Score the shards that come through a pipe, until it is closed at the other end."""
    with suppress(EOFError, BrokenPipeError, Stopped):
        try:
            scorer = Scorer(job, stop=pipe.poll)  # while a shard is scored nothing comes but the end
        except BundleError as error:
            pipe.send(error)
            return
        pipe.send((None, None))
        while True:
            pipe.send(scorer.tried(pipe.recv()))


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
        return f"signal {signal.Signals(-code).name}; SIGKILL often means that memory was short"
    return f"exit code {code}"
