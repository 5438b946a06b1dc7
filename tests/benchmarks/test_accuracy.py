"""The report counts only photos that the model has not learned from, and every target has a figure."""

import dataclasses
import shutil

import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.targets import TARGETS
from cat_model.bundle import Bundle
from cat_model.settings import SHIPPED_BUNDLE
from export.reference import REFERENCE, Reference
from tests import generated_photos
from train import dataset, evaluate
from train.stress import SLICES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return generated_photos.write(tmp_path_factory.mktemp("accuracy") / "wild", 4)


@pytest.fixture
def bundle(tmp_path):
    shutil.copytree(SHIPPED_BUNDLE, tmp_path / "bundle")
    (tmp_path / "bundle" / REFERENCE).unlink(missing_ok=True)
    return Bundle.read(tmp_path / "bundle")


def remember(bundle, folder, splits):
    records = dataset.scan(folder)[0]
    placed = [dataclasses.replace(r, split=s) for r, s in zip(records, splits, strict=False)]
    (bundle.folder / REFERENCE).write_bytes(Reference.of(placed).to_json())
    return records


def test_of_the_training_folder_only_the_test_split_counts(bundle, folder):
    records = remember(bundle, folder, ["train", "validation", "test", "test"])
    assert accuracy.photos(bundle, folder) == ("test", records[2:4])


def test_elsewhere_everything_counts_that_was_not_learned_from(bundle, folder):
    assert accuracy.photos(bundle, folder) == ("wild", dataset.scan(folder)[0])
    records = remember(bundle, folder, ["train", "validation"])
    assert accuracy.photos(bundle, folder) == ("wild", records[2:])


def test_every_target_has_a_figure():
    metrics = evaluate.measure(np.array([0.9, 0.8, 0.1]), ["cat", "cat_hard", "dog"], 0.5)
    names = ["wild", "people", "test", *(f"test.{name}" for name in SLICES)]
    found = {figure for name in names for figure in accuracy.figures(name, metrics)}
    assert set(TARGETS) - found == {"size.megabytes", "yardstick.time"}
    assert accuracy.figures("wild", metrics)["wild.false_cat"] == 0


def test_the_report_tells_slices_costs_and_targets(bundle, folder, monkeypatch, capsys):
    remember(bundle, folder, ["train"] * 12 + ["test"] * 4)
    monkeypatch.setenv("CAT_BUNDLE", str(bundle.folder))
    monkeypatch.setattr("sys.argv", ["accuracy", str(folder), "--stress"])
    accuracy.main()
    said = capsys.readouterr().out
    for name in ("test (4 photos", *(f"test.{name} (4 photos" for name in SLICES)):
        assert name in said
    lines = {line.split()[0]: line for line in said.splitlines() if line.split()[0] in TARGETS}
    assert set(lines) == set(TARGETS)
    assert lines["wild.recall"].split()[-2:] == ["missing", "REFUSED"]
    assert lines["test.cats"].split()[-1] == "REFUSED"
