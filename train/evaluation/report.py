"""A run's report: one HTML file with tables by group and by stress, curves, and the worst errors shown.

It holds other people's photos: it stays in the run folder and in MLflow, and is never committed.
"""

import base64
import html
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from cat_model.files import write_durably
from cat_model.photo import decode
from train.answers import Answers
from train.evaluate import Calibration, Metrics, Rate
from train.plots import KINDS
from train.run import Run

REPORT = "report.html"
WORST = 24
"""Errors shown of each kind: cats that were missed, and what was taken for a cat."""
THUMBNAIL = 140

STYLE = """<meta charset="utf-8"><style>
body { font-family: system-ui, sans-serif; margin: 2em; }
table { border-collapse: collapse; }
td, th { padding: 0.2em 0.7em; border: 1px solid #ccc; text-align: left; }
figure { display: inline-block; margin: 0.3em; vertical-align: top; font-size: 0.7em;
overflow-wrap: anywhere; }
</style>"""


def write(
    run: Run,
    answers: Mapping[str, Answers],
    metrics: Mapping[str, Metrics],
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
        STYLE,
        f"<title>{run.folder.name}</title><h1>{run.folder.name}</h1>",
        f"<p>Threshold {threshold:.4f}. Intervals are 95 % Wilson intervals.</p>",
        "<h2>Splits and stress slices</h2>",
        to_html(by_split(metrics)),
        "<h2>Groups: photos that were called cats</h2>",
        to_html(by_group(metrics)),
        "<h2>Calibration</h2>",
        to_html(pd.DataFrame({name: vars(each) for name, each in calibrations.items()}).T.reset_index()),
    ]
    for split, each in answers.items():
        parts.append(f"<h2>{split}: curves</h2>")
        parts += [picture((plots / f"{split}-{kind}.png").read_bytes(), "png", kind) for kind in KINDS]
        parts.append(f"<h2>{split}: worst errors</h2>")
        parts += _gallery(run.root(split), each, threshold)
    path = run.folder / REPORT
    write_durably(path, "\n".join(parts).encode())
    return path


def by_split(metrics: Mapping[str, Metrics]) -> pd.DataFrame:
    """Return one row a split or stress slice: recall, precision, false "cat", calibration error."""
    rows = []
    for split, each in metrics.items():
        false_cat = sum(rate.hits for rate in each.false_cat.values())
        negatives = sum(rate.total for rate in each.false_cat.values())
        rows.append(
            {
                "photos": split,
                "recall": text(each.recall),
                "precision": text(each.precision),
                "false cat": f"{false_cat} / {negatives}",
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


def to_html(table: pd.DataFrame) -> str:
    """Return a table as HTML, with all of every text."""
    with pd.option_context("display.max_colwidth", None):
        return table.to_html(index=False, float_format="{:.4f}".format)


def worst(answers: Answers, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the cats that were missed and of what was taken for cats, the surest first."""
    order = np.argsort(answers.probabilities, kind="stable")
    said_cat = answers.probabilities[order] >= threshold
    cats = answers.cats[order]
    return order[cats & ~said_cat], order[~cats & said_cat][::-1]


def _gallery(root: Path, answers: Answers, threshold: float) -> Iterator[str]:
    titles = ("Cats that were missed", "Taken for a cat")
    for title, positions in zip(titles, worst(answers, threshold), strict=True):
        yield f"<h3>{title}: {len(positions)}</h3>"
        for position in positions[:WORST]:
            path = str(answers.paths[position])
            yield picture(thumbnail(root / path), "jpeg", f"{answers.probabilities[position]:.3f} {path}")


def thumbnail(path: Path) -> bytes:
    """Return a small JPEG of a photo."""
    image = decode(path)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def picture(data: bytes, kind: str, caption: str) -> str:
    """Return the HTML of a picture, "jpeg" or "png", with words below it."""
    width = THUMBNAIL if kind == "jpeg" else 4 * THUMBNAIL
    return (
        f'<figure style="width:{width}px"><img style="max-width:100%" '
        f'src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
