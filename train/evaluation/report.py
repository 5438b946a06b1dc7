"""A run's HTML report: recall and false-positive rates by group and stress slice, curves, the worst errors.

It holds other people's photos: it stays in the run folder and in MLflow, and is never committed.
"""

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from cat_model.atomic import write_durably
from train import html_page
from train.evaluation.metrics import Calibration, Metrics, Rate
from train.evaluation.plots import KINDS
from train.evaluation.predictions import Answers
from train.run import Run

REPORT = "report.html"
WORST = 24
"""Errors shown of each kind: false negatives and false positives."""


def write(
    run: Run,
    answers: Mapping[str, Answers],
    metrics: Mapping[str, Metrics],
    *,
    calibrations: Mapping[str, Calibration],
    threshold: float,
    plots: Path,
) -> Path:
    """Write the report into the run folder; return its path.

    Args:
        run: which was measured.
        answers: of the model, to each split whose errors are shown.
        metrics: of each split, and of each stress slice.
        calibrations: of each split.
        threshold: probability from which a photo counts as a cat.
        plots: folder that `plots.draw` drew each of the answered splits into.
    """
    parts = [
        f"<p>Threshold {threshold:.4f}. Intervals are 95 % Wilson intervals.</p>",
        "<h2>Splits and stress slices</h2>",
        html_page.table(by_split(metrics)),
        "<h2>Groups: photos that were called cats</h2>",
        html_page.table(by_group(metrics)),
        "<h2>Calibration</h2>",
        html_page.table(_calibration(calibrations)),
    ]
    for split, each in answers.items():
        parts.append(f"<h2>{split}: curves</h2>")
        drawn = [html_page.plotted((plots / f"{split}-{kind}.png").read_bytes(), kind) for kind in KINDS]
        parts.append(html_page.gallery(drawn))
        parts.append(f"<h2>{split}: worst errors</h2>")
        parts += _errors(run.need_root(split), each, threshold)
    path = run.folder / REPORT
    write_durably(path, html_page.page(run.folder.name, parts))
    return path


def by_split(metrics: Mapping[str, Metrics]) -> pd.DataFrame:
    """Return one row a split or stress slice: recall, precision, false positives, calibration error."""
    rows = []
    for split, each in metrics.items():
        false_cat = sum(rate.hits for rate in each.false_cat.values())
        negatives = sum(rate.total for rate in each.false_cat.values())
        rows.append(
            {
                "photos": split,
                "recall": text(each.recall),
                "precision": text(each.precision),
                "false positives": f"{false_cat} / {negatives}",
                "calibration error": f"{each.ece:.4f}",
            }
        )
    return pd.DataFrame(rows)


def by_group(metrics: Mapping[str, Metrics]) -> pd.DataFrame:
    """Return one row a split or stress slice and group: photos that were called cats."""
    rows = [
        {"photos": split, "group": group, "said cat": text(rate)}
        for split, each in metrics.items()
        for group, rate in (*each.recall_of.items(), *each.false_cat.items())
    ]
    return pd.DataFrame(rows)


def text(rate: Rate) -> str:
    """Return a rate with its interval and its counts."""
    return f"{rate.value:.4f} ({rate.low:.3f} – {rate.high:.3f}; {rate.hits} / {rate.total})"


def _calibration(calibrations: Mapping[str, Calibration]) -> pd.DataFrame:
    return pd.DataFrame({name: vars(each) for name, each in calibrations.items()}).T.reset_index()


def worst(answers: Answers, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the false negatives and of the false positives, the surest first."""
    order = np.argsort(answers.probabilities, kind="stable")
    said_cat = answers.probabilities[order] >= threshold
    cats = answers.cats[order]
    return order[cats & ~said_cat], order[~cats & said_cat][::-1]


def _errors(root: Path, answers: Answers, threshold: float) -> Iterator[str]:
    titles = ("False negatives: cats that were missed", "False positives: called a cat")
    for title, positions in zip(titles, worst(answers, threshold), strict=True):
        yield f"<h3>{title}: {len(positions)}</h3>"
        yield html_page.gallery(_error(root, answers, position) for position in positions[:WORST].tolist())


def _error(root: Path, answers: Answers, position: int) -> str:
    path = str(answers.paths[position])
    caption = f"{answers.probabilities[position]:.3f} {path}"
    return html_page.photos([(path, html_page.thumbnail(root / path))], escape(caption))
