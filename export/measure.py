"""The exported file in the runtime that serves it: its answers, its threshold, its agreement with Keras."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from cat_model.bundle import Bundle, SecondLook
from cat_model.photo import Photo
from cat_model.predict import Predictor
from cat_model.runtime import Runtime
from cat_model.traffic import Aggregate, Counter
from train import evaluate, stress
from train.dataset import CHOOSING, PEOPLE, TEST, VALIDATION, WILD
from train.evaluate import Metrics, Rate
from train.run import Run

T = TypeVar("T")

BATCH = 16
WORKERS = os.cpu_count() or 1
BINS = 10
MEASURED = (VALIDATION, TEST, PEOPLE, WILD)
"""The splits that are measured, where they have photos."""


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
        threshold: chosen on the photos for choosing.
        unsure: band "not sure", chosen on them too.
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


def predictor(model: bytes, side: int, look: SecondLook | None) -> Predictor:
    """Return what serves a .tflite file that has no bundle yet; its verdicts' thresholds mean nothing."""
    return Predictor(Bundle(Path(), model, {}, "", side, 0.5, (0.5, 0.5), look), WORKERS)


def in_batches(work: Callable[[list[T]], np.ndarray], items: Iterable[T]) -> np.ndarray:
    """Let all cores work on batches of items; return their results, joined, in the items' order."""
    rest, ahead, done = iter(items), deque[Future[np.ndarray]](), []
    with ThreadPoolExecutor(WORKERS) as pool:
        while batch := list(islice(rest, BATCH)):
            ahead.append(pool.submit(work, batch))
            if len(ahead) > WORKERS:
                done.append(ahead.popleft().result())
        done += [each.result() for each in ahead]
    return np.concatenate(done)


def judge(judging: Predictor, photos: Iterable[Photo]) -> np.ndarray:
    """Return the probabilities that the app would give photos, shape (N,), float64."""

    def work(batch: list[Photo]) -> np.ndarray:
        return np.array([verdict.probability for verdict in judging.predict_many(batch)])

    return in_batches(work, photos)


def paths(run: Run, split: str) -> Iterator[Path]:
    """Yield the files of a split's photos."""
    root = run.root(split)
    return (root / record.path for record in run.manifest(split))


def traffic(model: bytes, run: Run, look: SecondLook | None) -> Aggregate:
    """Return what the app would count if the validation photos were its traffic."""
    judging, counter = predictor(model, run.config.side, look), Counter()
    judging.observers = (counter,)
    for _ in judging.predict_many(paths(run, VALIDATION)):
        pass
    return counter.total


def plain(judging: Predictor, run: Run) -> dict[str, Answers]:
    """Return the answers to every split of a run that has photos."""
    groups = {split: _groups(run, split) for split in MEASURED}
    return {
        split: Answers(judge(judging, paths(run, split)), names)
        for split, names in groups.items()
        if len(names)
    }


def stressed(judging: Predictor, run: Run) -> dict[str, Answers]:
    """Return the answers to every stress slice of a run's test photos."""
    records, groups = run.manifest(TEST), _groups(run, TEST)
    slices = tqdm(stress.SLICES, desc="stress slices", leave=False, disable=None)
    return {
        name: Answers(judge(judging, stress.photos(run.photos, records, name)), groups) for name in slices
    }


def agreement(model: bytes, pixels: np.ndarray) -> np.ndarray:
    """Return a .tflite file's probabilities for a look at resized photos (N, side, side, 3), shape (N,)."""
    runtime = Runtime(model, WORKERS)
    return in_batches(lambda batch: runtime.run(np.stack(batch)).probability, pixels)


def measure(
    answers: Mapping[str, Answers],
    on_stress: Mapping[str, Answers],
    on_test: tuple[np.ndarray, np.ndarray],
) -> Measurement:
    """Choose the threshold on the answers to `CHOOSING` and measure every split and slice with it.

    Args:
        answers: of the app with the exported file, for each split; validation and test are needed.
        on_stress: the same for each stress slice.
        on_test: what the exported file and the Keras model say of the same pixels of the test photos, each of
            shape (N,).
    """
    exported, original = on_test
    choosing = [answers[split] for split in CHOOSING if split in answers]
    probabilities = np.concatenate([each.probabilities for each in choosing])
    cats = evaluate.is_cat(np.concatenate([each.groups for each in choosing]))
    threshold = evaluate.choose_threshold(probabilities, cats)
    band = evaluate.unsure_band(probabilities, cats, threshold, evaluate.TRUST)

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
        same_verdict=float(((exported >= threshold) == (original >= threshold)).mean()),
        mean_difference=float(np.abs(exported - original).mean()),
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
