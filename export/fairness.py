"""Fairness by slices: the false-positive rate of selfies, by the source that they come from."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from export.evaluate import Answers
from train.data.manifest import PEOPLE, TEST, WILD
from train.evaluation import metrics
from train.evaluation.metrics import Rate
from train.run import Run

SOURCES = "sources.csv"
"""Lies beside a folder of groups; its columns `file` and `source` say where a photo comes from."""
GROUP = "selfie"
SPLITS = (TEST, PEOPLE, WILD)


def selfies_by_source(
    run: Run, answers: Mapping[str, Answers], threshold: float
) -> dict[str, dict[str, Rate]]:
    """Return for each split that has them how many selfies of each source were called cats.

    Args:
        run: whose photos were answered.
        answers: to each split, in the order of its manifest.
        threshold: probability from which a photo counts as a cat.

    Returns:
        Rates by split and source; splits whose photos no sources.csv names are left out.
    """
    found = {}
    for split in SPLITS:
        if split in answers:
            sources = _sources(run, split)
            said_cat = answers[split].quick >= threshold
            rates = {
                str(name): metrics.rate(int(said_cat[sources == name].sum()), int((sources == name).sum()))
                for name in np.unique(sources[sources != ""])
            }
            found |= {split: rates} if rates else {}
    return found


def _sources(run: Run, split: str) -> np.ndarray:
    """Return shape (N,): the source of each selfie, empty for anything else."""
    root = run.root(split)
    if root is None:
        return np.array([""] * len(run.manifest(split)), dtype=object)
    known = _read(root.parent / SOURCES)
    return np.array(
        [
            known.get(f"{root.name}/{record.path}", "") if record.group == GROUP else ""
            for record in run.manifest(split)
        ],
        dtype=object,
    )


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row["source"] for row in csv.DictReader(file) if row.get("source")}
