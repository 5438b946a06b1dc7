"""Experiment tracking with MLflow: parameters, metrics, artifacts, environment and code commit of a run."""

import dataclasses
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import keras
import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy.exc import SQLAlchemyError

EXPERIMENT = "are-you-a-cat"
FAULTS = (MlflowException, SQLAlchemyError, OSError)
"""What is raised where MLflow's store cannot be reached or written."""


class Tracker:
    """One MLflow run that can be left and gone on with."""

    def __init__(self, uri: str, run_id: str) -> None:
        """Go on with a run that exists in the store at `uri`."""
        self.uri, self.run_id = uri, run_id
        self._client = MlflowClient(tracking_uri=uri)

    @classmethod
    def start(cls, uri: str, name: str, parent: str | None = None) -> Self:
        """Start a run, with its environment and code commit; makes the experiment at first use.

        Args:
            uri: MLflow's store.
            name: of the run.
            parent: id of the run that it is shown under; None for none.
        """
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        number = experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT)
        tags = {"code_commit": code_commit(), "platform": platform.platform()}
        if parent:
            tags[MLFLOW_PARENT_RUN_ID] = parent
        run = client.create_run(number, run_name=name, tags=tags)
        tracker = cls(uri, run.info.run_id)
        tracker.text(environment(), "environment.txt")
        return tracker

    def resume(self) -> None:
        """Mark the run as running again."""
        self._client.update_run(self.run_id, status="RUNNING")

    def end(self, status: str) -> None:
        """Mark the run as FINISHED, FAILED or KILLED."""
        self._client.set_terminated(self.run_id, status)

    def params(self, values: Mapping[str, Any]) -> None:
        """Record parameters; the same values again change nothing."""
        for name, value in values.items():
            self._client.log_param(self.run_id, name, value)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record numbers, at a step (an epoch)."""
        for name, value in values.items():
            self._client.log_metric(self.run_id, name, float(value), step=step)

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of one epoch."""
        self.metrics(metrics, step=number)

    def tag(self, name: str, value: str) -> None:
        """Set a tag."""
        self._client.set_tag(self.run_id, name, value)

    def text(self, text: str, name: str) -> None:
        """Store a text as an artifact."""
        self._client.log_text(self.run_id, text, name)

    def file(self, path: Path, folder: str | None = None) -> None:
        """Store a file, or all files of a folder, as artifacts."""
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), folder)
        else:
            self._client.log_artifact(self.run_id, str(path), folder)

    def model(self, model: keras.Model) -> None:
        """Store a Keras model, so that `mlflow.keras.load_model` finds it."""
        photo = np.zeros((1, *model.input_shape[1:]), np.uint8)
        answer = {name: np.asarray(value) for name, value in model(photo).items()}
        packages = [f"{name}=={metadata.version(name)}" for name in ("keras", "tensorflow")]
        from mlflow.keras import log_model

        mlflow.set_tracking_uri(self.uri)
        with mlflow.start_run(run_id=self.run_id):
            log_model(
                model, name="model", signature=infer_signature(photo, answer), pip_requirements=packages
            )


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
