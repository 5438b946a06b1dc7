"""What earlier versions wrote opens today: a bundle, a run folder, a feedback record, a report of the checks.

The files in tests/data/old were written by version 0.1.0, on generated pictures; some rows of its CSVs are
left out.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import cat_model
from cat_model.feedback.record import Record
from cat_model.settings import Settings
from train.checks import policy
from train.checks.data_profile import Profile, drift
from train.evaluation import predictions
from train.evaluation.compare import compare
from train.feedback import dataset
from train.models import heads
from train.run import MODEL, Run

OLD = Path(__file__).parent / "data" / "old"
RUN = OLD / "run"


def test_a_bundle_answers_and_explains_as_it_did(examples):
    predictor = cat_model.load(OLD / "bundle")
    verdict = predictor.predict(examples / "chelsea.jpg")
    assert verdict.probability == pytest.approx(0.18302, abs=0.01)
    assert verdict.model_version == "tiny-64-d3a0e2f3"
    assert predictor.explain(examples / "chelsea.jpg", budget=0).values.ndim == 2


def test_a_run_folder_is_read_compared_and_its_model_loaded(tmp_path):
    run = Run.read(RUN)
    assert (run.config.side, run.config.epochs, len(run.manifest("test"))) == (64, 2, 8)
    said = predictions.read(RUN / predictions.ANSWERS)
    assert len(said["test"].probabilities) == 12
    assert "Done otherwise\nnone" in compare(RUN, RUN, tmp_path)
    model = heads.load(RUN / MODEL)
    assert model.probabilities(np.zeros((1, 64, 64, 3), np.uint8), 1).shape == (1,)


def test_a_feedback_record_is_pulled_and_read(tmp_path):
    (path,) = (OLD / "feedback" / "records").iterdir()
    record = Record.from_json(path.read_bytes())
    assert (record.verdict, record.person_says_cat, record.consent) == ("cat", True, "photo")
    shutil.copytree(OLD / "feedback", tmp_path / "outbox")
    pulled = tmp_path / "pulled"
    dataset.pull(dataset.source(tmp_path / "outbox", Settings.from_env({})), pulled)
    assert dataset.read(pulled) == [record]
    assert dataset.photo(pulled, record).exists()


def test_a_report_of_the_checks_is_compared_with():
    profile = Profile(**json.loads((RUN / "checks.json").read_text())["profile"])
    assert profile.photos == 600
    assert drift(profile, profile, policy.read_policy(policy.POLICY)) == []
