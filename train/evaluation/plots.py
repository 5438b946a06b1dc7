"""Plots of a run: precision-recall curve, thresholds, reliability diagram, confusion matrix by group.

Shaded bands hold 95 % of the curves over bootstrap resamples of the photos (B. Efron, 1979).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from train.evaluation.metrics import Bin, is_cat, reliability, resamples

KINDS = ("precision-recall", "thresholds", "calibration", "confusion")
STEPS = np.linspace(0.0, 1.0, 201)
"""Where curves are drawn: thresholds, or recalls."""


def draw(
    folder: Path,
    name: str,
    probabilities: np.ndarray,
    groups: np.ndarray,
    *,
    threshold: float,
    band: tuple[float, float],
) -> None:
    """Write NAME-KIND.png for each of KINDS.

    Args:
        folder: where to; must exist.
        name: of the photos, e.g. "test".
        probabilities: shape (N,), 0 to 1.
        groups: shape (N,), names of the groups.
        threshold: drawn into the plots.
        band: lower and upper end of "not sure", drawn into the plots.
    """
    cats = is_cat(groups)
    curves = _Curves(probabilities, cats)
    plots = {
        "precision-recall": lambda axes: _precision_recall(axes, curves, threshold),
        "thresholds": lambda axes: _thresholds(axes, curves, threshold, band),
        "calibration": lambda axes: _calibration(axes, probabilities, cats, threshold),
        "confusion": lambda axes: _confusion(axes, probabilities >= threshold, groups),
    }
    for kind in KINDS:
        figure = Figure(figsize=(5, 4), layout="constrained")
        axes = figure.subplots()
        plots[kind](axes)
        axes.set_title(f"{name}: {kind}")
        figure.savefig(folder / f"{name}-{kind}.png", dpi=120)


class _Curves:
    """Recall and precision when the K photos of the highest probabilities are called cats.

    Row 0 is of the photos themselves, the others are of resamples; column K runs from 0 to N.
    """

    def __init__(self, probabilities: np.ndarray, cats: np.ndarray) -> None:
        order = np.argsort(-probabilities, kind="stable")
        self._ranked = -probabilities[order]
        draws = np.vstack([np.ones(len(cats), dtype=int), resamples(len(cats))])
        found, said = (
            np.pad(np.cumsum(counts, axis=1), ((0, 0), (1, 0))) for counts in (draws * cats[order], draws)
        )
        self.recall = found / np.maximum(found[:, -1:], 1)
        self.precision = np.where(said > 0, found / np.maximum(said, 1), 1.0)

    def said(self, thresholds: np.ndarray) -> np.ndarray:
        """Return how many photos reach each threshold."""
        return np.searchsorted(self._ranked, -thresholds, side="right")


def _band(axes: Axes, x: np.ndarray, curves: np.ndarray, label: str | None, style: str = "-") -> None:
    """Draw the first curve, and the middle 95 % of the others as a band."""
    (line,) = axes.plot(x, curves[0], style, label=label)
    low, high = np.nanpercentile(curves[1:], [2.5, 97.5], axis=0)
    axes.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def _precision_recall(axes: Axes, curves: _Curves, threshold: float) -> None:
    reached = np.array([np.searchsorted(recall, STEPS) for recall in curves.recall])
    reached = np.minimum(reached, curves.recall.shape[1] - 1)  # a resample may have no cats at all
    _band(axes, STEPS, np.take_along_axis(curves.precision, reached, axis=1), None)
    here = curves.said(np.array([threshold]))[0]
    axes.plot(curves.recall[0, here], curves.precision[0, here], "o", label=f"threshold {threshold:.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0.5, 1.005), ylim=(0.5, 1.005))
    axes.legend(loc="lower left")


def _thresholds(axes: Axes, curves: _Curves, threshold: float, band: tuple[float, float]) -> None:
    said = curves.said(STEPS)
    _band(axes, STEPS, curves.recall[:, said], "recall")
    _band(axes, STEPS, curves.precision[:, said], "precision")
    axes.axvline(threshold, color="grey", linewidth=0.8, label=f"threshold {threshold:.3f}")
    axes.axvspan(*band, color="grey", alpha=0.15, linewidth=0, label="not sure")
    axes.set(xlabel="threshold", xlim=(0, 1), ylim=(0.5, 1.005))
    axes.legend(loc="lower left")


def _calibration(axes: Axes, probabilities: np.ndarray, cats: np.ndarray, threshold: float) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    draw_reliability(axes, reliability(probabilities, cats), None)
    axes.axvline(threshold, color="grey", linewidth=0.8)
    axes.set(xlabel="predicted probability", ylabel="fraction of cats")


def draw_reliability(axes: Axes, bins: Sequence[Bin], label: str | None) -> None:
    """Draw a reliability diagram with the bins' 95 % Wilson intervals."""
    rates = [each.cats for each in bins]
    reach = [[rate.value - rate.low for rate in rates], [rate.high - rate.value for rate in rates]]
    said = [each.said for each in bins]
    axes.errorbar(said, [rate.value for rate in rates], reach, marker="o", capsize=2, label=label)


def _confusion(axes: Axes, said_cat: np.ndarray, groups: np.ndarray) -> None:
    names = list(np.unique(groups))
    counts = np.array(
        [[(said_cat & (groups == name)).sum(), (~said_cat & (groups == name)).sum()] for name in names]
    )
    axes.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks([0, 1], ["cat", "not a cat"])
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("answer")
    for (row, column), count in np.ndenumerate(counts):
        dark = count > 0.6 * counts[row].sum()
        axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "black")
