"""Size, time and recall at several input sides: one model's weights, quantised for each.

python -m benchmarks.sizes RUN --sides 160 192 224 256 320 --baseline FILE

For each side, of the int8 file's full view: milliseconds from a decoded photo to the verdict on one thread,
as a multiple of the baseline's bare invoke too, and the recall on validation and on people's photos at
false-positive rates of 1, 2 and 5 %. Neither test nor wild photos are looked at.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import roc_curve

from benchmarks._command_line import parser
from cat_model.photo import resize
from export import baseline, evaluate
from export.convert import CALIBRATION_PHOTOS, convert
from export.evaluate import Plan
from train.data.manifest import CHOOSING, TRAIN
from train.evaluation.metrics import is_cat
from train.models import heads
from train.run import MODEL, Run

RATES = (0.01, 0.02, 0.05)
"""False-positive rates at which recall is told."""


def recalls(probabilities: np.ndarray, cats: np.ndarray) -> list[float]:
    """Return the recall, 0 to 1, at each false-positive rate of RATES, at most.

    Args:
        probabilities: shape (N,), 0 to 1.
        cats: shape (N,), bool.
    """
    false, recall, _ = roc_curve(cats, probabilities)
    return [float(recall[false <= share].max()) for share in RATES]


def main() -> None:
    """Print a line a side."""
    command_line = parser(__doc__)
    command_line.add_argument("run", type=Path, help="run folder of a finished training")
    command_line.add_argument("--sides", type=int, nargs="+", default=[160, 192, 224, 256, 320])
    command_line.add_argument("--baseline", type=Path, required=True, help="another uint8 .tflite file")
    options = command_line.parse_args()
    run, base = Run.read(options.run), baseline.read(options.baseline)
    trained = heads.load(run.folder / MODEL)
    pixels = run.pixels(TRAIN)
    some = np.random.default_rng(run.config.seed).permutation(len(pixels))[:CALIBRATION_PHOTOS]
    for side in options.sides:
        shown = np.stack([resize(Image.fromarray(pixels[each]), side) for each in np.sort(some)])
        converted = convert(heads.at_side(trained, side), shown, run.config.seed)
        budget = baseline.measure(converted, base, options.baseline.name)
        print(
            f"{side} px: {budget.megabytes:.2f} MB, {budget.verdict_ms:.1f} ms, "
            f"{budget.for_gate()['baseline.first_view']:.2f} × the baseline"
        )
        model = evaluate.cascade(converted)
        for split in filter(run.manifest, CHOOSING):
            passes = evaluate.record(model, evaluate.paths(run, split), Plan())
            said = evaluate.answers(passes, evaluate.groups(run, split), Plan())
            found = recalls(said.quick, is_cat(said.groups))
            told = " / ".join(f"{each:.3f}" for each in found)
            print(
                f"  {split}: recall {told} at {' / '.join(f'{each:.0%}' for each in RATES)} false positives"
            )


if __name__ == "__main__":
    main()
