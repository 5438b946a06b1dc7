"""Time from a phone's 12-megapixel photo to its verdict, decoded at reduced scale and whole.

`python -m benchmarks.decode` prints the median of each, in milliseconds on this machine, and their ratio,
which should stay below one third.
"""

import io
import statistics
import time

import numpy as np
from PIL import Image

import cat_model
from benchmarks._command_line import parser
from benchmarks._server import CAT
from cat_model.photo import decode

SIZE = (4000, 3000)


def phone_photo(grain: float = 4) -> bytes:
    """Return a JPEG of 12 megapixels, the larger the more grain (a standard deviation, in grey levels)."""
    big = np.asarray(Image.open(CAT).resize(SIZE, Image.Resampling.BICUBIC), np.int16)
    noise = np.random.default_rng(0).normal(0, grain, big.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(big + noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def main() -> None:
    """Measure and print."""
    command_line = parser(__doc__)
    command_line.add_argument("--rounds", type=int, default=20, help="verdicts of each kind (20)")
    rounds = command_line.parse_args().rounds
    predictor, data = cat_model.load(), phone_photo()
    ways = {
        "reduced": lambda: predictor.predict(data),
        "whole": lambda: predictor.predict(decode(data)),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, answer in ways.items():
            began = time.perf_counter()
            answer()
            taken[name].append(1000 * (time.perf_counter() - began))
    medians = {name: statistics.median(values[1:]) for name, values in taken.items()}
    print(f"a JPEG of {SIZE[0]} × {SIZE[1]} pixels, {len(data) / 1e6:.1f} MB")
    for name, median in medians.items():
        print(f"{name:8} median {median:.1f} ms")
    print(f"ratio    {medians['reduced'] / medians['whole']:.2f}")


if __name__ == "__main__":
    main()
