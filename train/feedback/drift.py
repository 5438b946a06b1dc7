"""Whether the photos that the page gets are still those that its model was chosen on: a report with plots."""

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from cat_model import drift, traffic
from cat_model.bundle import Bundle, BundleError
from cat_model.drift import Drift, DriftError
from cat_model.files import write_durably
from cat_model.traffic import BLOCK, EDGES, TIMES_MS, Aggregate
from train import report as pages
from train.config import TrainError

PAGE = "drift.html"


def report(folder: Path, bundle: Path, out: Path) -> Drift:
    """Compare the page's counts with a bundle's reference; write a page with plots.

    Args:
        folder: where the page counts (CAT_FEEDBACK_DIR).
        bundle: that it serves.
        out: folder that the page is written to.

    Raises:
        TrainError: there is nothing to compare, or nothing to compare with.
    """
    try:
        model = Bundle.read(bundle)
        blocks = traffic.read(traffic.file_of(folder, model.manifest["model"]["sha256"]))
        reference = drift.read_reference(bundle)
        found = drift.judge(blocks, reference)
    except (BundleError, DriftError) as error:
        raise TrainError(str(error)) from error
    except (OSError, ValueError) as error:
        raise TrainError(f"The page's counts for {bundle} cannot be read from {folder}: {error}") from error
    history = [drift.judge(blocks[: number + 1], reference) for number in range(len(blocks))]
    table = pd.DataFrame(
        [
            {"what": f.name, "found": f.found, "alarm above": f.limit, "": "ALARM" if f.alarm else ""}
            for f in found.findings
        ]
    )
    refused = found.window.refused / max(1, found.window.refused + found.window.photos)
    parts = [
        pages.STYLE,
        f"<title>Drift</title><h1>Drift: {model.version}</h1>",
        f"<p>The last {found.window.photos} photos against {found.reference.photos} of the reference. "
        f"Refused: {found.window.refused} ({refused:.1%}).</p>",
        pages.to_html(table),
        pages.picture(_scores(found), "png", "Scores"),
        pages.picture(_history(history), "png", f"Each finding as a share of its limit, by {BLOCK} photos"),
        pages.picture(_times(found.window), "png", "How long a verdict took"),
    ]
    write_durably(out / PAGE, "\n".join(parts).encode())
    return found


def _scores(found: Drift) -> bytes:
    edges = [0.0, *EDGES, 1.0]
    names = [f"{low:g} – {high:g}" for low, high in pairwise(edges)]
    figure, axes = _figure()
    for shift, (name, each) in enumerate({"page": found.window, "reference": found.reference}.items()):
        shares = np.array(each.scores) / sum(each.scores)
        axes.bar(np.arange(len(names)) + 0.4 * shift, shares, 0.4, label=name)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set(xlabel="probability", ylabel="share of the photos")
    axes.legend()
    return _png(figure)


def _history(history: list[Drift]) -> bytes:
    figure, axes = _figure()
    for finding in range(len(history[0].findings)):
        each = [drift_then.findings[finding] for drift_then in history]
        axes.plot([f.found / f.limit for f in each], marker="o", label=each[0].name)
    axes.axhline(1, color="grey", linestyle=":")
    axes.set(xlabel="block", ylabel="of its limit", ylim=(0, None))
    axes.legend()
    return _png(figure)


def _times(window: Aggregate) -> bytes:
    names = [f"< {limit}" for limit in TIMES_MS] + ["more"]
    figure, axes = _figure()
    axes.bar(names, window.times)
    axes.set(xlabel="milliseconds", ylabel="verdicts")
    return _png(figure)


def _figure():  # noqa: ANN202 - matplotlib is imported where it is used
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    return figure, figure.subplots()


def _png(figure) -> bytes:  # noqa: ANN001 - as above
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
