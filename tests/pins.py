"""Renews the pins: `python -m tests.pins [PACKAGE…]`, or `make pins`.

Compiles each requirements*.in to the newest versions that fit together on every platform, with the hashes of
their files, and writes the version of Gradio into the front matter of README.md, which the Space goes by.
Those of pipelines/ and tests/ are of engines, which have environments of their own. With names of packages
only those are renewed, and what the .in files ask for anew is added.

Needs a package index. If one set cannot be compiled, nothing is written.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETS = ("requirements", "requirements-train", "requirements-dev")
"""What is pinned for the project; each set contains the one before."""
ENGINES = ("pipelines", "tests")
"""Folders that hold sets of engines."""
OLDEST = "3.11"
"""The oldest Python that the pins must fit; newer ones may get other versions by markers."""
README = "README.md"
SPACE = re.compile(r"^sdk_version: .*$", re.MULTILINE)
GRADIO = re.compile(r"^gradio==(\S+)", re.MULTILINE)


class PinsError(Exception):
    """The pins cannot be renewed; the message says why."""


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Renew the pins of the project in a folder; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.pins", description="Renew the pinned versions.")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="renew only these (all of them)")
    packages = parser.parse_args(arguments).packages
    try:
        with tempfile.TemporaryDirectory() as folder:
            renewed = compiled(root, Path(folder), packages)
            readme = following((root / README).read_text("utf-8"), renewed[f"{SETS[0]}.txt"])
    except PinsError as error:
        print(error, file=sys.stderr)
        return 1
    for name, text in (*renewed.items(), (README, readme)):
        (root / name).write_text(text, "utf-8")
    return 0


def compiled(root: Path, folder: Path, packages: Sequence[str]) -> dict[str, str]:
    """Return the new text of each set of pins, by the name of its file.

    Args:
        root: where the present sets lie.
        folder: empty, for the work.
        packages: what may change; all of it if there are none.

    Raises:
        PinsError: a set cannot be compiled.
    """
    engines = [path.relative_to(root) for each in ENGINES for path in (root / each).rglob("requirements*.in")]
    for path in (*root.glob("requirements*.*"), *map(root.joinpath, engines)):
        for each in (path, path.with_suffix(".txt")):
            copy = folder / each.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if each.exists():  # a new set has no pins yet
                shutil.copy(each, copy)
    upgrade = [f"--upgrade-package={package}" for package in packages] or ["--upgrade"]
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--universal", "--python-version", OLDEST),
        *("--quiet", "--generate-hashes", "--custom-compile-command", "make pins", *upgrade),
    ]
    sets = [*(Path(f"{name}.in") for name in SETS), *sorted(engines)]  # engines may refer to the project's
    for path in sets:
        files = [path.name, "-o", path.with_suffix(".txt").name]
        if subprocess.run([*command, *files], cwd=folder / path.parent, check=False).returncode:
            raise PinsError(f"{path.as_posix()} could not be compiled; nothing was changed.")
    outputs = [path.with_suffix(".txt") for path in sets]
    return {path.as_posix(): (folder / path).read_text("utf-8") for path in outputs}


def following(readme: str, pins: str) -> str:
    """Return the text of README with the version of Gradio that is pinned.

    Raises:
        PinsError: Gradio is not pinned, or the front matter names no version.
    """
    pinned = GRADIO.search(pins)
    if not pinned or not SPACE.search(readme):
        raise PinsError(f"{README} or the pins name no version of Gradio; nothing was changed.")
    return SPACE.sub(f"sdk_version: {pinned[1]}", readme, count=1)


if __name__ == "__main__":
    sys.exit(main())
