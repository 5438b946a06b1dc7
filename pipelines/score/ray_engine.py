"""Workers that are actors of Ray, one a core of a cluster, which RAY_ADDRESS names, or else of this machine.

What Ray maps is shards, not photos, so that nothing need list all photos first. Ray starts an actor again
whose node is lost, and asks an autoscaler for nodes that are lacking; the driver gives its shard to another.
"""

import os
import socket
from importlib import util
from pathlib import Path
from typing import Any

import cat_model
import pipelines
from pipelines.score.driver import ATTEMPTS, Event, WorkerError
from pipelines.score.local import LocalEngine
from pipelines.score.scorer import Done, Job
from pipelines.score.shards import Crash, Shard

REQUIREMENTS = Path(__file__).parents[1] / "requirements-ray.txt"
ANSWER_S = 10.0
"""Seconds in which a cluster's address must answer."""
WAIT_S = 60.0
"""Seconds that an actor waits for its process at a time; there is nothing else that it could do."""
CODE = [str(Path(str(package.__file__)).parent) for package in (cat_model, pipelines)]
"""What the nodes of a cluster get with the job; the model comes with it."""


class RayEngine:
    """An actor for each worker."""

    def __init__(self, job: Job, workers: int | None = None) -> None:
        """Connect to the cluster, or start one on this machine, and ask for the actors.

        Args:
            job: what they do.
            workers: how many; as many as the cluster has cores unless given. More of them let an autoscaler
                add nodes.

        Raises:
            WorkerError: Ray is not installed, or does not answer.
        """
        if util.find_spec("ray") is None:
            raise WorkerError(
                "The engine ray needs the package ray, in an environment of its own: "
                "python3 -m venv .venv-engines/ray && "
                f".venv-engines/ray/bin/pip install -r {REQUIREMENTS.parent.name}/{REQUIREMENTS.name}"
            )
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
        import ray  # pyright: ignore[reportMissingImports]

        self._ray = ray
        _require_answer(os.environ.get("RAY_ADDRESS", ""))
        try:
            if not ray.is_initialized():
                ray.init(runtime_env={"py_modules": CODE}, logging_level="warning", log_to_driver=False)
        except Exception as error:
            raise WorkerError(f"Ray cannot be reached or started: {error}") from error
        self.workers = workers or int(ray.cluster_resources().get("CPU", 1))
        self._job = ray.put(job)
        actor = ray.remote(num_cpus=1, max_restarts=-1)(Actor)
        self._actors = [actor.remote() for _ in range(self.workers)]
        self._waited: dict[Any, int] = {}
        for worker in range(self.workers):
            self._await(worker)

    def give(self, worker: int, shard: Shard) -> None:
        """Have an actor score a shard; see `Engine.give`."""
        self._waited[self._actors[worker].score.remote(self._job, shard)] = worker

    def wait(self, seconds: float) -> list[Event]:
        """Return what has happened; see `Engine.wait`."""
        ready, _ = self._ray.wait(list(self._waited), num_returns=1, timeout=seconds)
        return [self._heard(self._waited.pop(each), each) for each in ready]

    def close(self) -> None:
        """End all actors and leave the cluster; see `Engine.close`."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._ray.shutdown()

    def _await(self, worker: int) -> None:
        up = self._actors[worker].up.options(max_task_retries=-1)  # waits for a restart, too
        self._waited[up.remote(self._job)] = worker

    def _heard(self, worker: int, said: Any) -> Event:  # noqa: ANN401 - a reference of Ray's
        from ray.exceptions import RayError, RayTaskError  # pyright: ignore[reportMissingImports]

        try:
            return Event(worker, *self._ray.get(said))
        except RayTaskError as error:  # the model cannot be served there
            raise WorkerError(f"A worker cannot start: {error.cause}") from error
        except RayError as error:  # the actor, or its node, is gone
            self._await(worker)
            return Event(worker, problem=f"its worker is lost ({type(error).__name__})", lost=True)


def _require_answer(address: str) -> None:
    """See to it that somebody listens at a cluster's address: Ray itself would wait for many minutes.

    Raises:
        WorkerError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():  # else it is a word such as "auto" or "local"
        try:
            socket.create_connection((host, int(port)), ANSWER_S).close()
        except OSError as error:
            raise WorkerError(f"No Ray cluster answers at {address}: {error.strerror or error}.") from error


class Actor:
    """Has a process of its own decode and ask the model, and outlives what a photo does to it.

    A restarted actor has no process until it is asked for something.
    """

    def __init__(self) -> None:
        """Have none yet."""
        self._engine: LocalEngine | None = None
        self._up = False

    def up(self, job: Job) -> tuple[None, None]:
        """Start the process, if there is none, and wait until it can score.

        Raises:
            WorkerError: it never will.
        """
        self._engine = self._engine or LocalEngine(job, 1)
        falls = 0
        while not self._up:
            event = self._next(self._engine)
            self._up = not event.lost
            falls += event.lost
            if falls == ATTEMPTS:
                raise WorkerError(str(event.problem))
        return None, None

    def score(self, job: Job, shard: Shard) -> tuple[Done | None, str | None, bool, Crash | None]:
        """Score a shard; return what an `Event` says of it. The actor itself is not lost."""
        self.up(job)
        assert self._engine
        self._engine.give(0, shard)
        event = self._next(self._engine)
        self._up = not event.lost
        return event.done, event.problem, False, event.crash

    @staticmethod
    def _next(engine: LocalEngine) -> Event:
        while not (events := engine.wait(WAIT_S)):
            pass
        return events[0]
