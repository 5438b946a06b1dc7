"""A paired comparison of two runs: McNemar's test and paired bootstrap on the photos that both know.

Nothing is computed anew: runs keep their answers. A is the first run, B the second.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cat_model.atomic import write_durably
from train import html_page
from train.config import TrainError
from train.data.manifest import VALIDATION
from train.evaluation import metrics, predictions
from train.evaluation.metrics import resamples
from train.evaluation.predictions import ANSWERS, Answers
from train.run import SUMMARY, Run

PAGE, CHANGED = "compare.html", "changed.csv"


def compare(first: Path, second: Path, out: Path) -> str:
    """Compare two finished runs, each at its own threshold; return what to print.

    Writes a page and the photos whose verdict changed into `OUT/compare-FIRST-SECOND`.

    Raises:
        TrainError: a folder holds no finished run with answers, or the runs share no photos.
    """
    runs = [Run.read(folder) for folder in (first, second)]
    thresholds = [json.loads((run.folder / SUMMARY).read_text())["threshold"] for run in runs]
    pairs = _pairs(*(predictions.read(run.folder / ANSWERS) for run in runs))
    if not pairs:
        raise TrainError(f"{first} and {second} were not measured on any photo that both know.")
    metrics = pd.DataFrame([_measure(split, *pair, *thresholds) for split, pair in pairs.items()])
    changed = pd.concat([_changed(split, *pair, *thresholds) for split, pair in pairs.items()])
    told = [_told(run, threshold) for run, threshold in zip(runs, thresholds, strict=True)]
    otherwise = pd.DataFrame(
        [
            {"what": name, "A": told[0][name], "B": told[1][name]}
            for name in told[0]
            if told[0][name] != told[1][name]
        ],
        columns=["what", "A", "B"],
    )
    folder = out / f"compare-{first.name}-{second.name}"
    parts = {
        "Measured, with 95 % bootstrap intervals of what B gains; p: McNemar": metrics,
        "Done otherwise": otherwise,
        f"Verdicts that changed: {len(changed)}": changed,
    }
    title = f"A: {first.name}, B: {second.name}"
    tables = [f"<h2>{name}</h2>{html_page.table(table)}" for name, table in parts.items()]
    write_durably(folder / PAGE, html_page.page(title, tables))
    write_durably(folder / CHANGED, changed.to_csv(index=False).encode())
    by_group: Any = changed.groupby(["photos", "group", "right"], sort=False).size()  # a Series
    counts = by_group.reset_index(name="verdicts")
    shown = {title: metrics, "Done otherwise": otherwise, "Verdicts that changed": counts}
    texts = (
        f"{name}\n{'none' if each.empty else each.to_string(index=False)}" for name, each in shown.items()
    )
    return "\n\n".join((*texts, f"Written to {folder}"))


def _pairs(of_a: dict[str, Answers], of_b: dict[str, Answers]) -> dict[str, tuple[Answers, Answers]]:
    """Return both runs' answers to the same photos, for each split that was learned from by neither."""
    pairs = {}
    for split, a in of_a.items():
        if split in of_b and split != VALIDATION:
            b = of_b[split]
            _, in_a, in_b = np.intersect1d(a.hashes, b.hashes, return_indices=True)
            if len(in_a):
                pairs[split] = (_chosen(a, in_a), _chosen(b, in_b))
    return pairs


def _chosen(each: Answers, positions: np.ndarray) -> Answers:
    return Answers(*(getattr(each, field.name)[positions] for field in dataclasses.fields(Answers)))


def _measure(split: str, a: Answers, b: Answers, threshold_a: float, threshold_b: float) -> dict[str, object]:
    cats = a.cats
    said_a, said_b = a.probabilities >= threshold_a, b.probabilities >= threshold_b
    errors = [metrics.calibration_error(each.probabilities, cats) for each in (a, b)]
    paired = metrics.mcnemar(said_a == cats, said_b == cats)
    return {
        "photos": split,
        "count": len(cats),
        "recall": _gain((said_a & cats, cats), (said_b & cats, cats)),
        "precision": _gain((said_a & cats, said_a), (said_b & cats, said_b)),
        "calibration error": f"{errors[0]:.4f} → {errors[1]:.4f}",
        "only A right": paired.only_a,
        "only B right": paired.only_b,
        "p": f"{paired.p_value:.4f}",
    }


def _gain(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> str:
    """Return two rates, and a paired bootstrap interval of what the second one is higher by.

    Args:
        a: the first rate's hits and what they are counted among, each of shape (N,), bool.
        b: the second one's.
    """
    draws = resamples(len(a[0]))
    with np.errstate(invalid="ignore"):  # of a resample without any, nothing can be said
        first, second = ((draws @ hits) / (draws @ among) for hits, among in (a, b))
    gains = second - first
    values = [metrics.rate(int(hits.sum()), int(among.sum())).value for hits, among in (a, b)]
    low, high = np.nanpercentile(gains, [2.5, 97.5]) if np.isfinite(gains).any() else (-1.0, 1.0)
    return f"{values[0]:.4f} → {values[1]:.4f} ({low:+.4f} … {high:+.4f})"


def _changed(split: str, a: Answers, b: Answers, threshold_a: float, threshold_b: float) -> pd.DataFrame:
    """Return one row a photo whose verdict is another one, the largest changes first."""
    said_a, said_b = a.probabilities >= threshold_a, b.probabilities >= threshold_b
    changed = np.flatnonzero(said_a != said_b)
    probabilities = [each.probabilities[changed].round(4) for each in (a, b)]
    rows = pd.DataFrame(
        {
            "photos": split,
            "path": a.paths[changed],
            "group": a.groups[changed],
            "right": np.where(said_a == a.cats, "A", "B")[changed],
            "A": probabilities[0],
            "B": probabilities[1],
        }
    )
    return rows.iloc[np.argsort(-np.abs(probabilities[0] - probabilities[1]))]


def _told(run: Run, threshold: float) -> dict[str, str]:
    """Return what a run was told, by name, and its threshold."""
    described = {name: getattr(run, name) for name in ("weights", "data", "code_commit", "command")}
    values = dataclasses.asdict(run.config) | described | {"threshold": round(threshold, 4)}
    return {name: str(value) for name, value in values.items()}
