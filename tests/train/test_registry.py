"""The registry: a version a bundle, aliases that follow what is served, a model without TensorFlow."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cat_model import bundle
from cat_model.bundle import MANIFEST, MODEL, Bundle
from cat_model.settings import SHIPPED_BUNDLE
from export import __main__ as export_line
from train import __main__ as train_line
from train import registry, tracking, tune
from train.registry import CHALLENGER, CHAMPION, NAME
from train.tracking import PENDING, Tracker

CHELSEA = Path(__file__).parents[2] / "examples" / "chelsea.jpg"
PROGRAM = """
import json, sys
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(f"models:/are-you-a-cat@{sys.argv[2]}")
photo = open(sys.argv[3], "rb").read()
import base64
rows = [base64.b64encode(photo).decode(), photo, "no base64!", base64.b64encode(b"no photo").decode(), None]
told = {
    "plain": model.predict(pd.DataFrame({"image": rows})).to_dict("records"),
    "explained": model.predict(pd.DataFrame({"image": rows[1:3]}), {"explain": True}).to_dict("records"),
    "example": model.predict(model.input_example).to_dict("records"),
    "modules": sorted(sys.modules),
    "code": sys.modules["cat_model"].__file__,
}
print(json.dumps(told))
"""


def versions(folder, count):
    """Write bundles that differ in their name alone: one, two, three …"""
    manifest = json.loads((SHIPPED_BUNDLE / MANIFEST).read_text())
    for number in range(1, count + 1):
        made = shutil.copytree(SHIPPED_BUNDLE, folder / str(number))
        (made / MANIFEST).write_text(json.dumps(manifest | {"version": f"model-{number}"}))
        yield made


@pytest.fixture
def place(fresh, tmp_path, monkeypatch):
    """A project with a store, a run and a bundle that is served; the commands use its store."""
    shutil.copytree(fresh, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    (tmp_path / "run").mkdir()
    return tmp_path


@pytest.fixture
def tracker(place):
    begun = Tracker.start(f"sqlite:///{place / 'mlflow.db'}", place / "run")
    (place / "run" / tune.SEARCH).write_text(json.dumps({"uri": begun.uri, "run_id": begun.run_id}))
    return begun


@pytest.fixture
def away(monkeypatch):
    """Have each call of MLflow's client fail: `away(True)`; `away(False)` ends it."""

    def client(**_):
        raise MlflowException("no answer")

    def turn(gone):
        monkeypatch.setattr(tracking, "MlflowClient", client if gone else MlflowClient)

    return turn


def ship(made, target):
    return bundle.write(
        target, {name: (made / name).read_bytes() for name in bundle.FILES if (made / name).exists()}
    )


def holder(tracker, alias):
    """The model's version that has an alias, or None."""
    aliases = MlflowClient(tracker.uri).get_registered_model(NAME).aliases
    number = aliases.get(alias)
    return number and MlflowClient(tracker.uri).get_model_version(NAME, number).tags["version"]


def test_what_ships_is_registered_once_with_its_tags_and_both_aliases(tracker, place, capsys):
    (first,) = versions(place, 1)
    ship(first, place / "served")
    for _ in range(2):
        tracker.register(first, True, place / "served")
    (version,) = MlflowClient(tracker.uri).search_model_versions(f"name = '{NAME}'")
    training = Bundle.read(first).manifest["training"]
    assert version.run_id == tracker.run_id
    assert version.tags | {"passed_at": ""} == {
        "version": "model-1",
        "gate": "passed",
        "data_fingerprint": training["data_fingerprint"],
        "code_commit": training["code_commit"],
        "bundle_sha256": registry.digest(first),
        "passed_at": "",
    }
    assert holder(tracker, CHAMPION) == holder(tracker, CHALLENGER) == "model-1"
    assert "model-1 as version 1 of are-you-a-cat, challenger and champion." in capsys.readouterr().out


def test_the_registered_model_answers_without_tensorflow_and_holds_the_bundle_once(tracker, place, predictor):
    (first,) = versions(place, 1)
    tracker.register(first, True, None)
    assert len(list((place / "mlruns").rglob(MODEL))) == 1
    assert not list((place / "mlruns").rglob("*.pkl"))
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, tracker.uri, CHALLENGER, CHELSEA],
        cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert not {"tensorflow", "keras", "shap"} & set(told["modules"])
    assert f"{place / 'mlruns'}/" in told["code"]
    verdict = predictor.predict(CHELSEA).as_dict() | {"model_version": "model-1", "error": None}
    text, raw, *bad = told["plain"]
    assert text == raw == verdict
    assert [row["error"] for row in bad] == [
        "What the column 'image' holds here is no valid base64.",
        bad[1]["error"],
        "The column 'image' holds no photo here: base64 text or bytes, please.",
    ]
    assert "not a photo" in bad[1]["error"]
    assert all(row["probability"] is row["label"] is None for row in bad)
    explained, refused = told["explained"]
    expected = predictor.explain(CHELSEA, 0)
    assert explained["sentence"] == expected.sentence
    np.testing.assert_allclose(explained["explanation"], expected.values)
    assert refused["explanation"] is None
    assert told["example"][0]["label"] == "cat"


def test_who_did_not_pass_is_no_challenger_and_who_did_not_ship_no_champion(tracker, place):
    first, second = versions(place, 2)
    ship(first, place / "served")
    tracker.register(first, False, place / "served")  # forced
    assert (holder(tracker, CHALLENGER), holder(tracker, CHAMPION)) == (None, "model-1")
    tracker.register(second, True, None)  # a dry run
    assert (holder(tracker, CHALLENGER), holder(tracker, CHAMPION)) == ("model-2", "model-1")


def test_what_waited_for_the_store_takes_no_alias_from_what_came_later(tracker, place, away, capsys):
    first, second = versions(place, 2)
    ship(first, place / "served")
    away(True)
    tracker.register(first, True, place / "served")
    assert "mlflow-pending.jsonl" in capsys.readouterr().err
    away(False)
    ship(second, place / "served")
    Tracker(tracker.uri, tracker.run_id, place / "other").register(second, True, place / "served")
    assert train_line.main(["track", str(place / "run")]) == 0
    assert not (place / "run" / PENDING).exists()
    assert len(MlflowClient(tracker.uri).search_model_versions(f"name = '{NAME}'")) == 2
    assert (holder(tracker, CHALLENGER), holder(tracker, CHAMPION)) == ("model-2", "model-2")


def test_a_rollback_moves_the_alias_back(tracker, place, capsys):
    first, second = versions(place, 2)
    for each in (first, second):
        ship(each, place / "served")
        tracker.register(each, True, place / "served")
    rollback = ["rollback", "--bundle", str(place / "served")]
    assert export_line.main(rollback) == 0
    assert Bundle.read(place / "served").version == "model-1"
    assert (holder(tracker, CHALLENGER), holder(tracker, CHAMPION)) == ("model-2", "model-1")
    assert "model-1 as version 1" in capsys.readouterr().out
    assert export_line.main([*rollback, "--without-mlflow"]) == 0
    assert holder(tracker, CHAMPION) == "model-1"
    assert export_line.main(["register", "--bundle", str(place / "served")]) == 0
    assert holder(tracker, CHAMPION) == "model-2"


def test_a_rollback_is_done_though_the_store_is_away_and_says_how_to_tell_it(place, capsys, monkeypatch):
    first, second = versions(place, 2)
    for each in (first, second):
        ship(each, place / "served")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert export_line.main(["rollback", "--bundle", str(place / "served")]) == 0
    assert Bundle.read(place / "served").version == "model-1"
    said = capsys.readouterr().err
    assert "http://127.0.0.1:9 cannot be used" in said
    assert "python -m export register" in said
    assert said.count("\n") == 1
    assert export_line.main(["register", "--bundle", str(place / "served")]) == 1


def test_a_bundle_of_another_store_is_registered_under_a_run_that_stands_for_its_own(place, capsys):
    uri = f"sqlite:///{place / 'mlflow.db'}"
    assert export_line.main(["rollback", "--bundle", str(place / "none")]) == 1
    first, second = versions(place, 2)
    for each in (first, second):
        ship(each, place / "served")
    assert export_line.main(["rollback", "--bundle", str(place / "served")]) == 0
    assert "no champion" in capsys.readouterr().out
    assert export_line.main(["register", "--bundle", str(place / "served")]) == 0
    version = MlflowClient(uri).get_model_version_by_alias(NAME, CHAMPION)
    run = MlflowClient(uri).get_run(version.run_id)
    assert run.data.tags["trained_as"] == Bundle.read(first).manifest["training"]["mlflow_run"]
    assert version.tags["version"] == run.info.run_name == "model-1"


def test_a_damaged_bundle_is_not_registered(place, capsys):
    (first,) = versions(place, 1)
    (first / MODEL).write_bytes(b"cut short")
    assert export_line.main(["register", "--bundle", str(first)]) == 1
    assert "has 9 bytes" in capsys.readouterr().err


def test_the_input_example_is_base64_of_a_photo(predictor):
    (image,) = registry.example()["image"]
    assert predictor.predict(base64.b64decode(image, validate=True)).is_cat
