"""What the shipped bundle is to reach: observed shares, by the folders' names ("test": its test split)."""

from collections.abc import Mapping

from export.gate import AT_LEAST, AT_MOST
from train.evaluation.stress import SLICES

HARDEST = "zoom-out-3"
TARGETS: Mapping[str, tuple[str, float]] = {
    "wild.recall": (AT_LEAST, 0.995),
    "wild.precision": (AT_LEAST, 0.995),
    "wild.calibration_error": (AT_MOST, 0.01),
    "people.recall.cat": (AT_LEAST, 0.95),
    "people.recall.cat_hard": (AT_LEAST, 0.5),
    "people.false_cat": (AT_MOST, 0.02),
    "test.cats": (AT_LEAST, 400),
    "test.recall": (AT_LEAST, 0.99),
    "test.precision": (AT_LEAST, 0.99),
    **{f"test.{name}.recall": (AT_LEAST, 0.9 if name == HARDEST else 0.95) for name in SLICES},
    **{f"test.{name}.false_cat": (AT_MOST, 0.01) for name in SLICES},
    "size.megabytes": (AT_MOST, 4.0),
}
"""Each figure's direction and limit."""
