"""The card tells what the manifest holds, in the format of the Hugging Face hub."""

import dataclasses
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from huggingface_hub import ModelCard

from cat_model.cascade import FULL, INNER, NARROW, ZOOM, Combination, Search, Zooms
from cat_model.verdict import Threshold
from export import card, evaluate, gate, manifest
from export.baseline import Budget
from export.champion import Comparison
from export.evaluate import Answers, Plan
from export.manifest import ExportResult
from train.evaluation.metrics import rate
from train.evaluation.stress import SLICES

BUDGET = Budget("mobilenet.tflite", 3.9, 6.1, 5.2, 11.5, 4.1, 4.0, 12.0, 1.4)
POINT = Threshold(0.5, (0.2, 0.8))
SUMS = (Combination({FULL: 1.0, ZOOM: 1.0}, 0.0), Combination({NARROW: 1.0, INNER: 1.0}, 0.0))
PLAN = Plan(Zooms(-3.0, 3.0, 2.0, (0.42, 0.62), 0.2, SUMS), Search(-9.0, 3, 0.42, 0.22, SUMS[:1], POINT))


def made_result():
    """A result of made-up answers that passed."""
    generator = np.random.default_rng(0)
    groups = np.array(["cat"] * 200 + ["dog"] * 150 + ["selfie"] * 50)
    noise = generator.normal(size=400)
    said = 1 / (1 + np.exp(-3 * noise - 4 * (groups == "cat") + 2))
    answers = Answers(said, said, groups, said > 0.3, np.where(said > 0.3, 3.0, 1.0))
    measured = evaluate.measure(
        dict.fromkeys(("validation", "test", "people", "wild"), answers),
        dict.fromkeys(SLICES, answers),
        (said, said),
        POINT,
        POINT,
    )
    return ExportResult(
        measured=measured,
        plan=PLAN,
        fairness={"test": {"masked": rate(1, 30), "phone": rate(0, 20)}},
        budget=BUDGET,
        comparison=Comparison("old-1", 390, 9, 4, 0.9, "10 of 400 test photos are left out."),
        results=[gate.hold("test.recall", gate.AT_LEAST, 0.5, 0.75)],
        forced=None,
    )


@pytest.fixture(scope="module")
def result():
    return made_result()


@pytest.fixture(scope="module")
def content(run, result):
    return manifest.build(run, b"model", result)


def test_the_head_is_a_model_card_of_the_hub(content):
    data = ModelCard(card.write(content)).data
    assert (data.license, data.library_name, data.pipeline_tag) == (
        "apache-2.0", "litert", "image-classification"
    )  # fmt: skip
    found = {(each.dataset_name, each.metric_type): each.metric_value for each in data.eval_results}
    names = ["validation", "test", "people", "wild", *(f"test, {name}" for name in SLICES)]
    assert set(found) == {(name, metric) for name in names for metric in ("recall", "precision")}
    test = content["metrics"]["test"]
    assert found["test", "recall"] == pytest.approx(test["recall"]["value"], abs=1e-4)


def test_it_tells_every_group_slice_rule_and_origin(content):
    text = card.write(content)
    for name in SLICES:
        assert f"| {name} | {card._rate(content['stress'][name]['recall'])}" in text
    for group, value in {**content["metrics"]["wild"]["false_cat"], "cat": None}.items():
        assert f"| `wild` | {group} |" in text
        assert value is None or card._rate(value) in text
    assert "| `test` | masked | 0.0333 (0.0059 – 0.1667; 1 / 30) |" in text
    assert "| test.recall | at least 0.5 | 0.7500 |  |" in text
    for said in ("It passed every rule.", "10 of 400 test photos", "6.10 ms", card.PLOT, "not pretrained"):
        assert said in text
    for name in ("command", "weights", "data_fingerprint", "code_commit", "mlflow_run"):
        assert content["training"][name] in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fairness": {}}, "without a list of their sources"),
        ({"budget": None}, "no baseline was given"),
        ({"results": [gate.hold("test.recall", gate.AT_LEAST, 0.5, None)]}, "| missing | **refused** |"),
        (
            {
                "results": [gate.hold("test.recall", gate.AT_LEAST, 0.5, 0.4)],
                "forced": "a fair starts today",
            },
            "for this reason: a fair starts today",
        ),
    ],
)
def test_it_says_what_is_missing_or_forced(run, result, change, says):
    assert says in card.write(manifest.build(run, b"model", dataclasses.replace(result, **change)))


def test_the_calibration_plot_is_a_small_picture_and_always_the_same(content):
    plot = card.plot(content)
    assert ET.fromstring(plot).tag.endswith("svg")
    assert len(plot) < 60_000
    assert plot == card.plot(content)
    assert plot != card.plot(content | {"threshold": 0.123})


def test_it_says_that_the_model_is_a_mean_of_weights():
    training = {"config": {"backbone": "efficientnet_lite0", "init_weight": 0.25}, "init": "start.npz"}
    assert "mean of those weights (0.25) and the ones fine-tuned in this run (0.75" in card._backbone(
        training
    )
    training["config"] = {"backbone": "efficientnet_lite0"}
    assert "mean" not in card._backbone(training)


def test_it_names_the_limits_that_were_lowered():
    results = [{"rule": "baseline.first_view", "limit": 2.4}, {"rule": "people.false_cat.dog", "limit": 0.1}]
    assert card._lowered(results).startswith("\n`baseline.first_view` was lowered from 1.9: ")
    assert "dog" not in card._lowered(results)
