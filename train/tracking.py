"""Experiment tracking with MLflow: parameters, metrics, artifacts, environment and code commit of a run."""

import dataclasses
import json
import logging
import platform
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy.exc import SQLAlchemyError

from cat_model.atomic import write_durably
from cat_model.bundle import MANIFEST
from train import store
from train.config import TrainError

FAULTS = (MlflowException, SQLAlchemyError, OSError, sqlite3.Error)
"""What is raised where MLflow's store cannot be reached or written."""
REFUSALS = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "BAD_REQUEST"}
"""Error codes of a store that answers, and refuses: trying again later would not help."""
PENDING = "mlflow-pending.jsonl"
"""File of a run's folder: what MLflow's store could not take yet, an entry a line."""
LATER_S = 60.0
"""Seconds until a store that was away is tried again."""


class Tracker:
    """One MLflow run that can be left and gone on with.

    What the store cannot take just now is kept in the run's folder, said once, and sent with what comes
    later; or by `python -m train track FOLDER`.
    """

    def __init__(self, uri: str, run_id: str, folder: Path, *, keep: bool = False) -> None:
        """Go on with a run.

        Args:
            uri: MLflow's store, where the run exists.
            run_id: the run's id there; empty where the store was away when the run began.
            folder: of the run here, for what waits to be sent.
            keep: whether everything waits there, and the store is not asked.
        """
        self.uri, self.run_id = uri, store.run_id(run_id, folder)
        self._folder, self._pending, self._keep = folder, folder / PENDING, keep
        self._away_since: float | None = None
        self._warned = False
        self._followed = False

    @classmethod
    def start(cls, uri: str, folder: Path, parent: str | None = None) -> Self:
        """Start a run, with its environment and code commit; makes the experiment at first use.

        Where the store is away just now, the run is made there with what else waits: until then its id is
        empty.

        Args:
            uri: MLflow's store.
            folder: of the run; its name is the run's.
            parent: id of the run that it is shown under; None or empty for none.

        Raises:
            TrainError: the store refuses.
        """
        tags = {"code_commit": code_commit(), "platform": platform.platform()}
        if parent:
            tags[MLFLOW_PARENT_RUN_ID] = parent
        (folder / store.RUN_ID).unlink(missing_ok=True)  # of an attempt that was killed while it began
        tracker = cls(uri, "", folder)
        try:
            tracker._send("start", folder.name, tags, int(time.time() * 1000))
        except FAULTS as error:
            raise TrainError(store.unusable(uri, store.first_line(error))) from error
        tracker.text(environment(), "environment.txt")
        return tracker

    def resume(self) -> None:
        """Mark the run as running again."""
        self._send("status", "RUNNING")

    def end(self, status: str) -> None:
        """Mark the run as FINISHED, FAILED or KILLED; what still waits is tried once more."""
        self._away_since = None
        self._send("status", status)

    def params(self, values: Mapping[str, Any]) -> None:
        """Record parameters; the same values again change nothing."""
        self._send("params", {name: str(value) for name, value in values.items()})

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record numbers, at a step (an epoch)."""
        numbers = {name: float(value) for name, value in values.items()}
        self._send("metrics", numbers, step, int(time.time() * 1000))

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of one epoch."""
        self.metrics(metrics, step=number)

    def tag(self, name: str, value: str) -> None:
        """Set a tag."""
        self._send("tag", name, value)

    def text(self, text: str, name: str) -> None:
        """Store a text as an artifact."""
        self._send("text", text, name)

    def file(self, path: Path, folder: str | None = None) -> None:
        """Store a file, or all files of a folder, as artifacts."""
        self._send("file", str(path.absolute()), folder)

    def model(self, path: Path) -> None:
        """Store a saved Keras model, so that `mlflow.keras.load_model` finds it."""
        self._send("model", str(path.absolute()))

    def register(self, folder: Path, passed: bool, target: Path | None) -> None:
        """Register a bundle in MLflow's model registry, once, and set its aliases.

        Args:
            folder: of the bundle's files, until they are sent.
            passed: whether it passed its gate, and so becomes the challenger.
            target: the folder that is served, if the bundle was put there: it becomes the champion, unless
                another one is there by the time that the store is told.
        """
        now = int(time.time() * 1000)
        self._send("register", str(folder.absolute()), passed, str(target.absolute()) if target else "", now)

    def catch_up(self) -> str:
        """Send what waits; return a sentence that says what came of it."""
        count = len(self._waiting())
        self._away_since = None
        self._send()
        left, shown = len(self._waiting()), store.without_password(self.uri)
        if left:
            return f"{count - left} of {count} entries were sent to {shown}; {left} wait."
        return f"{shown} has everything; {count} entries waited."

    def _waiting(self) -> list[list[Any]]:
        return (
            [json.loads(line) for line in self._pending.read_text("utf-8").splitlines()] if self.waits else []
        )

    @property
    def waits(self) -> bool:
        """Whether something waits to be sent."""
        return self._pending.exists()

    def _send(self, *entry: Any) -> None:  # noqa: ANN401 - what JSON can hold
        """Send an entry after those that wait, in their order; keep what the store cannot take."""
        entries = [*self._waiting(), *([list(entry)] if entry else [])]
        sent = 0
        if not self._keep and (self._away_since is None or time.monotonic() - self._away_since > LATER_S):
            self._away_since = None
            try:
                with quiet():
                    self._look()
                    for kind, *values in entries:
                        getattr(self, f"_put_{kind}")(*values)
                        sent += 1
            except FAULTS as error:
                if isinstance(error, MlflowException) and error.error_code in REFUSALS:
                    raise
                self._away_since = time.monotonic()
                self._warn(error)
        if left := entries[sent:]:
            write_durably(self._pending, "".join(json.dumps(each) + "\n" for each in left).encode())
        elif self.waits:
            self._pending.unlink()

    def _look(self) -> None:
        """Look at the file of an SQLite store: MLflow waits for a lock for half a minute and longer."""
        database = store.database_of(self.uri)
        if database is None:
            return
        if fault := store.fault_of(database):
            raise OSError(fault)
        if not self._followed and database.exists():
            store.follow_the_database(database)
            self._followed = True

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        print(
            f"MLflow's store {store.without_password(self.uri)} cannot be used just now: "
            f"{store.first_line(error)}. Work goes on. What it misses is kept in {self._pending}, "
            "and sent when it answers, or by: "
            f"python -m train track {self._folder}",
            file=sys.stderr,
        )

    @property
    def _client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri)

    def _put_start(self, name: str, tags: dict[str, str], milliseconds: int) -> None:
        if self.run_id:  # made before, but what came after it in the same call could not be sent
            return
        number = store.experiment(self._client, self.uri)
        made = self._client.create_run(number, start_time=milliseconds, tags=tags, run_name=name)
        write_durably(self._folder / store.RUN_ID, made.info.run_id.encode())
        self.run_id = made.info.run_id

    def _put_status(self, status: str) -> None:
        if status == "RUNNING":
            self._client.update_run(self.run_id, status=status)
        else:
            self._client.set_terminated(self.run_id, status)

    def _put_params(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            self._client.log_param(self.run_id, name, value)

    def _put_metrics(self, values: Mapping[str, float], step: int, milliseconds: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self.run_id, name, value, timestamp=milliseconds, step=step)

    def _put_tag(self, name: str, value: str) -> None:
        self._client.set_tag(self.run_id, name, value)

    def _put_text(self, text: str, name: str) -> None:
        self._client.log_text(self.run_id, text, name)

    def _put_file(self, path: str, folder: str | None) -> None:
        if Path(path).is_dir():
            self._client.log_artifacts(self.run_id, path, folder)
        elif Path(path).exists():
            self._client.log_artifact(self.run_id, path, folder)
        else:
            print(f"{path} is gone, so MLflow does not get it.", file=sys.stderr)

    def _put_register(self, folder: str, passed: bool, target: str, milliseconds: int) -> None:
        from train import registry

        if not (Path(folder) / MANIFEST).exists():
            print(f"{folder} is gone, so MLflow's registry does not get it.", file=sys.stderr)
            return
        version = registry.register(self._client, Path(folder), self.run_id, milliseconds)
        aliases = []
        if passed and registry.challenge(self._client, version):
            aliases.append(registry.CHALLENGER)
        if target and registry.crown(self._client, version, Path(target)):
            aliases.append(registry.CHAMPION)
        print(registry.sentence(version, aliases))

    def _put_model(self, path: str) -> None:
        import keras
        from mlflow.keras import log_model

        model: Any = keras.saving.load_model(path)
        photo = np.zeros((1, *model.input_shape[1:]), np.uint8)
        answer = {name: np.asarray(value) for name, value in model(photo).items()}
        packages = [f"{name}=={metadata.version(name)}" for name in ("keras", "tensorflow")]
        mlflow.set_tracking_uri(self.uri)
        with mlflow.start_run(run_id=self.run_id):
            log_model(
                model, name="model", signature=infer_signature(photo, answer), pip_requirements=packages
            )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow from printing tracebacks of what it raises: that is told in one sentence."""
    logger = logging.getLogger("mlflow")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def tracked(tracker: Tracker) -> Iterator[Tracker]:
    """Mark a run in MLflow as running, and then how the block ended."""
    tracker.resume()
    try:
        yield tracker
    except BaseException as error:
        tracker.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    tracker.end("FINISHED")


def code_commit() -> str:
    """Return the git commit of the code, with "-dirty" if files were changed since; or "unknown"."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=here, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()


def environment() -> str:
    """Return Python's version and every installed package with its version, one a line."""
    packages = {f"{d.metadata['Name']}=={d.version}" for d in metadata.distributions()}
    return "\n".join([f"# Python {platform.python_version()}", *sorted(packages, key=str.lower)]) + "\n"


def flatten(prefix: str, metrics: Any) -> dict[str, float]:  # noqa: ANN401 - any dataclass of numbers
    """Turn nested dataclasses of numbers into one level of names, such as "test.recall.value"."""
    flat: dict[str, float] = {}
    items = metrics if isinstance(metrics, Mapping) else dataclasses.asdict(metrics)
    for name, value in items.items():
        if isinstance(value, Mapping):
            flat |= flatten(f"{prefix}.{name}", value)
        elif value is not None:
            flat[f"{prefix}.{name}"] = float(value)
    return flat
