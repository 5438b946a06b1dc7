"""Set up and run the tests.

    python3 -m tests [--no-browser] [--slow | --engines | --containers] [options of pytest]

Needs only Python 3.11.

Makes the virtual environment `.venv-dev`, installs requirements-dev.txt into it and gets Chromium for the
browser tests where Debian's packages can be installed. Then ruff, pyright and pytest run, without the tests
marked `slow`: `--slow` runs those, and only those. With options of pytest only pytest runs, in one process
unless they say otherwise, and what they choose runs whether it is slow or not. `--no-browser` installs no
Chromium and leaves the browser tests out. `--engines` runs only the tests of engines whose packages do not
fit into `.venv-dev`, in environments of their own, which it makes first (tests/engines.py). `--containers`
runs only the tests of the image. Both take minutes.
"""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from tests import engines

NO_BROWSER, SLOW, ENGINES, CONTAINERS = "--no-browser", "--slow", "--engines", "--containers"
ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".venv-dev"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_TESTS, CONTAINER_TESTS = "tests/app", "tests/deploy/containers"
MOST_WORKERS = 4
"""Test processes at most: each of some holds TensorFlow, 2 GB."""
NO_TESTS = 5
"""Exit code of pytest where no test was chosen."""
WORKERS = [
    "-n", str(min(os.cpu_count() or 1, MOST_WORKERS)), "--dist", "loadfile", "--no-loadscope-reorder",
]  # fmt: skip
"""One file is run by one process; the files begin in the order that tests/conftest.py gives them."""
LINT = (["ruff", "check", "--quiet"], ["ruff", "format", "--check", "--quiet"], ["pyright"])


def main(arguments: Sequence[str]) -> int:
    """Set up, run what there is to run, and return the exit code: 0 when nothing wrong was found.

    It is 2 for options that exclude each other.
    """
    if sum(each in arguments for each in (SLOW, ENGINES, CONTAINERS)) > 1:
        print(
            f"Give one of {SLOW}, {ENGINES} and {CONTAINERS}: each runs only its own tests.", file=sys.stderr
        )
        return 2
    options = [each for each in arguments if each not in (NO_BROWSER, SLOW, ENGINES, CONTAINERS)]
    if _install():
        print("The packages could not be installed; what went wrong stands above.", file=sys.stderr)
        return 1
    if ENGINES in arguments:
        return _test_engines(options)
    if CONTAINERS in arguments:
        return _run(PYTHON, "-m", "pytest", CONTAINERS, CONTAINER_TESTS, *options)
    browser = NO_BROWSER not in arguments
    if browser:
        _get_browser()
    left_out = [] if browser else [f"--ignore={BROWSER_TESTS}"]
    slow = SLOW in arguments
    if slow or options:
        chosen = ["-m", "slow"] if slow else []
        return _run(PYTHON, "-m", "pytest", *left_out, *chosen, *(options or WORKERS))
    codes = [_run(PYTHON, "-m", *tool) for tool in LINT]
    codes.append(_run(PYTHON, "-m", "pytest", *left_out, "-m", "not slow", *WORKERS))
    print(f"The slow tests were left out: `python3 -m tests {SLOW}` runs them.")
    return max(codes)


def _test_engines(options: Sequence[str]) -> int:
    engines.make_all()
    tests = ["-m", "pytest", "-m", engines.MARK]
    codes = [_run(PYTHON, *tests, *options)]
    files = [each for each in options if (ROOT / each.partition("::")[0]).exists()]
    for name, path in engines.INSIDE.items():
        own = [each for each in files if each.partition("::")[0] == path]
        if engines.is_made(name) and (own or not files):
            others = [each for each in options if each not in files]
            codes.append(_run(engines.python(name), *tests, *(own or [path]), *others))
    return max([code for code in codes if code != NO_TESTS], default=NO_TESTS)


def _install() -> int:
    requirements = ROOT / "requirements-dev.txt"
    done = ENVIRONMENT / "installed.txt"
    if done.exists() and done.read_bytes() == requirements.read_bytes():
        return 0
    print(f"Installing {requirements.name} into {ENVIRONMENT.name} …", flush=True)
    venv.create(ENVIRONMENT, with_pip=True)
    code = _run(PYTHON, "-m", "pip", "install", "--quiet", "-r", requirements)
    if code == 0:
        shutil.copy(requirements, done)
    return code


def _get_browser() -> None:
    if any(map(shutil.which, BROWSERS)) or not shutil.which("apt-get"):
        return
    sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    print(
        f"Installing Chromium for the browser tests by `{' '.join([*sudo, 'apt-get'])}` …\n"
        f"({NO_BROWSER} leaves both out.)",
        flush=True,
    )
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        if _run(*sudo, *quiet, *command):
            print("That did not work; the browser tests will be skipped.", flush=True)
            return


def _run(*command: str | Path) -> int:
    try:
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    except OSError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
