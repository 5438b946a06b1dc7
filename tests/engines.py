"""Environments of engines whose packages do not fit the project's: `.venv-engines/NAME`.

`python -m tests --engines` makes them all and runs the tests marked `engines`. Such a test asks `require` for
its engine's Python, and is skipped where there is none.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".venv-engines"
MARK = "engines"
PINS = {
    "airflow": ROOT / "pipelines" / "airflow" / "requirements.txt",
    "kserve": ROOT / "tests" / "requirements-kserve.txt",
    "ray": ROOT / "pipelines" / "requirements-ray.txt",
    "sagemaker": ROOT / "pipelines" / "requirements-sagemaker.txt",
    "zenml": ROOT / "pipelines" / "zenml" / "requirements.txt",
}
"""The engines, and the files that pin their packages."""
INSIDE = {"ray": "tests/pipelines/score/test_ray_engine.py"}
"""Tests that import the engine, so they run in its environment."""


def make(name: str) -> int:
    """Make the environment of an engine, unless it is there with these very pins; return pip's exit code."""
    if is_made(name):
        return 0
    environment = FOLDER / name
    print(f"Installing {PINS[name].relative_to(PINS[name].parents[2])} into {environment} …", flush=True)
    venv.create(environment, with_pip=True, clear=True)
    command = [python(name), "-m", "pip", "install", "--quiet", "-r", PINS[name]]
    code = subprocess.run(command, check=False).returncode
    if code == 0:
        shutil.copy(PINS[name], environment / "installed.txt")
    return code


def make_all() -> int:
    """Make all environments; return 0, or 1 where one could not be made."""
    failed = [name for name in PINS if make(name)]
    if failed:
        print(f"Not installed, so their tests are skipped: {', '.join(failed)}.", file=sys.stderr)
    return bool(failed)


def require(name: str) -> Path:
    """Return the Python of an engine's environment; skip the test, saying why, where there is none."""
    import pytest

    if not is_made(name):
        pytest.skip(f"{name} is not installed, or not as pinned: run `python -m tests --engines`.")
    return python(name)


def is_made(name: str) -> bool:
    """Return whether the environment of an engine is there, with its very pins."""
    done = FOLDER / name / "installed.txt"
    return done.exists() and done.read_bytes() == PINS[name].read_bytes()


def python(name: str) -> Path:
    """Return the Python of an engine's environment, whether it is there or not."""
    return FOLDER / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
