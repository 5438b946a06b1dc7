"""A newly exported bundle answers within seconds, and no answer is lost or mixed while models change."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cat_model
from cat_model import bundle, selftest
from cat_model.bundle import MANIFEST, MODEL, SCHEMA, Bundle, BundleError, sha256
from web.server.reload import ReloadingPredictor

SWAPS, VISITORS = 50, 32


def versions(predictor):
    """The files of two bundles that answer differently: one calls everything a cat, the other nothing."""
    shipped = predictor.bundle
    kept = dict(shipped.manifest) | {
        "schema": SCHEMA,
        "golden": [vars(each) for each in selftest.record(shipped.model)],
        "second_look": None,
        "cascade": None,
    }
    made = {}
    for name, threshold in (("all-cats", 0.0), ("no-cats", 1.0)):
        manifest = kept | {"version": name, "threshold": threshold, "unsure": [threshold, threshold]}
        made[name] = {MANIFEST: json.dumps(manifest).encode(), MODEL: shipped.model}
    return made


@pytest.fixture(scope="module")
def files(predictor):
    return versions(predictor)


@pytest.fixture
def serving(files, tmp_path):
    folder = tmp_path / "bundle"
    bundle.write(folder, files["all-cats"])
    serves = ReloadingPredictor(lambda: cat_model.load(folder, workers=2), folder)
    yield serves
    serves.stop()


def folder_of(serving):
    return serving.predictor.bundle.folder


def test_a_new_bundle_is_served_and_a_rollback_too(serving, files):
    assert not serving.check()
    bundle.write(folder_of(serving), files["no-cats"])
    assert serving.check()
    assert serving.predictor.bundle.version == "no-cats"
    bundle.roll_back(folder_of(serving))
    assert serving.check()
    assert serving.predictor.bundle.version == "all-cats"
    assert serving.problem is None


def test_a_bundle_that_fails_its_check_leaves_the_old_one_and_says_why(serving, files):
    old, folder = serving.predictor, folder_of(serving)
    wrong = json.loads(files["no-cats"][MANIFEST])
    wrong["golden"][0]["probability"] += 0.5
    bundle.write(folder, {MANIFEST: json.dumps(wrong).encode(), MODEL: files["no-cats"][MODEL]})
    assert not serving.check()
    assert "does not answer picture" in serving.problem
    (folder / MODEL).write_bytes(b"cut short")
    assert not serving.check()
    assert "9 bytes" in serving.problem
    (folder / MODEL).unlink()
    assert not serving.check()
    assert "No model" in serving.problem
    assert serving.predictor is old
    bundle.write(folder, files["no-cats"])
    assert serving.check()
    assert serving.problem is None


def test_what_cannot_be_served_at_first_is_refused(tmp_path):
    with pytest.raises(BundleError, match="No model"):
        ReloadingPredictor(lambda: cat_model.load(tmp_path), tmp_path)


def test_the_watch_follows_and_outlives_a_broken_load(serving, files, monkeypatch):
    folder = folder_of(serving)
    serving.watch(every_s=0.05)
    with monkeypatch.context() as broken:
        broken.setattr(serving, "_load", lambda: 1 / 0)
        bundle.write(folder, files["no-cats"])
        until(lambda: serving.problem)
    bundle.write(folder, files["no-cats"])
    until(lambda: serving.predictor.bundle.version == "no-cats")


def until(holds):
    """Wait for something that takes no longer than a minute."""
    for _ in range(1200):
        if holds():
            return
        time.sleep(0.05)
    pytest.fail("It did not come about within a minute.")


@pytest.mark.slow
def test_no_answer_fails_or_mixes_while_models_change(serving, files):
    folder, done, answers = folder_of(serving), threading.Event(), []
    serving.watch(every_s=0.02)
    photo = np.full((64, 64, 3), 120, np.uint8)

    def visit(_):
        while not done.is_set():
            verdict = serving.predict(photo)
            answers.append((verdict.model_version, verdict.is_cat))

    names = [("no-cats", "all-cats")[turn % 2] for turn in range(SWAPS)]
    with ThreadPoolExecutor(VISITORS) as visitors:
        visits = [visitors.submit(visit, number) for number in range(VISITORS)]
        try:
            for name in names:
                bundle.write(folder, files[name])
                until(lambda name=name: serving.predictor.bundle.version == name)
        finally:
            done.set()
    for each in visits:
        each.result()
    assert set(answers) == {("all-cats", True), ("no-cats", False)}
    assert sha256(Bundle.read(folder).model) == sha256(files["all-cats"][MODEL])
