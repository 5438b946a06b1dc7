"""The exported file in the runtime that serves it: its answers, its threshold, its agreement with Keras."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from cat_model.runtime import Runtime
from train import evaluate, stress
from train.dataset import PEOPLE, TEST, VALIDATION, WILD
from train.evaluate import Metrics, Rate
from train.run import Run

BATCH = 16
BINS = 10
MEASURED = (VALIDATION, TEST, PEOPLE, WILD)
"""The splits that are measured, where they have photos."""
TRUST = 0.99
"""How sure an answer outside the band "not sure" is on validation photos."""


@dataclass(frozen=True)
class Answers:
    """What a model says of the photos of one split.

    Attributes:
        probabilities: shape (N,), float32, 0 to 1.
        groups: shape (N,), names of the photos' groups.
    """

    probabilities: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class Bin:
    """Photos with similar probabilities (a reliability diagram's bar).

    Attributes:
        low: least probability, 0 to 1.
        high: end of the probabilities.
        said: their mean.
        cats: how many of the photos are cats, with the interval.
    """

    low: float
    high: float
    said: float
    cats: Rate


@dataclass(frozen=True)
class Measurement:
    """Everything that was found out about an exported file's answers.

    Attributes:
        threshold: chosen on validation photos.
        unsure: band "not sure", chosen on validation photos.
        metrics: of each split at that threshold.
        stress: of each stress slice of the test photos at that threshold.
        calibration: of each split, the bins that have photos.
        same_verdict: share of test photos on which Keras says the same.
        mean_difference: mean absolute difference of the probabilities to Keras, on test photos.
    """

    threshold: float
    unsure: tuple[float, float]
    metrics: Mapping[str, Metrics]
    stress: Mapping[str, Metrics]
    calibration: Mapping[str, Sequence[Bin]]
    same_verdict: float
    mean_difference: float


def batches(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield resized photos, shape (N, side, side, 3), uint8, in batches."""
    for start in range(0, len(pixels), BATCH):
        yield np.ascontiguousarray(pixels[start : start + BATCH])


def answer(model: bytes, photos: Iterable[np.ndarray]) -> np.ndarray:
    """Return the probabilities that a .tflite file gives batches of resized photos, shape (N,), float32."""
    runtime = Runtime(model, threads=os.cpu_count() or 1)
    return np.concatenate([runtime.run(batch).probability for batch in photos])


def plain(model: bytes, run: Run) -> dict[str, Answers]:
    """Return a file's answers to every split of a run that has photos."""
    groups = {split: _groups(run, split) for split in MEASURED}
    return {
        split: Answers(answer(model, batches(run.pixels(split))), names)
        for split, names in groups.items()
        if len(names)
    }


def stressed(model: bytes, run: Run) -> dict[str, Answers]:
    """Return a file's answers to every stress slice of a run's test photos."""
    records, groups = run.manifest(TEST), _groups(run, TEST)
    answers = {}
    for name in tqdm(stress.SLICES, desc="stress slices", leave=False, disable=None):
        photos = stress.pixels(run.photos, records, run.config.side, name)
        answers[name] = Answers(answer(model, photos), groups)
    return answers


def measure(
    answers: Mapping[str, Answers], on_stress: Mapping[str, Answers], keras_on_test: np.ndarray
) -> Measurement:
    """Choose the threshold on validation answers and measure every split and slice with it.

    Args:
        answers: of the exported file, for each split; validation and test are needed.
        on_stress: of the exported file, for each stress slice.
        keras_on_test: what the Keras model says of the same test photos, shape (N,).
    """
    validation, test = answers[VALIDATION], answers[TEST]
    cats = evaluate.is_cat(validation.groups)
    threshold = evaluate.choose_threshold(validation.probabilities, cats)
    band = evaluate.unsure_band(validation.probabilities, cats, threshold, TRUST)

    def metrics(each: Mapping[str, Answers]) -> dict[str, Metrics]:
        return {
            name: evaluate.measure(of.probabilities, of.groups, threshold, band) for name, of in each.items()
        }

    return Measurement(
        threshold=threshold,
        unsure=band,
        metrics=metrics(answers),
        stress=metrics(on_stress),
        calibration={split: reliability(of) for split, of in answers.items()},
        same_verdict=float(((test.probabilities >= threshold) == (keras_on_test >= threshold)).mean()),
        mean_difference=float(np.abs(test.probabilities - keras_on_test).mean()),
    )


def reliability(answers: Answers) -> list[Bin]:
    """Return how often photos are cats, by what was said of them, in bins of equal width that have photos."""
    cats = evaluate.is_cat(answers.groups)
    which = np.minimum((answers.probabilities * BINS).astype(int), BINS - 1)
    return [
        Bin(
            low=int(each) / BINS,
            high=(int(each) + 1) / BINS,
            said=float(answers.probabilities[which == each].mean()),
            cats=evaluate.rate(int(cats[which == each].sum()), int((which == each).sum())),
        )
        for each in np.unique(which)
    ]


def for_gate(measured: Measurement, groups: Iterable[str]) -> dict[str, float | dict[str, float | None]]:
    """Return the figures that the gate's rules ask for, by the rules' names.

    Of every rate it is the worse end of the 95 % Wilson interval: the lower end of recall and precision, the
    upper end of false "cat". So too few photos never pass by luck.

    Args:
        measured: what was found out.
        groups: the negative groups that must have been measured.
    """
    test = measured.metrics[TEST]
    figures: dict[str, float | dict[str, float | None]] = {
        "test.recall": test.recall.low,
        "test.precision": test.precision.low,
        "test.calibration_error": test.ece,
        "test.false_cat": {
            group: test.false_cat[group].high if group in test.false_cat else None for group in groups
        },
        "agreement.same_verdict": measured.same_verdict,
        "agreement.mean_difference": measured.mean_difference,
    }
    for name, metrics in measured.stress.items():
        figures[f"stress.recall.{name}"] = metrics.recall.low
        figures[f"stress.false_cat.{name}"] = false_cat(metrics).high
    return figures


def false_cat(metrics: Metrics) -> Rate:
    """Return how many photos of all negative groups together were taken for cats."""
    rates = metrics.false_cat.values()
    return evaluate.rate(sum(each.hits for each in rates), sum(each.total for each in rates))


def _groups(run: Run, split: str) -> np.ndarray:
    return np.array([record.group for record in run.manifest(split)])
