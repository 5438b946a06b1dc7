"""Champion against challenger: the shipped model and the new one by McNemar's test on the same photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cat_model.bundle import Bundle, BundleError
from cat_model.predictor import Predictor
from export import evaluate
from export.evaluate import Answers
from export.reference import Reference
from train.data.manifest import TEST, PhotoRecord
from train.evaluation import metrics
from train.run import Run


@dataclass(frozen=True)
class Comparison:
    """What became of the comparison.

    Attributes:
        version: of the champion; None where there is none, or none that can be compared.
        photos: how many test photos counted.
        better: photos that only the new model answers rightly.
        worse: photos that only the champion answers rightly.
        p_worse: how likely so many worse answers among those that differ are if the two are equally good
            (exact one-sided McNemar test; Q. McNemar, 1947); None where nothing could be compared.
        note: what a reader has to know, in a sentence.
    """

    version: str | None
    photos: int
    better: int
    worse: int
    p_worse: float | None
    note: str


def compare(run: Run, new: Answers, threshold: float, folder: Path) -> Comparison:
    """Compare the new model's answers on a run's test photos with those of the bundle in a folder.

    Only photos count that the champion has not learned from; a bundle without reference.json does not say
    which those are, so all count, which favours the champion.

    Args:
        run: whose test photos are used.
        new: the new model's answers to them, in the order of the manifest.
        threshold: of the new model.
        folder: bundle that would be replaced.
    """
    # A bundle that lost its manifest is a damaged champion, not none.
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return Comparison(None, 0, 0, 0, 1.0, "There is no champion yet: nothing to compare with.")
    try:
        bundle, reference = Bundle.read(folder), Reference.read(folder)
        predict = partial(_probabilities, Predictor(bundle, evaluate.WORKERS))
        probabilities = np.array(evaluate.in_batches(predict, evaluate.paths(run, TEST)))
    except BundleError as error:
        return Comparison(None, 0, 0, 0, None, f"The champion cannot be compared: {error}")
    counted, note = _counted(run.manifest(TEST), reference)
    cats = metrics.is_cat(new.groups)[counted]
    return weigh(
        bundle.version,
        (probabilities[counted] >= bundle.threshold) == cats,
        (new.quick[counted] >= threshold) == cats,
        note,
    )


def _probabilities(champion: Predictor, photos: Sequence[Path]) -> list[float]:
    return [verdict.probability for verdict in champion.predict_many(photos)]


def weigh(version: str, champion: np.ndarray, new: np.ndarray, note: str) -> Comparison:
    """Test whether the new model is worse than the champion.

    Args:
        version: of the champion.
        champion: shape (N,), bool: which answers of the champion are right.
        new: the same of the new model, for the same photos.
        note: goes into the result.
    """
    if not len(new):
        return Comparison(version, 0, 0, 0, None, note)
    paired = metrics.mcnemar(champion, new)
    return Comparison(version, len(new), paired.only_b, paired.only_a, paired.p_b_worse, note)


def _counted(records: Sequence[PhotoRecord], reference: Reference | None) -> tuple[np.ndarray, str]:
    """Return which photos count, shape (N,), bool, and why."""
    if reference is None:
        note = (
            "The champion does not say which photos it learned from, so all test photos count: "
            "it may have seen some of them, which favours it."
        )
        return np.ones(len(records), dtype=bool), note
    counted = np.array([not reference.has_seen(record) for record in records], dtype=bool)
    left_out = len(records) - int(counted.sum())
    return counted, f"{left_out} of {len(records)} test photos are left out: the champion has seen them."
