"""A comparison of two runs pairs their photos, weighs what changed, and says what was done otherwise."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from train.config import TrainConfig, TrainError
from train.evaluation import compare, predictions
from train.evaluation.metrics import calibration_error
from train.evaluation.predictions import Answers
from train.run import Run

COUNT = 400


def make_run(folder, config, threshold, each):
    """A run folder with these answers."""
    folder.mkdir()
    told = dict.fromkeys(("command", "data", "code_commit", "weights", "tracking_uri", "mlflow_run"), "x")
    paths = {"photos": folder, "wild": None, "people": None, "boxes": None, "cache": folder}
    Run(folder=folder, config=config, **paths, **told).write()
    predictions.write(folder / "answers.csv", each)
    (folder / "summary.json").write_text(json.dumps({"threshold": threshold}))
    return folder


def made_up(probabilities, first=0):
    """Answers to photos with these numbers, every second one of a cat."""
    numbers = np.arange(first, first + len(probabilities))
    groups = np.where(numbers % 2, "dog", "cat")
    return Answers(
        np.array([f"{group}/{number}.jpg" for group, number in zip(groups, numbers, strict=True)]),
        np.array([f"{number:064x}" for number in numbers]),
        groups,
        probabilities,
    )


@pytest.fixture
def runs(tmp_path):
    """B finds 30 cats more than A and takes 5 dogs more for cats; its threshold is another one."""
    cats = np.arange(COUNT) % 2 == 0
    of_a = np.where(cats, 0.9, 0.1)
    of_a[:80:2] = 0.2
    of_b = np.where(cats, 0.7, 0.1)
    of_b[:20:2] = 0.2
    of_b[1:11:2] = 0.65
    config = TrainConfig(backbone="tiny", side=32)
    a = make_run(tmp_path / "a", config, 0.5, {"test": made_up(of_a), "validation": made_up(of_a)})
    b = make_run(tmp_path / "b", dataclasses.replace(config, dropout=0.5), 0.6, {"test": made_up(of_b)})
    return a, b


def test_the_table_measures_both_at_their_own_thresholds_and_weighs_the_difference(runs, tmp_path):
    row = compare.compare(*runs, tmp_path).splitlines()[2]
    assert row.split()[:2] == ["test", "400"]
    found, precise, _ = row.split(")", 2)
    assert "0.8000 → 0.9500" in found
    assert "1.0000 → 0.9744" in precise
    low, high = (float(word) for word in found.split("(")[1].split(" … "))
    assert 0.05 < low < 0.15 < high < 0.25
    assert row.split()[-3:] == ["5", "30", "0.0000"]
    answers = [predictions.read(run / "answers.csv")["test"] for run in runs]
    errors = [calibration_error(each.probabilities, each.cats) for each in answers]
    assert f"{errors[0]:.4f} → {errors[1]:.4f}" in row.rpartition(")")[2]
    assert round(errors[0], 4) != round(errors[1], 4)


def test_every_changed_verdict_is_listed_with_who_is_right(runs, tmp_path):
    compare.compare(*runs, tmp_path)
    changed = pd.read_csv(tmp_path / "compare-a-b" / "changed.csv")
    assert changed.groupby(["group", "right"]).size().to_dict() == {("cat", "B"): 30, ("dog", "A"): 5}
    assert set(changed["path"][changed["group"] == "dog"]) == {
        f"dog/{number}.jpg" for number in range(1, 11, 2)
    }
    assert (tmp_path / "compare-a-b" / "compare.html").read_text().count("dog/9.jpg") == 1


def test_what_was_done_otherwise_is_said_and_nothing_else(runs, tmp_path):
    said = compare.compare(*runs, tmp_path).split("Done otherwise")[1].split("Verdicts")[0]
    assert {line.split()[0] for line in said.splitlines() if line} == {"what", "dropout", "threshold"}


def test_only_photos_that_both_were_measured_on_count(runs, tmp_path):
    a, _ = runs
    late = make_run(tmp_path / "late", TrainConfig(), 0.5, {"test": made_up(np.full(COUNT, 0.9), first=390)})
    said = compare.compare(a, late, tmp_path)
    assert said.splitlines()[2].split()[:2] == ["test", "10"]
    other = make_run(tmp_path / "other", TrainConfig(), 0.5, {"test": made_up(np.full(9, 0.9), first=9000)})
    with pytest.raises(TrainError, match="photo that both know"):
        compare.compare(a, other, tmp_path)


def test_a_run_with_itself_has_nothing_to_tell(runs, tmp_path):
    a, _ = runs
    said = compare.compare(a, a, tmp_path)
    assert said.splitlines()[2].split()[-3:] == ["0", "0", "1.0000"]
    assert said.count("none") == 2
    assert len(pd.read_csv(tmp_path / "compare-a-a" / "changed.csv")) == 0
