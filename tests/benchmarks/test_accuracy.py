"""The report counts only photos that the model has not learned from, and every target has a figure."""

import dataclasses
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.targets import TARGETS
from cat_model.bundle import Bundle
from cat_model.settings import SHIPPED_BUNDLE
from cat_model.verdict import Threshold
from export.reference import REFERENCE, Reference
from tests import generated_photos
from train.data import manifest
from train.evaluation import metrics
from train.evaluation.stress import SLICES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return generated_photos.write(tmp_path_factory.mktemp("accuracy") / "wild", 4)


@pytest.fixture
def bundle(tmp_path):
    shutil.copytree(SHIPPED_BUNDLE, tmp_path / "bundle")
    (tmp_path / "bundle" / REFERENCE).unlink(missing_ok=True)
    return Bundle.read(tmp_path / "bundle")


def remember(bundle, folder, splits):
    records = manifest.scan(folder)[0]
    placed = [dataclasses.replace(r, split=s) for r, s in zip(records, splits, strict=False)]
    (bundle.folder / REFERENCE).write_bytes(Reference.of(placed).to_json())
    return records


def test_of_the_training_folder_only_the_test_split_counts(bundle, folder):
    records = remember(bundle, folder, ["train", "validation", "test", "test"])
    assert accuracy.photos(bundle, folder) == ("test", records[2:4])


def test_elsewhere_everything_counts_that_was_not_learned_from(bundle, folder):
    assert accuracy.photos(bundle, folder) == ("wild", manifest.scan(folder)[0])
    records = remember(bundle, folder, ["train", "validation"])
    assert accuracy.photos(bundle, folder) == ("wild", records[2:])


def test_every_target_has_a_figure():
    measured = metrics.measure(np.array([0.9, 0.8, 0.1]), ["cat", "cat_hard", "dog"], 0.5)
    names = ["wild", "people", "test", *(f"test.{name}" for name in SLICES)]
    found = {figure for name in names for figure in accuracy.figures(name, measured)}
    assert set(TARGETS) - found == {"size.megabytes"}
    assert accuracy.figures("wild", measured)["wild.false_cat"] == 0


def test_thorough_answers_are_measured_at_their_own_threshold(folder):
    records = manifest.scan(folder)[0]
    quick, thorough = Threshold(0.5, (0.4, 0.6)), Threshold(0.9, (0.8, 0.95))
    answered = []

    def predict_many(photos, thorough):
        answered.extend(photos)
        return [SimpleNamespace(probability=0.7 + 0.15 * thorough) for _ in photos]

    cascade, bundle = (
        SimpleNamespace(search=SimpleNamespace(threshold=thorough)),
        SimpleNamespace(decision=quick),
    )
    predictor = SimpleNamespace(cascade=cascade, bundle=bundle, predict_many=predict_many)
    found = accuracy.measure(predictor, folder, records)
    assert (found.recall.value, found.false_cat["dog"].value, found.unsure.value) == (1, 1, 0)
    found = accuracy.measure(predictor, folder, records, thorough=True)
    assert (found.recall.value, found.false_cat["dog"].value, found.unsure.value) == (0, 0, 1)
    assert sorted(answered) == sorted([folder / record.path for record in records] * 2)


def test_the_table_has_a_row_for_each_figure_and_a_column_for_each_kind_of_answer():
    groups = ["cat", "cat", "cat_hard", "dog", "misc"]
    quick, thorough = (
        metrics.measure(np.array(said), groups, 0.5, (0.4, 0.6))
        for said in ([0.9, 0.8, 0.1, 0.2, 0.7], [0.9, 0.8, 0.9, 0.2, 0.3])
    )
    found = {"wild": accuracy.Measured(quick, thorough), "test.blur": accuracy.Measured(quick)}
    rows = [line.strip("| ").split(" | ") for line in accuracy.table(found, 0.5, 0.625).splitlines()]
    assert rows[0] == ["photos", "figure", "quick, from 0.500", "thorough, from 0.625"]
    cells = {(name, figure): told for name, figure, *told in rows[2:]}
    low = metrics.rate(2, 3)
    all_cats = [f"0.6667 ({low.low:.4f} – {low.high:.4f}; 2 / 3)", "1.0000 (0.4385 – 1.0000; 3 / 3)"]
    assert cells["wild", "recall, all cats"] == all_cats
    assert [each[:6] for each in cells["wild", "recall, cat_hard"]] == ["0.0000", "1.0000"]
    assert [each[-7:] for each in cells["wild", "false-positive rate, misc"]] == [" 1 / 1)", " 0 / 1)"]
    assert cells["test.blur", "recall, all cats"] == all_cats[:1]  # stress is answered quickly only
    assert "thorough" not in accuracy.table(found, 0.5, None)


def test_the_report_tells_slices_figures_and_targets(bundle, folder, tmp_path, monkeypatch, capsys):
    remember(bundle, folder, ["train"] * 12 + ["test"] * 4)
    monkeypatch.setenv("CAT_BUNDLE", str(bundle.folder))
    monkeypatch.setenv("CAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.argv", ["accuracy", str(folder), "--stress"])
    accuracy.main()
    said = capsys.readouterr().out
    assert "test: 4 photos of" in said
    for name in ("test", *(f"test.{name}" for name in SLICES)):
        assert f"| {name} | false-positive rate, all others | " in said
    lines = {line.split()[0]: line for line in said.splitlines() if line and line.split()[0] in TARGETS}
    assert set(lines) == set(TARGETS)
    assert lines["wild.recall"].split()[-2:] == ["missing", "REFUSED"]
    assert lines["test.cats"].split()[-1] == "REFUSED"
