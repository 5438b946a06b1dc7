"""The drift report: the page's traffic against the bundle's reference, with plots."""

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cat_model.atomic import write_durably
from cat_model.bundle import Bundle, BundleError
from cat_model.monitoring import drift, traffic
from cat_model.monitoring.drift import Drift, DriftError
from cat_model.monitoring.traffic import BLOCK, EDGES, TIMES_MS, Aggregate
from train import html_page
from train.config import TrainError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE = "drift.html"


class TooFewPhotosError(TrainError):
    """The page has not judged enough photos with this bundle yet to compare them."""


def report(folder: Path, bundle: Path, out: Path) -> Drift:
    """Compare the page's counts with a bundle's reference; write a page with plots.

    Args:
        folder: where the page counts (CAT_FEEDBACK_DIR).
        bundle: that it serves.
        out: folder that the page is written to.

    Raises:
        TooFewPhotosError: the page has not counted enough photos of this bundle yet.
        TrainError: there is nothing to compare with, or the counts cannot be read.
    """
    try:
        model = Bundle.read(bundle)
        reference = drift.read_reference(bundle)
        blocks = traffic.read(traffic.file_of(folder, model.manifest["model"]["sha256"]))
        if not blocks:
            raise TooFewPhotosError("Too few photos were judged yet to say anything.")
        found = drift.compare(blocks, reference)
    except (BundleError, DriftError) as error:
        raise TrainError(str(error)) from error
    except (OSError, ValueError) as error:
        # A page that has just begun to serve a bundle has counted nothing yet.
        begun = isinstance(error, FileNotFoundError) and folder.is_dir()
        kind = TooFewPhotosError if begun else TrainError
        raise kind(f"The page's counts for {bundle} cannot be read from {folder}: {error}") from error
    history = [drift.compare(blocks[: number + 1], reference) for number in range(len(blocks))]
    table = pd.DataFrame(
        [
            {"what": f.name, "found": f.found, "alarm above": f.limit, "": "ALARM" if f.alarm else ""}
            for f in found.tests
        ]
    )
    refused = found.window.refused / max(1, found.window.refused + found.window.photos)
    parts = [
        f"<p>The last {found.window.photos} photos against {found.reference.photos} of the reference. "
        f"Refused: {found.window.refused} ({refused:.1%}).</p>",
        html_page.table(table),
        html_page.plot(_scores(found), "Scores"),
        html_page.plot(
            _history(history), f"Each test's statistic as a fraction of its limit, by {BLOCK} photos"
        ),
        html_page.plot(_times(found.window), "How long a verdict took"),
    ]
    write_durably(out / PAGE, html_page.page(f"Drift: {model.version}", parts))
    return found


def _scores(found: Drift) -> "Figure":
    edges = [0.0, *EDGES, 1.0]
    names = [f"{low:g} – {high:g}" for low, high in pairwise(edges)]
    figure, axes = _figure()
    for shift, (name, each) in enumerate({"page": found.window, "reference": found.reference}.items()):
        shares = np.array(each.scores) / sum(each.scores)
        axes.bar(np.arange(len(names)) + 0.4 * shift, shares, 0.4, label=name)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set(xlabel="probability", ylabel="share of the photos")
    axes.legend()
    return figure


def _history(history: list[Drift]) -> "Figure":
    figure, axes = _figure()
    for number in range(len(history[0].tests)):
        each = [drift_then.tests[number] for drift_then in history]
        axes.plot([f.found / f.limit for f in each], marker="o", label=each[0].name)
    axes.axhline(1, color="grey", linestyle=":")
    axes.set(xlabel="block", ylabel="of its limit", ylim=(0, None))
    axes.legend()
    return figure


def _times(window: Aggregate) -> "Figure":
    names = [f"< {limit}" for limit in TIMES_MS] + ["more"]
    figure, axes = _figure()
    axes.bar(names, window.times)
    axes.set(xlabel="milliseconds", ylabel="verdicts")
    return figure


def _figure() -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    return figure, figure.subplots()
