"""Experiment tracking with MLflow: parameters, metrics, artifacts, environment and code commit of a run."""

import dataclasses
import json
import logging
import os
import platform
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import keras
import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS, MLFLOW_PARENT_RUN_ID
from sqlalchemy.exc import SQLAlchemyError

from cat_model.atomic import write_durably
from train.config import TrainError

EXPERIMENT = "are-you-a-cat"
FAULTS = (MlflowException, SQLAlchemyError, OSError, sqlite3.Error)
"""What is raised where MLflow's store cannot be reached or written."""


REFUSALS = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "BAD_REQUEST"}
"""Error codes of a store that answers, and refuses: trying again later would not help."""
PENDING = "mlflow-pending.jsonl"
"""File of a run's folder: what MLflow's store could not take yet, an entry a line."""
ANSWER_S, LOCK_S, LATER_S = 8.0, 2.0, 60.0
"""Seconds: for a store's first answer, for a lock to go, and until a store that was away is tried again."""

# MLflow's own are 120 s and 7 retries: minutes of silence. Whoever sets them is obeyed.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")


def require_store(uri: str) -> None:
    """Make sure that MLflow's store answers and can be written, within ten seconds.

    Artifacts that were moved together with an SQLite database are found again.

    Raises:
        TrainError: it does not; the message names the store and says what to do.
    """
    database = _database(uri)
    fault = _fault_of(database) if database else _fault_of_server(uri)
    if fault:
        raise TrainError(_unusable(uri, fault))
    if database and database.exists():
        _follow_the_database(database)


def _unusable(uri: str, fault: str) -> str:
    return (
        f"MLflow's store {_without_password(uri)} cannot be used: {fault}. See to it that it can, or name "
        "another in MLFLOW_TRACKING_URI, such as sqlite:///mlflow.db; then give the same command again."
    )


def _without_password(uri: str) -> str:
    return re.sub(r"//[^/@]*@", "//", uri)


def _database(uri: str) -> Path | None:
    """Return the file of an SQLite store, or None for other stores."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _fault_of(database: Path) -> str:
    if not database.parent.is_dir():
        return f"there is no folder {database.parent}"
    if not database.exists():
        return "" if os.access(database.parent, os.W_OK) else f"{database.parent} may not be written"
    try:
        with closing(sqlite3.connect(database, timeout=LOCK_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
    except sqlite3.Error as error:
        return str(error)
    return ""


def _fault_of_server(uri: str) -> str:
    answers: list[str] = []

    def ask() -> None:
        try:
            MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
        except FAULTS as error:
            answers.append(_first_line(error))
        else:
            answers.append("")

    # A thread: name resolution and connecting have time-outs that nobody here can set.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_S)
    return answers[0] if answers else f"it has not answered for {ANSWER_S:g} seconds"


def _first_line(error: Exception) -> str:
    said = _without_password(str(error)).splitlines() or [type(error).__name__]
    return said[0][:200].rstrip(".")


def _artifacts_beside(database: Path) -> Path:
    return database.absolute().parent / "mlruns"


def _follow_the_database(database: Path) -> None:
    """Correct the absolute paths of artifacts in a database that was moved together with its mlruns folder.

    MLflow stores such paths, and has no command that changes them. Paths are left alone where their folder
    still exists: then the database was copied, not moved.
    """
    here = _artifacts_beside(database)
    if not here.is_dir():
        return
    with closing(sqlite3.connect(database, timeout=LOCK_S)) as connection, connection:
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
        ):
            if table not in tables:
                continue
            for (stored,) in connection.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall():
                old, found, rest = (stored or "").removeprefix("file://").partition("/mlruns/")
                if not found or Path(old).absolute() == here.parent or (Path(old) / "mlruns").exists():
                    continue
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (str(here / rest), stored)
                )


class Tracker:
    """One MLflow run that can be left and gone on with.

    What the store cannot take just now is kept in the run's folder, said once, and sent with what comes
    later; or by `python -m train track FOLDER`.
    """

    def __init__(self, uri: str, run_id: str, folder: Path) -> None:
        """Go on with a run.

        Args:
            uri: MLflow's store, where the run exists.
            run_id: the run's id there.
            folder: of the run here, for what waits to be sent.
        """
        self.uri, self.run_id = uri, run_id
        self._folder, self._pending = folder, folder / PENDING
        self._away_since: float | None = None
        self._warned = False
        self._followed = False

    @classmethod
    def start(cls, uri: str, folder: Path, parent: str | None = None) -> Self:
        """Start a run, with its environment and code commit; makes the experiment at first use.

        Args:
            uri: MLflow's store.
            folder: of the run; its name is the run's.
            parent: id of the run that it is shown under; None for none.

        Raises:
            TrainError: the store cannot be used.
        """
        tags = {"code_commit": code_commit(), "platform": platform.platform()}
        if parent:
            tags[MLFLOW_PARENT_RUN_ID] = parent
        try:
            client = MlflowClient(tracking_uri=uri)
            experiment = client.get_experiment_by_name(EXPERIMENT)
            number = experiment.experiment_id if experiment else _make_experiment(client, uri)
            run = client.create_run(number, run_name=folder.name, tags=tags)
        except FAULTS as error:
            raise TrainError(_unusable(uri, _first_line(error))) from error
        tracker = cls(uri, run.info.run_id, folder)
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

    def table(self, columns: Mapping[str, list[Any]], name: str) -> None:
        """Store a table as an artifact that MLflow's page shows under "Evaluation", and `load_table` reads.

        Args:
            columns: equally long columns of texts and numbers, by name.
            name: of the artifact, ending in ".json".
        """
        self._send("table", dict(columns), name)

    def file(self, path: Path, folder: str | None = None) -> None:
        """Store a file, or all files of a folder, as artifacts."""
        self._send("file", str(path.absolute()), folder)

    def model(self, path: Path) -> None:
        """Store a saved Keras model, so that `mlflow.keras.load_model` finds it."""
        self._send("model", str(path.absolute()))

    def catch_up(self) -> str:
        """Send what waits; return a sentence that says what came of it."""
        count = len(self._waiting())
        self._away_since = None
        self._send()
        left = len(self._waiting())
        if left:
            return (
                f"{count - left} of {count} entries were sent to {_without_password(self.uri)}; {left} wait."
            )
        return f"{_without_password(self.uri)} has everything; {count} entries waited."

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
        if self._away_since is None or time.monotonic() - self._away_since > LATER_S:
            self._away_since = None
            try:
                with _quiet():
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
        database = _database(self.uri)
        if database is None:
            return
        if fault := _fault_of(database):
            raise OSError(fault)
        if not self._followed and database.exists():
            _follow_the_database(database)
            self._followed = True

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        print(
            f"MLflow's store {_without_password(self.uri)} cannot be used just now: {_first_line(error)}. "
            f"Work goes on. What it misses is kept in {self._pending}, and sent when it answers, or by: "
            f"python -m train track {self._folder}",
            file=sys.stderr,
        )

    @property
    def _client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri)

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

    def _put_table(self, columns: Mapping[str, list[Any]], name: str) -> None:
        # `log_table` would add the rows once more where an entry is sent again after a fault.
        rows = [list(row) for row in zip(*columns.values(), strict=True)]
        self._client.log_dict(self.run_id, {"columns": list(columns), "data": rows}, name)
        tags = self._client.get_run(self.run_id).data.tags
        shown = json.loads(tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
        entry = {"path": name, "type": "table"}
        if entry not in shown:
            self._client.set_tag(self.run_id, MLFLOW_LOGGED_ARTIFACTS, json.dumps([*shown, entry]))

    def _put_file(self, path: str, folder: str | None) -> None:
        if Path(path).is_dir():
            self._client.log_artifacts(self.run_id, path, folder)
        elif Path(path).exists():
            self._client.log_artifact(self.run_id, path, folder)
        else:
            print(f"{path} is gone, so MLflow does not get it.", file=sys.stderr)

    def _put_model(self, path: str) -> None:
        model: Any = keras.saving.load_model(path)
        photo = np.zeros((1, *model.input_shape[1:]), np.uint8)
        answer = {name: np.asarray(value) for name, value in model(photo).items()}
        packages = [f"{name}=={metadata.version(name)}" for name in ("keras", "tensorflow")]
        from mlflow.keras import log_model

        mlflow.set_tracking_uri(self.uri)
        with mlflow.start_run(run_id=self.run_id):
            log_model(
                model, name="model", signature=infer_signature(photo, answer), pip_requirements=packages
            )


def _make_experiment(client: MlflowClient, uri: str) -> str:
    """Make the experiment; its artifacts lie beside an SQLite database, not in the working directory."""
    database = _database(uri)
    location = str(_artifacts_beside(database) / EXPERIMENT) if database else None
    return client.create_experiment(EXPERIMENT, artifact_location=location)


@contextmanager
def _quiet() -> Iterator[None]:
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
