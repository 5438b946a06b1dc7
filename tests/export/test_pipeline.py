"""A model ships when every rule holds or somebody says why; the verdict is kept whichever way it goes."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow.exceptions import MlflowException

from cat_model.bundle import Bundle, BundleError
from cat_model.cascade import FULL, Combination, Search
from cat_model.verdict import Threshold
from export import __main__ as export_line
from export import card, evaluate, gate, pipeline
from export.baseline import Budget
from export.cascade_fit import Fit
from export.evaluate import Answers, Plan
from export.reference import REFERENCE, Reference
from train.config import TrainError
from train.evaluation.stress import SLICES
from train.run import SUMMARY

BUDGET = Budget("b.tflite", 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
POINT = Threshold(0.5, (0.2, 0.8))
SEARCH = Search(-9.0, 3, 0.42, 0.22, (Combination({FULL: 1.0}, 0.0),), POINT)
LENIENT = {rule: 0.0 if direction == gate.AT_LEAST else 1.0 for rule, direction in gate.KNOWN.items()}
LENIENT |= {f"{table}.{gate.OTHER}": 1.0 for table in gate.GROUPED}


class Notebook:
    """Stands in for MLflow's tracker and remembers what it is told."""

    def __init__(self):
        self.tags, self.texts, self.files, self.registered = {}, {}, set(), []

    def tag(self, name, value):
        self.tags[name] = value

    def text(self, text, name):
        self.texts[name] = text

    def metrics(self, values):
        assert all(np.isfinite(value) for value in values.values())

    def file(self, path, _):
        assert path.exists()
        self.files.add(path.name)

    def register(self, folder, passed, target):
        assert (folder / "manifest.json").exists()
        self.registered.append((passed, target))


@pytest.fixture(scope="module")
def answers(run):
    bundle = Bundle.read()
    judging = evaluate.cascade(bundle.model)
    plain, stressed = evaluate.plain(judging, run, Plan()), evaluate.stressed(judging, run, Plan())
    hard = np.where(plain["people"].groups == "cat", "cat_hard", plain["people"].groups)
    both = (np.concatenate([getattr(e, f.name) for e in (plain["people"], plain["test"])])
            for f in dataclasses.fields(plain["people"]))  # fmt: skip
    people = dataclasses.replace(Answers(*both), groups=np.concatenate([hard, plain["test"].groups]))
    said = plain | {"people": people, "wild": plain["test"]}
    return SimpleNamespace(model=bundle.model, plain=said, stressed=stressed)


@pytest.fixture
def place(run, answers, tmp_path, monkeypatch):
    """A finished run whose conversion gives the shipped model, and lenient rules."""
    run.write()
    (run.folder / SUMMARY).write_text("{}")
    says_nothing = SimpleNamespace(probabilities=lambda pixels, _: np.full(len(pixels), 0.5))
    notebook = Notebook()
    for where, name, stand_in in (
        (pipeline, "Tracker", lambda *_, keep: setattr(notebook, "keeps", keep) or notebook),
        (pipeline, "convert", lambda *_: answers.model),
        (pipeline.heads, "load", lambda _: says_nothing),
        (pipeline.evaluate, "plain", lambda *_: answers.plain),
        (pipeline.evaluate, "stressed", lambda *_: answers.stressed),
        (pipeline.cascade_fit, "choose", lambda *_: Fit(Plan(None, SEARCH), POINT, {})),
        (pipeline.baseline, "read", lambda _: b"baseline"),
        (pipeline.baseline, "measure", lambda *_: BUDGET),
    ):
        monkeypatch.setattr(where, name, stand_in)
    return SimpleNamespace(
        run=run, target=tmp_path / "bundle", rules=write_rules(tmp_path, {}), notebook=notebook
    )


def write_rules(folder, changes):
    path = folder / "rules.toml"
    path.write_text("".join(f"{rule} = {limit}\n" for rule, limit in (LENIENT | changes).items()))
    return path


def export(place, *options, baseline=True):
    given = ["--run", place.run.folder, "--bundle", place.target, "--gate", place.rules]
    given += ["--baseline", "b.tflite"] if baseline else []
    return export_line.main([*map(str, given), *options])


def gated(place):
    return json.loads((place.run.folder / "export" / "manifest.json").read_text())["gate"]


def test_a_model_that_passes_becomes_the_bundle_with_all_its_files(place):
    assert export(place) == 0
    bundle = Bundle.read(place.target)
    assert bundle.manifest["gate"]["passed"] is True
    assert bundle.manifest["gate"]["forced"] is None
    assert set(bundle.manifest["stress"]) == set(SLICES)
    assert {path.name for path in place.target.iterdir()} == {
        "model.tflite", "manifest.json", card.CARD, card.PLOT, REFERENCE
    }  # fmt: skip
    assert (place.target / card.CARD).read_text() == card.write(bundle.manifest)
    reference = Reference.read(place.target)
    assert all(reference.has_seen(record) for record in place.run.manifest("train"))
    assert all(reference.has_in_test(record) for record in place.run.manifest("test"))
    assert place.notebook.tags["gate"] == "passed"
    assert place.notebook.registered == [(True, place.target)]
    assert place.notebook.files == {
        "manifest.json",
        card.CARD,
        card.PLOT,
        REFERENCE,
    }  # the registry has the model
    assert not place.notebook.keeps


@pytest.mark.parametrize(
    "fault", [MlflowException("no answer"), OSError("disk full"), TrainError("no example photo")]
)
def test_a_model_that_passes_ships_though_mlflow_is_down(place, monkeypatch, capsys, fault):
    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(pipeline, "Tracker", fail)
    assert export(place) == 0
    assert Bundle.read(place.target).manifest["gate"]["passed"] is True
    assert (
        f"MLflow could not be told all of the gate's result, which lies in {place.run.folder}"
        in capsys.readouterr().err
    )


def test_mlflow_is_told_the_verdict_though_the_bundle_cannot_be_written(place, monkeypatch, capsys):
    def fail(*_):
        raise BundleError("no room")

    monkeypatch.setattr(pipeline.bundle, "write", fail)
    assert export(place) == 1
    assert place.notebook.tags["gate"] == "passed"
    assert place.notebook.registered == [(True, None)]
    assert capsys.readouterr().err == "no room\n"


def test_export_asks_for_the_store_first_and_does_without_it_where_that_is_said(place, monkeypatch, capsys):
    dataclasses.replace(place.run, tracking_uri="sqlite:////nowhere/mlflow.db").write()
    assert export(place) == 1
    said = capsys.readouterr().err
    assert "/nowhere/mlflow.db cannot be used" in said
    assert "--without-mlflow" in said
    assert not place.target.exists()
    with pytest.raises(TrainError, match="nowhere"):
        pipeline.publish(
            pipeline.ExportOptions(place.run.folder, place.target, place.rules, None, True, None)
        )
    assert export(place, "--without-mlflow") == 0
    assert place.notebook.keeps
    assert f"python -m train track {place.run.folder} tells it" in capsys.readouterr().out


def test_a_dry_run_measures_and_leaves_the_bundle(place, capsys):
    assert export(place, "--dry-run") == 0
    assert not place.target.exists()
    assert gated(place)["passed"] is True
    assert place.notebook.registered == [(True, None)]
    assert "as it was" in capsys.readouterr().out


def test_a_refused_model_leaves_the_bundle_and_its_verdict(place, tmp_path):
    write_rules(tmp_path, {"champion.p_worse": 1.1})
    assert export(place) == 1
    assert not place.target.exists()
    assert [each["rule"] for each in gated(place)["findings"] if not each["passed"]] == ["champion.p_worse"]
    assert place.notebook.tags["gate"] == "refused"
    assert "REFUSED" in place.notebook.texts["gate.txt"]
    assert place.notebook.registered == []
    assert "model.tflite" in place.notebook.files


def test_a_reason_forces_a_refused_model_and_is_kept_with_what_failed(place, tmp_path, capsys):
    write_rules(tmp_path, {"test.recall": 1.1})
    assert export(place, "--force", "the fair starts today") == 0
    kept = Bundle.read(place.target).manifest["gate"]
    assert (kept["passed"], kept["forced"]) == (False, "the fair starts today")
    assert [each["rule"] for each in kept["findings"] if not each["passed"]] == ["test.recall"]
    assert place.notebook.tags["gate"] == "forced"
    assert place.notebook.registered == [(False, place.target)]
    assert "Forced." in capsys.readouterr().out


def test_a_reason_that_was_not_needed_is_not_kept(place):
    assert export(place, "--force", "just in case") == 0
    assert Bundle.read(place.target).manifest["gate"]["forced"] is None


@pytest.mark.parametrize("reason", ["", "  "])
def test_force_without_a_reason_does_nothing(place, reason, capsys, monkeypatch):
    monkeypatch.setattr(pipeline, "convert", None)
    assert export(place, "--force", reason) == 1
    assert "needs a reason" in capsys.readouterr().err
    assert not place.target.exists()


def test_without_a_baseline_its_rules_are_missing_and_refuse(place, capsys, monkeypatch):
    monkeypatch.delenv("CAT_BASELINE", raising=False)
    assert export(place, baseline=False) == 1
    missing = [each["rule"] for each in gated(place)["findings"] if each["found"] is None]
    assert missing == ["baseline.size", "baseline.first_view", "baseline.time", "baseline.memory"]
    assert "--baseline FILE or CAT_BASELINE" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["CAT_BASELINE", "CAT_YARDSTICK"])  # the second is its older name
def test_the_baseline_may_come_from_the_environment(place, monkeypatch, name):
    monkeypatch.delenv("CAT_BASELINE", raising=False)
    monkeypatch.setenv(name, "b.tflite")
    assert export(place, baseline=False) == 0


def test_the_baselines_older_option_is_still_taken(place):
    assert export(place, "--yardstick", "b.tflite", baseline=False) == 0


def test_a_group_that_the_rules_name_needs_photos(place, tmp_path):
    write_rules(tmp_path, {"test.false_cat.fox": 1.0})
    assert export(place) == 1
    failed = [each["rule"] for each in gated(place)["findings"] if not each["passed"]]
    assert failed == ["test.false_cat.fox"]
