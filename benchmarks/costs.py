"""Disk space and start time that each package of the app takes: `python -m benchmarks.costs [--runs 3]`.

Prints a Markdown table: each line of requirements.in, its megabytes on the disk with those of the packages
that come only with it, and the milliseconds that importing them takes until the page is laid out and its
model is loaded (python -X importtime, the median of fresh processes). What several lines bring has a line
of its own.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks._command_line import parser
from benchmarks._server import ROOT

LARGE_MB = 5
START = "from web import __main__ as page; page.create_app(page.ServerSettings.from_env())"
SEVERAL, OURS = "what several of them bring", "Python's own and this project's modules"


def main() -> None:
    """Measure and print."""
    command_line = parser(__doc__)
    command_line.add_argument("--runs", type=int, default=3, help="fresh starts (3)")
    runs = command_line.parse_args().runs
    brought_by = brought(asked_for())
    start = start_ms(brought_by, runs)
    megabytes: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for package, line in brought_by.items():
        megabytes[line][package] = on_disk(package)
    print("| package | large ones that come with it | MB | ms of the start |\n|---|---|---|---|")
    for line, sizes in sorted(megabytes.items(), key=lambda item: -sum(item[1].values())):
        largest = sorted(sizes.items(), key=lambda item: -item[1])
        large = [f"{name} {size:.0f}" for name, size in largest if size > LARGE_MB and name != line]
        print(f"| {line} | {', '.join(large)} | {sum(sizes.values()):.1f} | {start[line]:.0f} |")
    print(f"| {OURS} | | | {start[OURS]:.0f} |")
    all_of_it = sum(sum(sizes.values()) for sizes in megabytes.values())
    print(f"| together, {len(brought_by)} packages | | {all_of_it:.0f} | {sum(start.values()):.0f} |")


def asked_for() -> list[Requirement]:
    """Return the lines of requirements.in."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.in").read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def brought(lines: Iterable[Requirement]) -> dict[str, str]:
    """Return every package that the app needs here, and which line brings it: itself, one or several."""
    lines = list(lines)
    names = {canonicalize_name(line.name) for line in lines}
    bringers: defaultdict[str, set[str]] = defaultdict(set)
    for line in lines:
        name = canonicalize_name(line.name)
        for package in needed(line):
            bringers[package].add(name)
    return {
        package: package if package in names else next(iter(by)) if len(by) == 1 else SEVERAL
        for package, by in bringers.items()
    }


def needed(line: Requirement) -> set[str]:
    """Return what a requirement brings on this machine, itself included."""
    seen: set[tuple[str, str]] = set()
    left = [line]
    while left:
        this = left.pop()
        for extra in ("", *this.extras):
            step = canonicalize_name(this.name), extra
            if step in seen:
                continue
            seen.add(step)
            for text in metadata.requires(this.name) or ():
                other = Requirement(text)
                if other.marker is None or other.marker.evaluate({"extra": extra}):
                    left.append(other)
    return {name for name, _ in seen}


def on_disk(package: str) -> float:
    """Return the megabytes of a package's files, what Python compiled of them included."""
    files = {Path(file.locate()).resolve() for file in metadata.files(package) or ()}
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def start_ms(brought_by: dict[str, str], runs: int) -> dict[str, float]:
    """Return how many milliseconds of the start each line's modules take, by themselves."""
    owners = {
        module: brought_by.get(canonicalize_name(packages[0]), OURS)
        for module, packages in metadata.packages_distributions().items()
    }
    took: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(runs):
        once: defaultdict[str, float] = defaultdict(float)
        for module, own in import_times():
            once[owners.get(module.partition(".")[0], OURS)] += own
        for line in {*brought_by.values(), OURS}:
            took[line].append(once[line])
    return {line: statistics.median(values) for line, values in took.items()}


def import_times() -> list[tuple[str, float]]:
    """Start the app in a fresh process; return its imports and the milliseconds each took by itself."""
    with tempfile.TemporaryDirectory() as folder:
        said = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", START],
            cwd=ROOT,
            env=os.environ | {"CAT_FEEDBACK_DIR": folder, "GRADIO_TEMP_DIR": folder},
            capture_output=True,
            text=True,
            check=True,
        ).stderr
    times = [line.removeprefix("import time:").split("|") for line in said.splitlines() if "|" in line]
    return [(name.strip(), int(own) / 1000) for own, _, name in times if own.strip().isdigit()]


if __name__ == "__main__":
    main()
