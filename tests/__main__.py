"""Set up and run the tests: `python3 -m tests [options of pytest]`, with nothing but Python 3.11 or newer.

Makes the virtual environment `.venv-dev`, installs requirements-dev.txt into it, gets Chromium for browser
tests where Debian's packages can be installed, and hands over to ruff and pytest.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".venv-dev"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    """Set up, run ruff and pytest, and return the exit code: 0 when both found nothing wrong."""
    if _install():
        print("The packages could not be installed; what went wrong stands above.", file=sys.stderr)
        return 1
    _get_browser()
    ruff = [PYTHON, "-m", "ruff"]
    code = max(_run(*ruff, "check", "--quiet"), _run(*ruff, "format", "--check", "--quiet"))
    return max(code, _run(PYTHON, "-m", "pytest", *sys.argv[1:]))


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
    print("Installing Chromium for the browser tests …", flush=True)
    sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
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
    sys.exit(main())
