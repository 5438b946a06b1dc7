"""MLflow's store and servers, for the tests of tracking and of the registry."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.app.conftest import free_port


@pytest.fixture(scope="session")
def fresh(tmp_path_factory) -> Path:
    """A folder with an empty store: making one takes seconds. Tests copy it."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("store")
    MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
    return folder


@contextmanager
def mlflow_server(folder: Path, path: str, *words: str) -> Iterator[str]:
    """Run a command of MLflow that serves, in a folder, until the block ends; yield its address.

    It serves when this path answers.
    """
    port, log = free_port(), folder / "log.txt"
    command = [sys.executable, "-m", "mlflow", *words, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)
    try:
        while not _answers(f"http://127.0.0.1:{port}{path}"):
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
