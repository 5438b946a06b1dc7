"""What larger photos buy and cost: one model's weights, quantised for several input sides.

python -m benchmarks.sizes RUN --sides 160 192 224 256 320 --yardstick FILE

For each side, of the int8 file at one look: milliseconds from a decoded photo to the verdict on one thread,
as a multiple of the yardstick's bare invoke too, and the recall on validation and on people's photos where 1,
2 and 5 % of those without a cat are taken for cats. Neither test nor wild photos are looked at.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import roc_curve

from cat_model.photo import resize
from export import measure, yardstick
from export.convert import CALIBRATION_PHOTOS, convert
from train import model
from train.dataset import CHOOSING, TRAIN
from train.run import MODEL, Run

FALSE = (0.01, 0.02, 0.05)


def recalls(probabilities: np.ndarray, cats: np.ndarray) -> list[float]:
    """Return the recall, 0 to 1, where each share `FALSE` of what is no cat is taken for one, at most.

    Args:
        probabilities: shape (N,), 0 to 1.
        cats: shape (N,), bool.
    """
    false, recall, _ = roc_curve(cats, probabilities)
    return [float(recall[false <= share].max()) for share in FALSE]


def main() -> None:
    """Print a line a side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="run folder of a finished training")
    parser.add_argument("--sides", type=int, nargs="+", default=[160, 192, 224, 256, 320])
    parser.add_argument("--yardstick", type=Path, required=True, help="another uint8 .tflite file")
    options = parser.parse_args()
    run, base = Run.read(options.run), yardstick.read(options.yardstick)
    trained = model.load(run.folder / MODEL)
    pixels = run.pixels(TRAIN)
    some = np.random.default_rng(run.config.seed).permutation(len(pixels))[:CALIBRATION_PHOTOS]
    for side in options.sides:
        shown = np.stack([resize(Image.fromarray(pixels[each]), side) for each in np.sort(some)])
        converted = convert(model.at_side(trained, side), shown, run.config.seed)
        budget = yardstick.measure(converted, base, options.yardstick.name)
        print(
            f"{side} px: {budget.megabytes:.2f} MB, {budget.verdict_ms:.1f} ms, "
            f"{budget.for_gate()['yardstick.time']:.2f} × the yardstick"
        )
        judging = measure.predictor(converted, side, None)
        for split in CHOOSING:
            cats = np.array([record.is_cat for record in run.manifest(split)])
            found = recalls(measure.judge(judging, measure.paths(run, split)), cats)
            told = " / ".join(f"{each:.3f}" for each in found)
            print(f"  {split}: recall {told} at {' / '.join(f'{each:.0%}' for each in FALSE)} false")


if __name__ == "__main__":
    main()
