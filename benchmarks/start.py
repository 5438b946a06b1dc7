"""Seconds until the page answers, beside an empty Gradio page: `python -m benchmarks.start [--runs 5]`.

Each run is a fresh process; the two kinds take turns. Prints both medians, in seconds from the start of the
process to the first answer with status 200, and their ratio, which should stay below 1.5.
"""

import statistics
import time
from collections.abc import Sequence

from benchmarks._command_line import parser
from benchmarks._server import APP, EMPTY, opened

PROGRAMS = {"empty": ("-c", EMPTY), "app": APP}


def main() -> None:
    """Measure and print."""
    command_line = parser(__doc__)
    command_line.add_argument("--runs", type=int, default=5, help="fresh starts of each page (5)")
    runs = command_line.parse_args().runs
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(runs + 1):
        for name, program in PROGRAMS.items():
            seconds[name].append(seconds_to_answer(program))
    # The first start of each reads its files from the disk; it is left out.
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    for name, values in seconds.items():
        print(f"{name:6} median {medians[name]:.2f} s of", *(f"{value:.2f}" for value in values[1:]))
    print(f"ratio  {medians['app'] / medians['empty']:.2f}")


def seconds_to_answer(program: Sequence[str]) -> float:
    """Start a page in a fresh process; return the seconds to its first answer, then stop it."""
    began = time.perf_counter()
    with opened(program):
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
