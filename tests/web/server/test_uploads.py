"""No photo outlives its minutes, whatever became of the upload or of the process."""

import os
import time

import gradio as gr
import pytest

from cat_model.settings import SettingsError
from web.server import uploads
from web.server.uploads import LIFE_S, Sweeper, own_folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def folder(place):
    with own_folder(place) as made:
        yield made


@pytest.fixture
def blocks():
    with gr.Blocks(analytics_enabled=False) as page:
        gr.Image()
    return page


def put(path, age=0.0, content=b"photo"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_old_photos_go_new_ones_and_the_pages_own_stay(folder, blocks):
    old, new = put(folder / "hash" / "old.jpg", LIFE_S + 5), put(folder / "other" / "new.jpg", LIFE_S - 60)
    half = put(folder / "tmp123", LIFE_S + 5)  # an upload that broke off
    tomorrow = put(folder / "tomorrow.jpg", -86_400)  # by a clock that has jumped back since
    example = put(folder / "example" / "cat.jpg", LIFE_S + 5)
    next(iter(blocks.blocks.values())).keep_in_cache = {str(example)}
    Sweeper(folder, blocks).sweep()
    assert [path.exists() for path in (old, half, tomorrow)] == [False] * 3
    assert [path.exists() for path in (new, example)] == [True] * 2


def test_folders_of_photos_that_are_gone_go_too(folder, blocks):
    then = time.time() - LIFE_S - 5
    (folder / "empty").mkdir()
    (folder / "fresh").mkdir()
    os.utime(folder / "empty", (then, then))
    Sweeper(folder, blocks).sweep()
    assert sorted(path.name for path in folder.iterdir()) == ["fresh"]


def test_of_too_much_the_oldest_goes(folder, blocks, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_BYTES", 25)
    photos = [put(folder / f"{age}.jpg", age, bytes(10)) for age in (10, 40, 30, 20)]
    Sweeper(folder, blocks).sweep()
    assert [path.exists() for path in photos] == [True, False, False, True]


def test_gradio_remembers_no_names_of_photos(folder, blocks):
    blocks.upload_file_set.update({"/tmp/a", "/tmp/b"})
    Sweeper(folder, blocks).sweep()
    assert not any(blocks.temp_file_sets)


def test_what_a_killed_process_left_goes_and_a_living_ones_stays(place, folder, blocks):
    killed, living = (put(place / f"{uploads.PREFIX}{name}" / "a.jpg").parent for name in ("one", "two"))
    stranger = put(place / "hash" / "another-app.jpg", LIFE_S + 5)
    then = time.time() - LIFE_S - 5
    for each in (killed, living):
        os.utime(each, (then, then))
    Sweeper(living, blocks).sweep()  # the living one's own sweep, a moment before
    Sweeper(folder, blocks).sweep()
    assert not killed.exists()
    assert list(living.iterdir())
    assert stranger.exists()


def test_the_folder_ends_with_the_process_and_gradio_finds_it(place):
    with own_folder(place) as folder:
        put(folder / "hash" / "photo.jpg")
        assert gr.utils.get_upload_folder() == str(folder)
        assert folder.parent == place
    assert not list(place.iterdir())
    assert gr.utils.get_upload_folder() == str(place)


def test_where_no_photo_can_be_put_down_that_is_said(tmp_path):
    taken = put(tmp_path / "taken")
    with pytest.raises(SettingsError, match="Set GRADIO_TEMP_DIR") as said, own_folder(taken):
        pass
    assert str(taken) in str(said.value)


def test_one_photo_that_resists_does_not_keep_the_others(folder, blocks, monkeypatch):
    photos = [put(folder / name, LIFE_S + 5) for name in ("a.jpg", "b.jpg", "c.jpg")]
    unlink = type(photos[0]).unlink

    def resisting(path, **options):
        if path.name == "b.jpg":
            raise PermissionError(13, "in use")
        unlink(path, **options)

    monkeypatch.setattr(type(photos[0]), "unlink", resisting)
    Sweeper(folder, blocks).sweep()
    assert [path.exists() for path in photos] == [False, True, False]
