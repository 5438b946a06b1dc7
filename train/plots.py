"""The pictures of a run: precision and recall, calibration, and confusion by group."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve

from train.evaluate import is_cat


def draw(folder: Path, name: str, probabilities: np.ndarray, groups: np.ndarray, threshold: float) -> None:
    """Write NAME-precision-recall.png, NAME-calibration.png and NAME-confusion.png.

    Args:
        folder: where to; must exist.
        name: of the photos, e.g. "test".
        probabilities: shape (N,), 0 to 1.
        groups: shape (N,), names of the groups.
        threshold: drawn into the plots.
    """
    cats = is_cat(groups)
    plots = {
        "precision-recall": lambda axes: _precision_recall(axes, probabilities, cats, threshold),
        "calibration": lambda axes: _calibration(axes, probabilities, cats, threshold),
        "confusion": lambda axes: _confusion(axes, probabilities >= threshold, groups),
    }
    for kind, plot in plots.items():
        figure = Figure(figsize=(5, 4), layout="constrained")
        axes = figure.subplots()
        plot(axes)
        axes.set_title(f"{name}: {kind}")
        figure.savefig(folder / f"{name}-{kind}.png", dpi=120)


def _precision_recall(axes: Axes, probabilities: np.ndarray, cats: np.ndarray, threshold: float) -> None:
    precision, recall, cuts = precision_recall_curve(cats, probabilities)
    axes.plot(recall, precision)
    here = min(int(np.searchsorted(cuts, threshold)), len(recall) - 1)
    axes.plot(recall[here], precision[here], "o", label=f"threshold {threshold:.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0.5, 1.005), ylim=(0.5, 1.005))
    axes.legend(loc="lower left")


def _calibration(axes: Axes, probabilities: np.ndarray, cats: np.ndarray, threshold: float) -> None:
    observed, predicted = calibration_curve(cats, probabilities, n_bins=10)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.plot(predicted, observed, "o-")
    axes.axvline(threshold, color="grey", linewidth=0.8)
    axes.set(xlabel="probability said", ylabel="share of cats")


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
