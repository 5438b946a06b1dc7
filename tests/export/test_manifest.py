"""The manifest holds what was found out, and the package reads from it what was exported."""

import dataclasses
import json

import pytest

from cat_model.bundle import SCHEMA, sha256
from cat_model.cascade import Zooms
from export import gate, manifest
from export.evaluate import Plan
from tests.export.test_card import BUDGET, PLAN, POINT, SUMS, made_result

GOOD = gate.hold("test.recall", gate.AT_LEAST, 0.5, 0.75)
BAD = gate.hold("test.recall", gate.AT_LEAST, 0.5, 0.4)


@pytest.fixture(scope="module")
def result():
    return made_result()


@pytest.fixture(scope="module")
def content(run, result):
    return manifest.build(run, b"model", result)


def test_it_survives_the_disk(content):
    assert json.loads(json.dumps(content)) == json.loads(json.dumps(content, default=None))


def test_it_names_the_file_and_the_model(run, content):
    digest = sha256(b"model")
    assert content["schema"] == SCHEMA
    assert content["version"] == f"{run.config.backbone}-{run.config.side}-{digest[:8]}"
    assert content["model"] == {"file": "model.tflite", "bytes": 5, "sha256": digest}
    assert content["input"]["side"] == run.config.side
    assert content["labels"] == ["cat", "not a cat"]


def test_the_package_reads_the_cascade_that_was_fitted(run, result, content):
    assert Zooms.from_manifest(content["cascade"]) == dataclasses.replace(PLAN.zooms, search=PLAN.search)
    without = dataclasses.replace(result, plan=Plan(PLAN.zooms))
    assert Zooms.from_manifest(manifest.build(run, b"model", without)["cascade"]) == PLAN.zooms
    full_view = dataclasses.replace(result, plan=Plan())
    assert manifest.build(run, b"model", full_view)["cascade"] is None
    assert len(SUMS) == len(content["cascade"]["quick"]["combinations"])


def test_every_figure_is_there(run, result, content):
    measured = result.measured
    assert (content["threshold"], content["unsure"]) == (POINT.cat, POINT.unsure)
    for name in ("metrics", "thorough", "stress"):
        found = getattr(measured, name)
        assert set(content[name]) == set(found)
        for split, each in found.items():
            assert content[name][split] == dataclasses.asdict(each)
    assert {split: len(bins) for split, bins in content["calibration"].items()} == {
        split: len(bins) for split, bins in measured.calibration.items()
    }
    first = measured.calibration["test"][0]
    assert content["calibration"]["test"][0] == dataclasses.asdict(first)
    assert content["passes"] == measured.passes
    assert content["agreement"] == {"same_verdict": 1.0, "mean_difference": 0.0}
    assert content["fairness"]["test"]["masked"] == dataclasses.asdict(result.fairness["test"]["masked"])
    assert content["champion"] == dataclasses.asdict(result.comparison)
    assert content["baseline"] == dataclasses.asdict(BUDGET)
    without = dataclasses.replace(result, budget=None)
    assert manifest.build(run, b"model", without)["baseline"] is None


def test_it_says_how_the_model_was_trained(run, content):
    training = content["training"]
    assert training["config"] == dataclasses.asdict(run.config)
    for name in ("command", "weights", "code_commit", "mlflow_run"):
        assert training[name] == getattr(run, name)
    assert training["data_fingerprint"] == run.data
    assert training["photos"]["test"] == len(run.manifest("test")) > 0


@pytest.mark.parametrize(
    ("results", "forced", "word", "ships"),
    [
        ([GOOD], None, "passed", True),
        ([GOOD], "a fair", "passed", True),
        ([GOOD, BAD], "a fair", "forced", True),
        ([GOOD, BAD], None, "refused", False),
    ],
)
def test_what_passed_or_was_forced_ships(run, result, results, forced, word, ships):
    changed = dataclasses.replace(result, results=results, forced=forced)
    assert (changed.word, changed.ships) == (word, ships)
    told = manifest.build(run, b"model", changed)["gate"]
    assert (told["passed"], told["forced"]) == (word == "passed", forced)
    assert told["findings"] == [dataclasses.asdict(each) for each in results]
