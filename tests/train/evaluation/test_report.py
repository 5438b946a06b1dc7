"""Answers survive the disk; the report shows each table, the surest errors first, and what they look like."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from tests import generated_photos
from train.config import TrainConfig, TrainError
from train.data import manifest
from train.data.manifest import TEST
from train.evaluation import metrics, plots, predictions, report
from train.evaluation.predictions import Answers
from train.run import Run


def made_up(groups, probabilities):
    count = len(groups)
    paths = [f"{group}/{number:05}.png" for number, group in enumerate(groups)]
    hashes = [f"{number:064x}" for number in range(count)]
    return Answers(np.array(paths), np.array(hashes), np.array(groups), np.array(probabilities))


@pytest.fixture
def run(tmp_path):
    """A run whose photos are all for the test."""
    photos = generated_photos.write(tmp_path / "photos", 5)
    records, _ = manifest.scan(photos)
    folder = tmp_path / "a-run"
    folder.mkdir()
    tested = [dataclasses.replace(record, split=TEST) for record in records]
    manifest.write_manifest(folder / "manifest.csv", tested)
    told = dict.fromkeys(("command", "data", "code_commit", "weights", "tracking_uri", "mlflow_run"), "")
    return Run(
        folder=folder,
        config=TrainConfig(backbone="tiny", side=32),
        photos=photos,
        wild=None,
        people=None,
        boxes=None,
        cache=tmp_path / "cache",
        **told,
    )


def brightness(pixels):
    return pixels.mean(axis=(1, 2, 3)) / 255


def test_answers_are_of_the_photos_in_their_order_and_come_back_as_they_were(run, tmp_path):
    asked = {TEST: predictions.ask(run, brightness, TEST)}
    asked[predictions.stressed(TEST, "low-light")] = predictions.ask(run, brightness, TEST, "low-light")
    records = run.manifest(TEST)
    assert list(asked[TEST].hashes) == [record.sha256 for record in records]
    assert list(asked[TEST].cats) == [record.is_cat for record in records]
    assert (asked["test.low-light"].probabilities < asked[TEST].probabilities).all()
    predictions.write(tmp_path / "answers.csv", asked)
    back = predictions.read(tmp_path / "answers.csv")
    assert list(back) == ["test", "test.low-light"]
    for split, each in asked.items():
        for name in ("paths", "hashes", "groups", "probabilities"):
            np.testing.assert_array_equal(getattr(back[split], name), getattr(each, name))


def test_a_run_without_answers_is_named(tmp_path):
    with pytest.raises(TrainError, match=r"answers\.csv"):
        predictions.read(tmp_path / "answers.csv")


def test_the_surest_errors_come_first():
    groups = ["cat", "cat", "cat", "dog", "dog", "misc"]
    missed, false_positives = report.worst(made_up(groups, [0.4, 0.1, 0.9, 0.6, 0.2, 0.8]), 0.5)
    assert list(missed) == [1, 0]
    assert list(false_positives) == [5, 3]


def test_the_report_holds_tables_curves_and_thumbnails_of_the_errors_alone(run, tmp_path):
    asked = predictions.ask(run, lambda pixels: np.linspace(0.99, 0.01, len(pixels)), TEST)
    measured = {TEST: metrics.measure(asked.probabilities, asked.groups, 0.5)}
    calibrations = {TEST: metrics.Calibration(0.1234, 0.0123, 0.5, 0.4)}
    plots.draw(tmp_path, TEST, asked.probabilities, asked.groups, threshold=0.5, band=(0.4, 0.6))
    path = report.write(
        run, {TEST: asked}, measured, calibrations=calibrations, threshold=0.5, plots=tmp_path
    )
    page = path.read_text("utf-8")
    assert path.parent == run.folder
    assert page.count("data:image/png") == len(plots.KINDS)
    wrong = (asked.probabilities >= 0.5) != asked.cats
    assert page.count("data:image/jpeg") == wrong.sum() > 0
    for shown, name in zip(wrong, asked.paths, strict=True):
        assert (name in page) == shown
    assert report.text(measured[TEST].recall) in page
    assert "0.0123" in page


@pytest.mark.parametrize("cats", [0.3, 0.0, 1.0])
def test_every_plot_is_drawn_even_where_all_photos_are_alike(tmp_path, cats):
    generator = np.random.default_rng(0)
    groups = np.where(generator.random(60) < cats, "cat", "dog")
    plots.draw(tmp_path, "test", generator.random(60), groups, threshold=0.5, band=(0.4, 0.6))
    for kind in plots.KINDS:
        with Image.open(tmp_path / f"test-{kind}.png") as image:
            assert len(image.getcolors(1 << 20)) > 10
