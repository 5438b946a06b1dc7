"""Time of one photo on one thread: the shipped model against a baseline, in the same run.

python -m benchmarks.latency --baseline ../shared/peers/imagenet_mobilenet_v2_1.0_224_int8.tflite

Of the baseline the bare invoke is measured; of the model that, too ("invoke"), and the time from a decoded
photo to the answer of its full view ("verdict").
"""

import statistics
from pathlib import Path

from benchmarks._command_line import parser
from cat_model.bundle import MODEL
from cat_model.settings import SHIPPED_BUNDLE
from export import baseline


def main() -> None:
    """Print medians, tenths and ratios to the baseline's bare invoke."""
    command_line = parser(__doc__)
    command_line.add_argument("--baseline", type=Path, required=True, help="another uint8 .tflite file")
    command_line.add_argument("--model", type=Path, default=SHIPPED_BUNDLE / MODEL, help="the shipped one")
    command_line.add_argument("--rounds", type=int, default=30, help="turns of ten runs each (30)")
    options = command_line.parse_args()
    taken = baseline.times(options.model.read_bytes(), baseline.read(options.baseline), options.rounds)
    base = statistics.median(taken["baseline"])
    for name, values in taken.items():
        tenth, median = statistics.quantiles(values, n=10), statistics.median(values)
        print(
            f"{name:10} median {median:.2f} ms  (10th {tenth[0]:.2f}, 90th {tenth[-1]:.2f})  "
            f"{median / base:.3f} × the baseline"
        )


if __name__ == "__main__":
    main()
