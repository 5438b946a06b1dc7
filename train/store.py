"""MLflow's store: whether it can be used, where it was moved to; MLflow itself is imported only where needed.

A command asks for its store here before it imports TensorFlow, which takes long.
"""

import os
import re
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from train.config import TrainError

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "are-you-a-cat"
ANSWER_S, LOCK_S = 8.0, 2.0
"""Seconds: for a store's first answer, and for a lock to go."""
RUN_ID = "mlflow-run.txt"
"""File of a run's folder: the run's id in MLflow, where the store was away when the run began."""

# MLflow's own are 120 s and 7 retries: minutes of silence. Whoever sets them is obeyed.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
# What it prints by itself: bars for a few small files, addresses of its own page after each run.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


def require_store(uri: str) -> None:
    """Make sure that MLflow's store answers and can be written, within ten seconds.

    Artifacts that were moved together with an SQLite database are found again.

    Raises:
        TrainError: it does not; the message names the store and says what to do.
    """
    database = database_of(uri)
    fault = fault_of(database) if database else _fault_of_server(uri)
    if fault:
        raise TrainError(unusable(uri, fault))
    if database and database.exists():
        follow_the_database(database)


def run_id(noted: str, folder: Path) -> str:
    """Return a run's id in MLflow.

    Args:
        noted: as it was noted when the run began; empty where the store was away then.
        folder: of the run, for the id that it got later.

    Returns:
        The id; empty as long as the store knows nothing of the run.
    """
    later = folder / RUN_ID
    return noted or (later.read_text("utf-8") if later.exists() else "")


def experiment(client: "MlflowClient", uri: str) -> str:
    """Return the id of the experiment, which is made at first use.

    Its artifacts lie beside an SQLite database, not in the working directory.
    """
    found = client.get_experiment_by_name(EXPERIMENT)
    if found:
        return found.experiment_id
    database = database_of(uri)
    location = str(artifacts_beside(database) / EXPERIMENT) if database else None
    return client.create_experiment(EXPERIMENT, artifact_location=location)


def unusable(uri: str, fault: str) -> str:
    """Return the sentence that names a store which cannot be used, and says what to do."""
    return (
        f"MLflow's store {without_password(uri)} cannot be used: {fault}. See to it that it can, or name "
        "another in MLFLOW_TRACKING_URI, such as sqlite:///mlflow.db; then give the same command again."
    )


def without_password(uri: str) -> str:
    """Return a text without the names and passwords of the addresses in it."""
    return re.sub(r"//[^/@]*@", "//", uri)


def database_of(uri: str) -> Path | None:
    """Return the file of an SQLite store, or None for other stores."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def fault_of(database: Path) -> str:
    """Return why an SQLite file cannot be written; empty where it can."""
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
    from mlflow import MlflowClient  # not in the thread: it may take as long as the store may

    answers: list[str] = []

    def ask() -> None:
        try:
            MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
        except Exception as error:  # noqa: BLE001 - whatever it is, the store cannot be used
            answers.append(first_line(error))
        else:
            answers.append("")

    # A thread: name resolution and connecting have time-outs that nobody here can set.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_S)
    return answers[0] if answers else f"it has not answered for {ANSWER_S:g} seconds"


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, without passwords and without its full stop."""
    said = without_password(str(error)).splitlines() or [type(error).__name__]
    return said[0][:200].rstrip(".")


def artifacts_beside(database: Path) -> Path:
    """Return the folder of the artifacts that belong to an SQLite file."""
    return database.absolute().parent / "mlruns"


def follow_the_database(database: Path) -> None:
    """Correct the absolute paths of artifacts in a database that was moved together with its mlruns folder.

    MLflow stores such paths, and has no command that changes them. Paths are left alone where their folder
    still exists: then the database was copied, not moved.
    """
    here = artifacts_beside(database)
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
            ("model_versions", "source"),
            ("model_versions", "storage_location"),
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
