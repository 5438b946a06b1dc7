"""A model's predictions for each photo, kept with its run for reports and for later comparisons."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train.config import TrainError
from train.evaluation import metrics, stress
from train.run import Run

ANSWERS = "answers.csv"
COLUMNS = ("split", "path", "sha256", "group", "probability")


@dataclass(frozen=True)
class Answers:
    """A model's answers to the photos of one split, in its order.

    Attributes:
        paths: shape (N,), files relative to the folder of groups.
        hashes: shape (N,), SHA-256 of the files.
        groups: shape (N,), names of the groups.
        probabilities: shape (N,), float, 0 to 1.
    """

    paths: np.ndarray
    hashes: np.ndarray
    groups: np.ndarray
    probabilities: np.ndarray

    @property
    def cats(self) -> np.ndarray:
        """Shape (N,), bool: which photos show a cat."""
        return metrics.is_cat(self.groups)


def stressed(split: str, name: str) -> str:
    """Return what the photos of a split are called under a stress slice."""
    return f"{split}.{name}"


def ask(run: Run, model: Callable[[np.ndarray], np.ndarray], split: str, name: str | None = None) -> Answers:
    """Ask a model about the photos of a split.

    Args:
        run: whose photos.
        model: from uint8 RGB of shape (N, side, side, 3) to probabilities of shape (N,).
        split: which photos; there must be some.
        name: of a stress slice (`stress.SLICES`) that corrupts them; None for the photos as they are.
    """
    records = run.manifest(split)
    if name is None:
        pixels = run.pixels(split)[:]
    else:
        pixels = stress.pixels(run.need_root(split), records, run.config.side, name)
    return Answers(
        paths=np.array([record.path for record in records]),
        hashes=np.array([record.sha256 for record in records]),
        groups=np.array([record.group for record in records]),
        probabilities=model(pixels),
    )


def write(path: Path, answers: Mapping[str, Answers]) -> None:
    """Write the answers to each split as CSV, one line a photo."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for split, each in answers.items():
            for row in zip(each.paths, each.hashes, each.groups, each.probabilities.tolist(), strict=True):
                writer.writerow((split, *row))


def read(path: Path) -> dict[str, Answers]:
    """Read what `write` wrote.

    Raises:
        TrainError: there is no such file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise TrainError(f"{path} is missing: the run was made before answers were kept.") from error
    splits = dict.fromkeys(row["split"] for row in rows)
    return {split: _answers([row for row in rows if row["split"] == split]) for split in splits}


def _answers(rows: list[dict[str, str]]) -> Answers:
    paths, hashes, groups = (np.array([row[name] for row in rows]) for name in ("path", "sha256", "group"))
    return Answers(paths, hashes, groups, np.array([float(row["probability"]) for row in rows]))
