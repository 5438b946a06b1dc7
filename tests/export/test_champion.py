"""The champion is compared on the same photos, without those it has seen, and never replaced unnoticed."""

import json
import shutil

import numpy as np
import pytest

import cat_model
from cat_model.bundle import MANIFEST, Bundle
from cat_model.settings import SHIPPED_BUNDLE
from export import champion, evaluate
from export.evaluate import Answers
from export.reference import REFERENCE, Reference
from train.data.manifest import TEST
from train.evaluation import metrics


@pytest.fixture
def shipped(tmp_path):
    """A copy of the shipped bundle that does not say which photos it has seen."""
    folder = tmp_path / "bundle"
    shutil.copytree(SHIPPED_BUNDLE, folder)
    (folder / REFERENCE).unlink(missing_ok=True)
    return folder


def answers(run, right):
    """Answers to the test photos that are right where they are told to be."""
    groups = np.array([record.group for record in run.manifest(TEST)])
    said = np.where(metrics.is_cat(groups) == right, 0.9, 0.1)
    return Answers(said, said, groups, np.zeros(len(said), bool), np.ones(len(said)))


def of_champion(run, folder):
    """Which answers of the shipped model to the test photos are right."""
    predictor = cat_model.load(folder)
    said = [verdict.is_cat for verdict in predictor.predict_many(evaluate.paths(run, TEST))]
    return np.array(said) == metrics.is_cat(answers(run, True).groups)


@pytest.mark.parametrize(
    ("worse", "better", "p"),
    [(0, 0, 1.0), (8, 1, 10 / 512), (1, 8, 511 / 512), (5, 5, 638 / 1024), (6, 0, 1 / 64)],
)
def test_the_exact_probability_of_so_many_worse_answers(worse, better, p):
    champions = np.array([True] * worse + [False] * better + [True] * 50 + [False] * 3)
    new = np.array([False] * worse + [True] * better + [True] * 50 + [False] * 3)
    found = champion.weigh("v", champions, new, "")
    assert (found.worse, found.better, found.photos) == (worse, better, worse + better + 53)
    assert found.p_worse == pytest.approx(p)


def test_the_same_answers_are_no_worse_and_all_photos_count_where_nobody_knows(run, shipped):
    found = champion.compare(run, answers(run, of_champion(run, shipped)), 0.5, shipped)
    assert (found.worse, found.better, found.p_worse, found.photos) == (0, 0, 1.0, 20)
    assert found.version == Bundle.read(shipped).version
    assert "favours it" in found.note


def test_a_model_that_is_wrong_where_the_champion_is_right_is_significantly_worse(run, shipped):
    right = of_champion(run, shipped)
    assert right.sum() >= 5
    found = champion.compare(run, answers(run, np.zeros(len(right), bool)), 0.5, shipped)
    assert (found.worse, found.better) == (right.sum(), 0)
    assert found.p_worse < 0.05


def test_the_champion_is_held_to_its_own_threshold(run, shipped):
    content = json.loads((shipped / MANIFEST).read_text())
    (shipped / MANIFEST).write_text(json.dumps(content | {"threshold": 0.0, "unsure": [0.0, 1.0]}))
    found = champion.compare(run, answers(run, True), 0.5, shipped)
    # It says "cat" to all 20, and is wrong about the 15 that are none.
    assert (found.worse, found.better) == (0, 15)


def test_photos_that_the_champion_has_seen_do_not_count(run, shipped):
    records = run.manifest(TEST)
    (shipped / REFERENCE).write_bytes(
        Reference.of([*(r for r in run.manifest("train")), *records[7:]]).to_json()
    )
    assert champion.compare(run, answers(run, of_champion(run, shipped)), 0.5, shipped).photos == 20
    seen = Reference(frozenset(bytes.fromhex(r.sha256)[:4] for r in records[:7]), frozenset())
    (shipped / REFERENCE).write_bytes(seen.to_json())
    right = of_champion(run, shipped)
    right[:7] ^= True
    found = champion.compare(run, answers(run, right), 0.5, shipped)
    assert (found.photos, found.worse, found.better) == (13, 0, 0)
    assert "7 of 20" in found.note


def test_a_champion_that_has_seen_every_photo_cannot_be_compared(run, shipped):
    seen = frozenset(bytes.fromhex(record.sha256)[:4] for record in run.manifest(TEST))
    (shipped / REFERENCE).write_bytes(Reference(seen, frozenset()).to_json())
    assert champion.compare(run, answers(run, True), 0.5, shipped).p_worse is None


@pytest.mark.parametrize("there", [False, True])
def test_without_a_champion_there_is_nothing_to_lose(run, tmp_path, there):
    if there:
        (tmp_path / "none").mkdir()
    found = champion.compare(run, answers(run, True), 0.5, tmp_path / "none")
    assert (found.p_worse, found.version) == (1.0, None)
    assert "no champion" in found.note


@pytest.mark.parametrize("lost", ["model.tflite", MANIFEST])
def test_a_champion_that_lost_a_file_is_not_taken_for_none(run, shipped, lost):
    (shipped / lost).unlink()
    found = champion.compare(run, answers(run, True), 0.5, shipped)
    assert found.p_worse is None
    assert lost in found.note


@pytest.mark.parametrize("name", ["model.tflite", "manifest.json", REFERENCE])
def test_a_damaged_champion_cannot_be_compared(run, shipped, name):
    (shipped / name).write_bytes(b"{}")
    found = champion.compare(run, answers(run, True), 0.5, shipped)
    assert found.p_worse is None
    assert "cannot be compared" in found.note
