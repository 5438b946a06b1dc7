"""A followed bundle: whole or not at all, tried before it replaces the old one, and gone on with."""

import dataclasses
import json
import logging
import threading

import pytest

import cat_model
from cat_model.bundle import CARD, FILES, MANIFEST, MODEL, Bundle, BundleError
from cat_model.origin import follow
from cat_model.origin.follow import follower
from cat_model.settings import SHIPPED_BUNDLE, Settings
from tests.cat_model.origin.servers import serving
from web.server.reload import ReloadingPredictor

ADDRESS = {"models": "models:/are-you-a-cat@champion", "hf": "hf://me/cat"}
POINTER = {"models": "champion", "hf": "main"}


def files(version):
    """The files of a bundle that differs from the shipped one in its name."""
    made = {name: (SHIPPED_BUNDLE / name).read_bytes() for name in FILES if (SHIPPED_BUNDLE / name).exists()}
    made[MANIFEST] = json.dumps(json.loads(made[MANIFEST]) | {"version": version}).encode()
    return made


@pytest.fixture(params=ADDRESS)
def kind(request):
    return request.param


@pytest.fixture
def place(kind, monkeypatch):
    """A server with the versions 1 and 2, and its pointer on the first."""
    with serving(kind) as served:
        served.versions = {"1": files("model-1"), "2": files("model-2")}
        served.points_to = {POINTER[kind]: "1"}
        if kind == "hf":
            constants = pytest.importorskip("huggingface_hub.constants")
            monkeypatch.setattr(constants, "ENDPOINT", served.address)
            files_at = f"{served.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files_at)
            monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield served


@pytest.fixture
def settings(kind, place, tmp_path):
    return Settings.from_env(
        {
            "CAT_BUNDLE": ADDRESS[kind],
            "CAT_BUNDLE_CACHE": str(tmp_path / "cache"),
            "MLFLOW_TRACKING_URI": place.address,
        }
    )


@pytest.fixture
def follows(settings):
    return follower(settings)


def move(place, kind, version):
    place.points_to[POINTER[kind]] = version


def version_of(settings):
    return Bundle.read(settings.bundle).version


def test_a_bundle_is_brought_with_all_its_files_and_asked_for_once(follows, settings, place):
    follows.bring()
    held = {path.name: path.read_bytes() for path in settings.bundle.iterdir()}
    assert held == place.versions["1"]
    assert cat_model.load(settings.bundle).bundle.version == "model-1"
    assert len(place.downloads(MODEL)) == 1
    assert follows.refresh() is False
    assert len(place.downloads(MODEL)) == 1
    assert follows.problem is None
    assert not (settings.bundle.parent / follow.DOWNLOAD).exists()


def test_the_pointer_is_followed_there_and_back(follows, settings, place, kind):
    follows.bring()
    for version in ("2", "1"):
        move(place, kind, version)
        assert follows.refresh() is True
        assert version_of(settings) == f"model-{version}"


def test_a_later_start_takes_what_was_brought_before(follows, settings, place):
    follows.bring()
    follower(settings).bring()
    assert len(place.downloads(MODEL)) == 1


def test_a_download_that_breaks_off_is_gone_on_with_and_not_begun_anew(follows, settings, place, kind):
    follows.bring()
    move(place, kind, "2")
    size = len(place.versions["2"][MODEL])
    place.requests.clear()
    place.cut_after = [size // 2]
    follows.refresh()  # the hub's library waits a moment and goes on by itself
    assert version_of(settings) == "model-2"
    assert place.downloads(MODEL) == [None, f"bytes={size // 2}-"]


def test_half_a_bundle_never_takes_the_place_of_a_whole_one(follows, settings, place, kind, monkeypatch):
    follows.bring()
    move(place, kind, "2")
    size = len(place.versions["2"][MODEL])
    place.cut_after = [size // 2, *[0] * 20]
    monkeypatch.setattr("time.sleep", lambda _: None)  # of the hub's library, before it goes on
    assert follows.refresh() is False
    assert ADDRESS[kind] in follows.problem
    assert version_of(settings) == "model-1"
    place.cut_after.clear()
    place.requests.clear()
    assert follower(settings).refresh() is True  # as the next process goes on with it
    assert version_of(settings) == "model-2"
    assert place.downloads(MODEL) == [f"bytes={size // 2}-"]


def test_what_is_left_of_one_revision_is_not_gone_on_with_for_another(follows, place, kind):
    place.versions["3"] = files("model-3")
    size = len(place.versions["1"][MODEL])
    place.cut_after = [size // 2, *[0] * 20]
    assert follows.refresh() is False
    place.cut_after.clear()
    place.requests.clear()
    move(place, kind, "3")
    assert follows.refresh() is True
    assert place.downloads(MODEL) == [None]


@pytest.mark.parametrize("damage", ["model", "self-test", "manifest"])
def test_what_cannot_be_served_leaves_the_old_one_and_is_not_fetched_again_and_again(
    follows, settings, place, kind, damage, caplog, monkeypatch
):
    follows.bring()
    bad, manifest = place.versions["2"], json.loads(place.versions["2"][MANIFEST])
    if damage == "model":
        bad[MODEL] = bad[MODEL][:-1] + b"?"
    elif damage == "self-test":
        manifest["golden"][0]["probability"] = 0.5
        bad[MANIFEST] = json.dumps(manifest).encode()
    else:
        bad[MANIFEST] = b"{"
    move(place, kind, "2")
    place.requests.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert follows.refresh() is False
    assert len(place.downloads(MODEL)) == 1
    assert f"2 of {ADDRESS[kind]} is not used: " in follows.problem
    assert str(settings.bundle.parent) not in follows.problem
    assert [record.message for record in caplog.records] == [follows.problem]
    assert cat_model.load(settings.bundle).bundle.version == "model-1"
    monkeypatch.setattr(follow, "REFUSED_AGAIN_S", 0)
    follows.refresh()
    assert len(place.downloads(MODEL)) == 2
    move(place, kind, "1")
    assert follows.refresh() is False  # that one is here
    assert follows.problem is None


def test_a_bundle_without_the_signature_that_is_asked_for_is_not_used(settings, place, kind):
    settings = dataclasses.replace(settings, bundle_public_key="A" * 43 + "=")
    with pytest.raises(BundleError, match="not signed"):
        follower(settings).bring()
    assert not settings.bundle.exists()


def test_without_its_origin_a_start_takes_the_copy_and_without_a_copy_says_why(settings, place, kind, caplog):
    place.refuses = 503
    with pytest.raises(BundleError, match=f"{ADDRESS[kind]}: .* 503. There is no copy from before."):
        follower(settings).bring()
    assert not caplog.records
    place.refuses = None
    follower(settings).bring()
    place.refuses = 503
    again = follower(settings)
    again.bring()
    assert "503" in again.problem
    assert [record.message for record in caplog.records] == [f"{again.problem} The copy from before answers."]
    assert version_of(settings) == "model-1"


def test_a_server_that_is_not_there_is_named(settings, place, kind, monkeypatch):
    gone = "http://127.0.0.1:9"
    if kind == "hf":
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", gone)
    else:
        registry = dataclasses.replace(settings.registry, uri="http://me:secret@127.0.0.1:9")
        settings = dataclasses.replace(settings, registry=registry)
    with pytest.raises(BundleError, match=r"cannot be (asked|reached)") as caught:
        follower(settings).bring()
    assert "secret" not in str(caught.value)


def test_what_does_not_exist_is_named(settings, place, kind):
    place.points_to.clear()
    words = "no such model, version or alias" if kind == "models" else "no branch, tag or commit 'main'"
    with pytest.raises(BundleError, match=words):
        follower(settings).bring()


def test_a_place_without_a_bundle_is_named(settings, place):
    place.versions["1"] = {"notes.txt": b""}
    with pytest.raises(BundleError, match="holds no bundle"):
        follower(settings).bring()


def test_only_the_files_of_a_bundle_are_taken(settings, place):
    place.versions["1"] |= {"run.py": b"import os", "big.bin": b"x"}
    follower(settings).bring()
    assert place.downloads("run.py") == place.downloads("big.bin") == []
    assert {path.name for path in settings.bundle.iterdir()} <= set(FILES)
    assert CARD in {path.name for path in settings.bundle.iterdir()}


def test_two_processes_that_start_at_once_download_once(settings, place):
    both = [threading.Thread(target=follower(settings).bring) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert version_of(settings) == "model-1"
    assert len(place.downloads(MODEL)) == 1


def test_the_page_answers_with_the_new_one_without_a_restart_and_says_what_is_wrong(
    settings, place, kind, monkeypatch
):
    monkeypatch.setattr("web.server.reload.EVERY_S", 0.05)
    serves = ReloadingPredictor(lambda: cat_model.load(settings.bundle), settings.bundle, follower(settings))
    assert serves.bundle.version == "model-1"
    serves.watch(every_s=0.05)
    try:
        move(place, kind, "2")
        until(lambda: serves.bundle.version == "model-2")
        place.refuses = 503
        until(lambda: serves.problem and "503" in serves.problem)
        assert serves.bundle.version == "model-2"
        place.refuses = None
        until(lambda: serves.problem is None)
    finally:
        serves.stop()


def until(holds):
    """Wait for something that takes no longer than half a minute."""
    waiting = threading.Event()
    for _ in range(600):
        if holds():
            return
        waiting.wait(0.05)
    pytest.fail("It did not come about within half a minute.")
