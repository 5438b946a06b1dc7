"""Environments of engines whose packages do not fit the project's: `.venv-engines/NAME`.

The packages of NAME are pinned in tests/requirements-NAME.txt. `python -m tests --engines` makes them all; a
test that needs one asks `require` for its Python, and is skipped where it was not made.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".venv-engines"
PINS = "requirements-{}.txt"


def names(pins: Path = ROOT / "tests") -> list[str]:
    """Return the names of the engines that packages are pinned for."""
    before, after = PINS.split("{}")
    return sorted(path.name[len(before) : -len(after)] for path in pins.glob(PINS.format("*")))


def make(name: str, folder: Path = FOLDER, pins: Path = ROOT / "tests") -> int:
    """Make the environment of an engine, unless it is there with these very pins; return pip's exit code."""
    requirements, environment = pins / PINS.format(name), folder / name
    if _is_made(environment, requirements):
        return 0
    print(f"Installing {requirements.name} into {environment} …", flush=True)
    venv.create(environment, with_pip=True, clear=True)
    command = [_python(environment), "-m", "pip", "install", "--quiet", "-r", requirements]
    code = subprocess.run(command, check=False).returncode
    if code == 0:
        shutil.copy(requirements, environment / "installed.txt")
    return code


def require(name: str) -> Path:
    """Return the Python of an engine's environment; skip the test, saying why, where there is none."""
    import pytest

    if not _is_made(FOLDER / name, ROOT / "tests" / PINS.format(name)):
        pytest.skip(f"{name} is not installed, or not as pinned: run `python -m tests --engines`.")
    return _python(FOLDER / name)


def _is_made(environment: Path, requirements: Path) -> bool:
    done = environment / "installed.txt"
    return done.exists() and done.read_bytes() == requirements.read_bytes()


def _python(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def main() -> int:
    """Make all environments; return 0, or 1 where one could not be made."""
    failed = [name for name in names() if make(name)]
    if failed:
        print(f"Not installed, so their tests are skipped: {', '.join(failed)}.", file=sys.stderr)
    return bool(failed)
