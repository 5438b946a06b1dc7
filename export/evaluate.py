"""Evaluation of the exported file in the runtime that serves it: passes over photos, answers, metrics."""

import dataclasses
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

from cat_model.cascade import FULL, Cascade, Pass, Search, Zooms, combine, needs_inner, needs_zooms
from cat_model.monitoring.traffic import Aggregate
from cat_model.photo import Photo, decode
from cat_model.runtime import Runtime
from cat_model.verdict import Threshold
from train.data.manifest import PEOPLE, TEST, VALIDATION, WILD
from train.evaluation import metrics, stress
from train.evaluation.metrics import Bin, Metrics, Rate
from train.run import Run

T = TypeVar("T")

BATCH = 16
WORKERS = os.cpu_count() or 1
MEASURED = (VALIDATION, TEST, PEOPLE, WILD)
"""The splits that are measured, where they have photos."""
HARD = "cat_hard"
"""The group of tiny, hidden and dark cats, which have rules of their own in the gate."""

Passes = Mapping[str, Pass]
"""The passes over one photo, by their names."""


@dataclass(frozen=True)
class Plan:
    """How an exported file looks at photos; the two are fitted together.

    Attributes:
        zooms: None for the full view alone.
        search: the thorough search; None for none.
    """

    zooms: Zooms | None = None
    search: Search | None = None


@dataclass(frozen=True)
class Answers:
    """What a model says of the photos of one set.

    Attributes:
        quick: probabilities, shape (N,), float64, 0 to 1.
        thorough: those of the thorough search; the quick ones where there is none.
        groups: shape (N,), names of the photos' groups.
        zoomed: shape (N,), bool: which photos got zooms.
        passes: shape (N,): how many passes a quick answer took.
    """

    quick: np.ndarray
    thorough: np.ndarray
    groups: np.ndarray
    zoomed: np.ndarray
    passes: np.ndarray


@dataclass(frozen=True)
class Measurement:
    """Everything that was found out about an exported file's answers.

    Attributes:
        point: threshold and band of quick answers.
        thorough_point: those of thorough ones; None without a thorough search.
        metrics: of quick answers to each split.
        thorough: of thorough ones; empty without a thorough search.
        stress: of quick answers to each stress slice of the test photos.
        calibration: of each split, the bins that have photos.
        passes: mean passes of a quick answer, by split.
        same_verdict: fraction of test photos on whose full view Keras says the same.
        mean_difference: mean absolute difference of the probabilities to Keras, on the same.
    """

    point: Threshold
    thorough_point: Threshold | None
    metrics: Mapping[str, Metrics]
    thorough: Mapping[str, Metrics]
    stress: Mapping[str, Metrics]
    calibration: Mapping[str, Sequence[Bin]]
    passes: Mapping[str, float]
    same_verdict: float
    mean_difference: float


def in_batches(work: Callable[[list[T]], list], items: Iterable[T]) -> list:
    """Let all cores work on batches of items; return their results, joined, in the items' order."""
    rest, ahead, done = iter(items), deque[Future[list]](), []
    with ThreadPoolExecutor(WORKERS) as pool:
        while batch := list(islice(rest, BATCH)):
            ahead.append(pool.submit(work, batch))
            if len(ahead) > WORKERS:
                done += ahead.popleft().result()
        for each in ahead:
            done += each.result()
    return done


def cascade(model: bytes) -> Cascade:
    """Return what runs a .tflite file on all cores."""
    return Cascade(Runtime(model, WORKERS))


def record(model: Cascade, photos: Iterable[Photo], plan: Plan) -> list[Passes]:
    """Make a plan's passes over photos, at their own size; only logits and positions are kept of each."""
    empty = np.zeros(0)

    def work(batch: list[Photo]) -> list[Passes]:
        side = dataclasses.replace(model, plan=plan.zooms).decoded_side
        images = [decode(photo, at_least=side) for photo in batch]
        return [
            {
                name: dataclasses.replace(e, pixels=empty, share=empty, embedding=empty)
                for name, e in found.items()
            }
            for found in model.collect(images, plan.zooms, plan.search)
        ]

    return in_batches(work, photos)


def answers(passes: Sequence[Passes], groups: np.ndarray, plan: Plan) -> Answers:
    """Combine recorded passes as the app does.

    Args:
        passes: of N photos, as `record` returned them.
        groups: shape (N,).
        plan: how to combine them; it asks for no other passes than were recorded.
    """
    quick = [combine(each, plan.zooms, None) for each in passes]
    thorough = [combine(each, plan.zooms, plan.search) for each in passes] if plan.search else quick
    zooms = plan.zooms
    zoomed = [zooms is not None and needs_zooms(each[FULL], zooms) for each in passes]
    counts = [
        1 + len(zooms.sides) + needs_inner(each, zooms) if zooms and made else 1
        for each, made in zip(passes, zoomed, strict=True)
    ]
    return Answers(
        quick=np.array([each.probability for each in quick]),
        thorough=np.array([each.probability for each in thorough]),
        groups=groups,
        zoomed=np.array(zoomed, dtype=bool),
        passes=np.array(counts),
    )


def paths(run: Run, split: str) -> Iterator[Path]:
    """Yield the files of a split's photos."""
    root = run.root(split)
    return (root / record.path for record in run.manifest(split)) if root else iter(())


def groups(run: Run, split: str) -> np.ndarray:
    """Return the groups of a split's photos, shape (N,)."""
    return np.array([record.group for record in run.manifest(split)])


def plain(model: Cascade, run: Run, plan: Plan) -> dict[str, Answers]:
    """Return the answers to every split of a run that has photos."""
    return {
        split: answers(record(model, paths(run, split), plan), groups(run, split), plan)
        for split in MEASURED
        if run.manifest(split)
    }


def stressed(model: Cascade, run: Run, plan: Plan) -> dict[str, Answers]:
    """Return the quick answers to every stress slice of a run's test photos."""
    records, names = run.manifest(TEST), groups(run, TEST)
    quick = dataclasses.replace(plan, search=None)
    slices = tqdm(stress.SLICES, desc="stress slices", leave=False, disable=None)
    return {
        name: answers(record(model, stress.photos(run.photos, records, name), quick), names, quick)
        for name in slices
    }


def traffic(model: Cascade, run: Run, plan: Plan) -> Aggregate:
    """Return what the app would count if the validation photos were its traffic."""
    planned = dataclasses.replace(model, plan=plan.zooms)

    def work(batch: list[Path]) -> list[tuple[float, np.ndarray]]:
        images = [decode(photo, at_least=planned.decoded_side) for photo in batch]
        return [(each.probability, each.passes[FULL].embedding) for each in planned.answer(images)]

    said = in_batches(work, paths(run, VALIDATION))
    return Aggregate.of(np.array([each for each, _ in said]), np.stack([each for _, each in said]))


def full_view(model: Cascade, pixels: np.ndarray) -> np.ndarray:
    """Return the probabilities of the full view of resized photos (N, side, side, 3), shape (N,)."""

    def work(batch: list[np.ndarray]) -> list[float]:
        return model.runtime.run(np.stack(batch)).probability.tolist()

    return np.array(in_batches(work, pixels))


def measure(
    said: Mapping[str, Answers],
    on_stress: Mapping[str, Answers],
    on_test: tuple[np.ndarray, np.ndarray],
    point: Threshold,
    thorough_point: Threshold | None,
) -> Measurement:
    """Measure every split and slice at the thresholds that were chosen on the photos for choosing.

    Args:
        said: of the exported file, for each split; validation and test are needed.
        on_stress: the same for each stress slice.
        on_test: what the exported file and the Keras model say of the full view of the test photos, each of
            shape (N,).
        point: of quick answers.
        thorough_point: of thorough ones; None without a thorough search.
    """
    exported, original = on_test

    def at(each: Mapping[str, Answers]) -> dict[str, Metrics]:
        return {
            name: metrics.measure(of.quick, of.groups, point.cat, point.unsure) for name, of in each.items()
        }

    thorough = {}
    if thorough_point:
        band = thorough_point.cat, thorough_point.unsure
        thorough = {n: metrics.measure(of.thorough, of.groups, *band) for n, of in said.items()}
    return Measurement(
        point=point,
        thorough_point=thorough_point,
        metrics=at(said),
        thorough=thorough,
        stress=at(on_stress),
        calibration={
            split: metrics.reliability(of.quick, metrics.is_cat(of.groups)) for split, of in said.items()
        },
        passes={split: float(of.passes.mean()) for split, of in said.items()},
        same_verdict=float(((exported >= point.cat) == (original >= point.cat)).mean()),
        mean_difference=float(np.abs(exported - original).mean()),
    )


EMPTY = metrics.measure(np.zeros(0), [], 0.5)
"""Of no photos."""
Figure = float | None | dict[str, float | None]


def for_gate(measured: Measurement) -> dict[str, Figure]:
    """Return the figures that the gate's rules ask for, by the rules' names.

    Of every rate it is the worse end of the 95 % Wilson interval: the lower end of a recall, the upper end of
    a false-positive rate. So too few photos never pass by luck. Of the few hard cats it is the observed rate.
    """
    figures: dict[str, Figure] = {
        "agreement.same_verdict": measured.same_verdict,
        "agreement.mean_difference": measured.mean_difference,
    }
    for split in (TEST, PEOPLE, WILD):
        if split not in measured.metrics:
            continue
        found = measured.metrics[split]
        figures[f"{split}.recall"] = (
            found.recall_of["cat"].low if "cat" in found.recall_of else found.recall.low
        )
        figures[f"{split}.calibration_error"] = found.ece
        figures[f"{split}.false_cat"] = {group: rate.high for group, rate in found.false_cat.items()}
    if HARD in measured.metrics.get(PEOPLE, EMPTY).recall_of:
        figures["people.hard_quick"] = measured.metrics[PEOPLE].recall_of[HARD].value
    thorough = measured.thorough or measured.metrics  # without a search, thorough answers are the quick ones
    if HARD in thorough.get(PEOPLE, EMPTY).recall_of:
        figures["people.hard_thorough"] = thorough[PEOPLE].recall_of[HARD].value
    for name, of_slice in measured.stress.items():
        figures[f"stress.recall.{name}"] = of_slice.recall.low
        figures[f"stress.false_cat.{name}"] = false_positives(of_slice).high
    return figures


def false_positives(measured: Metrics) -> Rate:
    """Return how many photos of all negative groups together were called cats."""
    rates = measured.false_cat.values()
    return metrics.rate(sum(each.hits for each in rates), sum(each.total for each in rates))
