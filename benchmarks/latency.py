"""One photo's invoke on one thread: the shipped model against a yardstick, in the same run.

python -m benchmarks.latency --yardstick ../shared/peers/imagenet_mobilenet_v2_1.0_224_int8.tflite
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from cat_model.settings import SHIPPED_BUNDLE


def invoker(path: Path) -> Callable[[], None]:
    """Return a function that runs a uint8 model once, on one thread, on random pixels."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (details,) = interpreter.get_input_details()
    pixels = np.random.default_rng(0).integers(0, 256, details["shape"], dtype=np.uint8)
    interpreter.set_tensor(details["index"], pixels)
    return interpreter.invoke


def milliseconds(run: Callable[[], None], count: int) -> list[float]:
    """Return how long each of `count` runs took."""
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        run()
        taken.append(1e3 * (time.perf_counter() - start))
    return taken


def main() -> None:
    """Take turns between the two models, so that a busy moment hits both; print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yardstick", type=Path, required=True, help="another uint8 .tflite file")
    parser.add_argument("--model", type=Path, default=SHIPPED_BUNDLE / "model.tflite")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    models = {"yardstick": invoker(options.yardstick), "model": invoker(options.model)}
    taken: dict[str, list[float]] = {name: [] for name in models}
    for run in models.values():
        milliseconds(run, 20)
    for _ in range(options.rounds):
        for name, run in models.items():
            taken[name] += milliseconds(run, 10)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    for name, median in medians.items():
        tenth = statistics.quantiles(taken[name], n=10)
        print(f"{name:10} median {median:.2f} ms  (10th {tenth[0]:.2f}, 90th {tenth[-1]:.2f})")
    print(f"ratio      {medians['model'] / medians['yardstick']:.3f}")


if __name__ == "__main__":
    main()
