"""An animation is judged by its first picture; one that begins blank, by a later one that shows something."""

import struct

import numpy as np
import pytest
from PIL import Image

from cat_model.photo import Limits, decode, decode_frame
from tests.image_files import encoded

FORMS = ("GIF", "WEBP", "PNG", "AVIF")


def animation(frames, form):
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=60)


def fading_in(photo, colour, steps=6):
    blank = Image.new("RGB", photo.size, colour)
    return [Image.blend(blank, photo, step / steps) for step in range(steps + 1)]


@pytest.fixture(scope="module")
def photo(examples):
    return Image.open(examples / "chelsea.jpg").convert("RGB")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("colour", ["black", "white"])
def test_one_that_fades_in_is_judged_by_what_it_shows_then(photo, form, colour):
    found = decode_frame(animation(fading_in(photo, colour), form))
    assert found.frame >= 4
    difference = np.asarray(found.image, int) - np.asarray(photo, int)
    assert np.abs(difference).mean() < 40
    assert (found.image.mode, found.image.info) == ("RGB", {})


@pytest.mark.parametrize("form", FORMS)
def test_one_that_begins_clear_is_judged_by_its_first_picture(photo, form):
    found = decode_frame(animation(fading_in(photo, "black")[::-1], form))
    assert found.frame == 0
    assert np.abs(np.asarray(found.image, int) - np.asarray(photo, int)).mean() < 10


@pytest.mark.parametrize("form", FORMS)
def test_one_that_stays_blank_and_a_blank_photo_are_judged_as_they_are(form):
    frames = [Image.new("RGB", (32, 32), (k, k, k)) for k in (0, 1, 2)]
    assert decode_frame(animation(frames, form)).frame == 0
    assert decode_frame(encoded(frames[0], form)).frame == 0


def test_a_clear_first_picture_is_blank_and_the_later_one_is_turned(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = photo.transpose(Image.Transpose.ROTATE_90).convert("RGBA")
    frames = [Image.new("RGBA", stored.size), stored]
    for form in ("WEBP", "PNG"):
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:], exif=exif.tobytes())
        found = decode_frame(data)
        assert (found.frame, found.image.size) == (1, photo.size)
        assert np.abs(np.asarray(found.image, int) - np.asarray(photo, int)).mean() < 10
        assert np.array_equal(np.asarray(decode(data)), np.asarray(found.image))


@pytest.mark.parametrize("form", ["GIF", "PNG"])
def test_one_whose_later_pictures_are_cut_is_judged_by_what_is_there(photo, form):
    frames = fading_in(photo, "black")
    data = animation(frames, form)
    found = decode_frame(data[: int(0.6 * len(data))])
    assert 0 < found.frame < 6


def test_pictures_beyond_the_limit_are_not_looked_at(photo):
    small = photo.resize((64, 48))
    data = animation([*[Image.new("RGB", small.size, (k % 8, 0, 0)) for k in range(40)], small], "PNG")
    assert decode_frame(data).frame == 40
    assert decode_frame(data, Limits(pixels_moving=30 * 64 * 48)).frame == 0
    assert decode_frame(data, Limits(pixels_moving=15 * 64 * 48)).frame == 0
    data = animation([Image.new("RGB", small.size), small], "PNG")
    assert decode_frame(data, Limits(pixels_moving=15 * 64 * 48)).frame == 0  # too big to hold many of


def test_the_verdict_says_which_picture_it_is_about(predictor, photo, tmp_path):
    path = tmp_path / "cat.gif"
    path.write_bytes(animation(fading_in(photo, "black"), "GIF"))
    verdict = predictor.predict(path)
    assert verdict.label == "cat"
    assert verdict.frame == decode_frame(path).frame > 0
    assert verdict.as_dict()["frame"] == verdict.frame
    assert predictor.explain(path, budget=0).verdict == verdict
    still, moving = predictor.predict_many([photo, path])
    assert (still.frame, moving.frame) == (0, verdict.frame)
    assert "frame" not in still.as_dict()


def test_a_frame_of_a_damaged_size_is_no_end_of_the_program(photo):
    data = bytearray(animation([Image.new("RGB", (60, 40)), photo.resize((60, 40))], "GIF"))
    at = data.rindex(b"\x2c\0\0\0\0")
    data[at + 5 : at + 9] = struct.pack("<HH", 65_000, 65_000)
    assert decode_frame(bytes(data)).frame == 0
