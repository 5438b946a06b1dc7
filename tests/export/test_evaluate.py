"""Figures of the exported file: the worse ends of intervals, every split with photos, every slice."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from cat_model.bundle import Bundle
from cat_model.cascade import FULL, GRID, GRID_INNER, ZOOM, Cascade, Combination, Search, Zooms
from cat_model.verdict import Threshold
from export import evaluate, gate
from export.evaluate import Answers, Plan
from tests.cat_model.test_cascade import RedRuntime, scene
from train.evaluation import stress
from train.evaluation.stress import SLICES

POINT = Threshold(0.5, (0.2, 0.8))
ZOOMS = Zooms(-3.0, 1000.0, -1000.0, (0.42, 0.62), None, (Combination({FULL: 1.0, ZOOM: 1.0}, 0.0),))
SEARCH = Search(-1000.0, 3, 0.42, 0.22, (Combination({GRID: 1.0, GRID_INNER: 1.0}, 1.0),), POINT)


@pytest.fixture(scope="module")
def shipped():
    """What runs the shipped model."""
    return evaluate.cascade(Bundle.read().model)


def answers(cats, dogs, kind="cat", other="dog"):
    said = np.array([*cats, *dogs])
    groups = np.array([kind] * len(cats) + [other] * len(dogs))
    return Answers(said, said, groups, np.zeros(len(said), bool), np.ones(len(said)))


def joined(*many):
    return Answers(*(np.concatenate([getattr(e, f.name) for e in many]) for f in dataclasses.fields(Answers)))


GOOD = answers([0.9] * 98 + [0.01] * 2, [0.05] * 197 + [0.95] * 3)
BAD = answers([0.9] * 50 + [0.04] * 50, [0.05] * 100 + [0.95] * 100)
HARD = answers([0.9] * 5 + [0.1] * 15, [0.05] * 10, kind="cat_hard", other="fox")


@pytest.fixture(scope="module")
def measured():
    people = joined(BAD, dataclasses.replace(HARD, thorough=np.where(HARD.groups == "cat_hard", 0.9, 0.05)))
    said = {"validation": GOOD, "test": GOOD, "people": people, "wild": GOOD}
    same = GOOD.quick
    return evaluate.measure(said, dict.fromkeys(SLICES, GOOD) | {"blur": BAD}, (same, same), POINT, POINT)


def test_the_gate_gets_the_worse_end_of_every_interval(measured):
    test, found = measured.metrics["test"], evaluate.for_gate(measured)
    assert found["test.recall"] == test.recall.low < test.recall.value == 0.98
    assert found["test.false_cat"] == {"dog": test.false_cat["dog"].high}
    assert found["test.false_cat"]["dog"] > test.false_cat["dog"].value == 0.015
    for name, metrics in measured.stress.items():
        assert found[f"stress.recall.{name}"] == metrics.recall.low < metrics.recall.value
        assert found[f"stress.false_cat.{name}"] == metrics.false_cat["dog"].high
    assert found["stress.recall.blur"] < 0.5 < found["stress.false_cat.blur"]
    assert found["agreement.same_verdict"] == 1.0


def test_from_the_threshold_on_both_models_say_cat():
    """Every way of comparing with the threshold gives another share of photos on which they agree."""
    pairs = [(0.5, 0.6)] + [(0.6, 0.5)] * 2 + [(0.4, 0.6)] * 4
    exported, original = np.transpose(pairs)
    found = evaluate.measure({"test": GOOD}, {}, (exported, original), POINT, None)
    assert found.same_verdict == pytest.approx(3 / 7)
    assert found.mean_difference == pytest.approx((3 * 0.1 + 4 * 0.2) / 7)
    assert (found.thorough, found.thorough_point) == ({}, None)


def test_hard_cats_have_rules_of_their_own_quick_and_thorough(measured):
    found = evaluate.for_gate(measured)
    assert found["people.recall"] == measured.metrics["people"].recall_of["cat"].low
    assert (found["people.hard_quick"], found["people.hard_thorough"]) == (0.25, 1.0)


def test_a_new_group_is_a_slice_by_itself(measured):
    assert set(evaluate.for_gate(measured)["people.false_cat"]) == {"dog", "fox"}


def test_every_rule_is_measured_but_those_that_others_measure(measured):
    others = {name for name in gate.KNOWN if name.startswith(("baseline.", "champion."))}
    assert set(evaluate.for_gate(measured)) == {*gate.KNOWN, *gate.GROUPED} - others


def test_a_slice_or_a_split_that_was_not_measured_is_missing(measured):
    without = {name: each for name, each in measured.stress.items() if name != "blur"}
    metrics = {name: each for name, each in measured.metrics.items() if name != "wild"}
    found = evaluate.for_gate(dataclasses.replace(measured, stress=without, metrics=metrics))
    for rule in ("stress.recall.blur", "stress.false_cat.blur", "wild.recall"):
        assert rule not in found


def test_without_a_search_thorough_answers_are_the_quick_ones(measured):
    found = evaluate.for_gate(dataclasses.replace(measured, thorough={}))
    assert found["people.hard_thorough"] == found["people.hard_quick"] == 0.25


def test_calibration_bins_hold_every_photo_once(measured):
    bins = measured.calibration["test"]
    assert sum(each.cats.total for each in bins) == 300
    first, last = bins[0], bins[-1]
    assert (first.low, first.cats.hits, first.cats.total) == (0.0, 2, 199)
    assert (last.low, last.cats.hits, last.cats.total) == (0.9, 98, 101)
    assert first.said == pytest.approx((2 * 0.01 + 197 * 0.05) / 199)


def test_false_positives_of_all_groups_are_summed(measured):
    found = evaluate.false_positives(measured.metrics["people"])
    assert (found.hits, found.total) == (100, 210)


def test_recorded_passes_are_combined_as_the_app_does():
    photos = [scene(0.2, 0.2), scene(0.8, 0.4, 90), scene(0.5, 0.5, 8), scene(0.5, 0.5, 390)]
    plan, groups = Plan(ZOOMS, SEARCH), np.array(["cat"] * 4)
    model = Cascade(RedRuntime(), dataclasses.replace(ZOOMS, search=SEARCH))
    said = evaluate.answers(evaluate.record(model, photos, plan), groups, plan)
    for thorough, found in ((False, said.quick), (True, said.thorough)):
        expected = [each.probability for each in model.answer(photos, thorough)]
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    quick = model.answer(photos)
    assert said.zoomed.tolist() == [len(each.passes) > 1 for each in quick]
    assert said.passes.tolist() == [3.0 if zoomed else 1.0 for zoomed in said.zoomed]


def test_splits_without_photos_are_left_out(shipped, run):
    plain = evaluate.plain(shipped, run, Plan())
    assert {split: len(each.groups) for split, each in plain.items()} == {
        "validation": 12, "test": 20, "people": 8
    }  # fmt: skip
    assert all(((each.quick >= 0) & (each.quick <= 1)).all() for each in plain.values())
    np.testing.assert_array_equal(plain["test"].quick, plain["test"].thorough)


def test_every_stress_slice_is_answered_in_the_tests_order(shipped, run, monkeypatch):
    monkeypatch.setattr(stress, "SLICES", {name: SLICES[name] for name in ("blur", "zoom-out-2")})
    stressed = evaluate.stressed(shipped, run, Plan())
    groups = [record.group for record in run.manifest("test")]
    assert list(stressed) == ["blur", "zoom-out-2"]
    for name, found in stressed.items():
        assert list(found.groups) == groups
        photos = [Image.fromarray(p) if isinstance(p, np.ndarray) else p
                  for p in stress.photos(run.photos, run.manifest("test"), name)]  # fmt: skip
        one_by_one = [shipped.answer([photo])[0].probability for photo in photos]
        np.testing.assert_allclose(found.quick, one_by_one, atol=0.02)


def test_traffic_is_counted_of_the_validation_photos(shipped, run):
    counted = evaluate.traffic(shipped, run, Plan())
    assert counted.photos == 12


def test_work_in_batches_keeps_the_order_and_loses_nothing():
    doubled = evaluate.in_batches(lambda batch: [2 * each for each in batch], range(100))
    assert doubled == [2 * each for each in range(100)]
