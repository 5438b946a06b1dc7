"""The card tells what the manifest holds, in the format of the Hugging Face hub."""

import dataclasses
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from huggingface_hub import ModelCard

from cat_model.bundle import SecondLook
from export import card, gate, manifest, measure
from export.champion import Comparison
from export.manifest import Verdict
from export.measure import Answers
from export.yardstick import Budget
from train.evaluate import rate
from train.stress import SLICES

BUDGET = Budget("mobilenet.tflite", 3.9, 6.1, 5.2, 11.5, 4.1, 4.0, 12.0)


@pytest.fixture(scope="module")
def verdict():
    generator = np.random.default_rng(0)
    groups = np.array(["cat"] * 200 + ["dog"] * 150 + ["selfie"] * 50)
    noise = generator.normal(size=400)
    answers = Answers((1 / (1 + np.exp(-3 * noise - 4 * (groups == "cat") + 2))).astype("f"), groups)
    measured = measure.measure(
        dict.fromkeys(("validation", "test", "people", "wild"), answers),
        dict.fromkeys(SLICES, answers),
        (answers.probabilities, answers.probabilities),
    )
    return Verdict(
        measured=measured,
        second_look=SecondLook(0.02, 0.9, 0.62, 0.5, 0.5, 0.0),
        fairness={"test": {"masked": rate(1, 30), "phone": rate(0, 20)}},
        budget=BUDGET,
        comparison=Comparison("old-1", 390, 9, 4, 0.9, "10 of 400 test photos are left out."),
        findings=[gate.hold("test.recall", gate.AT_LEAST, 0.5, 0.75)],
        forced=None,
    )


@pytest.fixture(scope="module")
def content(run, verdict):
    return manifest.build(run, b"model", verdict)


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
        ({"budget": None}, "no yardstick was given"),
        ({"findings": [gate.hold("test.recall", gate.AT_LEAST, 0.5, None)]}, "| missing | **refused** |"),
        (
            {
                "findings": [gate.hold("test.recall", gate.AT_LEAST, 0.5, 0.4)],
                "forced": "a fair starts today",
            },
            "for this reason: a fair starts today",
        ),
    ],
)
def test_it_says_what_is_missing_or_forced(run, verdict, change, says):
    assert says in card.write(manifest.build(run, b"model", dataclasses.replace(verdict, **change)))


def test_the_calibration_plot_is_a_small_picture_and_always_the_same(content):
    plot = card.plot(content)
    assert ET.fromstring(plot).tag.endswith("svg")
    assert len(plot) < 60_000
    assert plot == card.plot(content)
    assert plot != card.plot(content | {"threshold": 0.123})
