"""Figures of the exported file: the worse ends of intervals, every split with photos, every slice."""

import dataclasses

import numpy as np
import pytest

from cat_model.bundle import Bundle
from export import gate, measure
from export.measure import Answers
from train import stress
from train.stress import SLICES


@pytest.fixture(scope="module")
def judging():
    """What serves the shipped model."""
    bundle = Bundle.read()
    return measure.predictor(bundle.model, bundle.side, bundle.second_look)


def answers(cats, dogs):
    probabilities = np.array([*cats, *dogs], np.float32)
    return Answers(probabilities, np.array(["cat"] * len(cats) + ["dog"] * len(dogs)))


@pytest.fixture(scope="module")
def measured():
    good = answers([0.9] * 98 + [0.01] * 2, [0.05] * 197 + [0.95] * 3)
    bad = answers([0.9] * 50 + [0.04] * 50, [0.05] * 100 + [0.95] * 100)
    stressed, same = dict.fromkeys(SLICES, good) | {"blur": bad}, good.probabilities
    return measure.measure({"validation": good, "test": good, "people": bad}, stressed, (same, same))


def test_the_gate_gets_the_worse_end_of_every_interval(measured):
    test, found = measured.metrics["test"], measure.for_gate(measured, ["dog"])
    assert found["test.recall"] == test.recall.low < test.recall.value == 0.98
    assert found["test.precision"] == test.precision.low < test.precision.value
    assert found["test.false_cat"] == {"dog": test.false_cat["dog"].high}
    assert found["test.false_cat"]["dog"] > test.false_cat["dog"].value == 0.015
    for name, metrics in measured.stress.items():
        assert found[f"stress.recall.{name}"] == metrics.recall.low < metrics.recall.value
        assert found[f"stress.false_cat.{name}"] == metrics.false_cat["dog"].high
    assert found["stress.recall.blur"] < 0.5
    assert found["stress.false_cat.blur"] > 0.5
    assert found["agreement.same_verdict"] == 1.0


def test_every_rule_is_measured_but_those_that_others_measure(measured):
    others = {"yardstick.size", "yardstick.time", "yardstick.memory", "champion.p_worse"}
    assert set(measure.for_gate(measured, ["dog"])) == set(gate.KNOWN) - others


def test_a_group_without_test_photos_is_missing(measured):
    assert measure.for_gate(measured, ["dog", "fox"])["test.false_cat"]["fox"] is None


def test_a_slice_that_was_not_measured_is_missing(measured):
    without = {name: each for name, each in measured.stress.items() if name != "blur"}
    found = measure.for_gate(dataclasses.replace(measured, stress=without), ["dog"])
    assert "stress.recall.blur" not in found
    assert "stress.false_cat.blur" not in found


def test_calibration_bins_hold_every_photo_once(measured):
    bins = measured.calibration["people"]
    assert sum(each.cats.total for each in bins) == 300
    assert [(each.low, each.cats.hits, each.cats.total) for each in bins] == [
        (0.0, 50, 150), (0.9, 50, 150)
    ]  # fmt: skip
    assert bins[0].said == pytest.approx((50 * 0.04 + 100 * 0.05) / 150)


def test_false_cat_sums_all_groups(measured):
    found = measure.false_cat(measured.metrics["people"])
    assert (found.hits, found.total) == (100, 200)


def test_splits_without_photos_are_left_out(judging, run):
    plain = measure.plain(judging, run)
    assert {split: len(each.groups) for split, each in plain.items()} == {
        "validation": 12, "test": 20, "people": 8
    }  # fmt: skip
    assert all(((each.probabilities >= 0) & (each.probabilities <= 1)).all() for each in plain.values())


def test_every_stress_slice_is_answered_in_the_tests_order(judging, run):
    stressed = measure.stressed(judging, run)
    assert list(stressed) == list(SLICES)
    groups = [record.group for record in run.manifest("test")]
    assert all(list(each.groups) == groups for each in stressed.values())
    for name in ("blur", "zoom-out-2"):
        photos = stress.photos(run.photos, run.manifest("test"), name)
        one_by_one = [judging.predict(photo).probability for photo in photos]
        np.testing.assert_allclose(stressed[name].probabilities, one_by_one, atol=0.02)


def test_work_in_batches_keeps_the_order_and_loses_nothing():
    doubled = measure.in_batches(lambda batch: 2 * np.array(batch), range(100))
    np.testing.assert_array_equal(doubled, 2 * np.arange(100))
