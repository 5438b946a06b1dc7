"""One photo on one thread: the shipped model against a yardstick, in the same run.

python -m benchmarks.latency --yardstick ../shared/peers/imagenet_mobilenet_v2_1.0_224_int8.tflite
"""

import argparse
import statistics
from pathlib import Path

from cat_model.settings import SHIPPED_BUNDLE
from export import yardstick


def main() -> None:
    """Print medians, tenths and ratios to the yardstick's bare invoke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yardstick", type=Path, required=True, help="another uint8 .tflite file")
    parser.add_argument("--model", type=Path, default=SHIPPED_BUNDLE / "model.tflite")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    taken = yardstick.times(options.model.read_bytes(), yardstick.read(options.yardstick), options.rounds)
    base = statistics.median(taken["yardstick"])
    for name, values in taken.items():
        tenth, median = statistics.quantiles(values, n=10), statistics.median(values)
        print(
            f"{name:10} median {median:.2f} ms  (10th {tenth[0]:.2f}, 90th {tenth[-1]:.2f})  "
            f"{median / base:.3f} × the yardstick"
        )


if __name__ == "__main__":
    main()
