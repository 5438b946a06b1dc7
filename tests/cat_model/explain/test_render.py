"""How explanations look and read."""

import numpy as np
import pytest
from PIL import Image, ImageChops

from cat_model import Verdict
from cat_model.explain.render import AGAINST, FOR, captioned, draw, heat, place, sentence

CAT = Verdict(0.9, True, False, "cat", "test")
OTHER = Verdict(0.01, False, False, "not a cat", "test")
UNSURE = Verdict(0.4, False, True, "not sure", "test")


def at(row, column, value=1.0):
    values = np.zeros((14, 14))
    values[row, column] = value
    return values


@pytest.mark.parametrize(
    ("row", "column", "where"),
    [
        (0, 0, "at the top left"),
        (13, 13, "at the bottom right"),
        (7, 7, "in the middle"),
        (10, 10, "in the middle"),  # the last of seven from the fifth on: halves are rounded
        (7, 0, "on the left"),
    ],
)
def test_the_place_is_where_the_mass_lies(row, column, where):
    assert place(at(row, column)) == where


def test_an_even_mass_has_no_place():
    assert place(np.ones((14, 14))) is None


def test_the_sentence_is_about_the_answer():
    values = at(0, 0, 1.0) + at(13, 13, -1.0)
    assert sentence(values, CAT) == "Mostly what is at the top left."
    assert sentence(values, OTHER) == "What speaks against a cat is mostly at the bottom right."
    assert "top left" in sentence(values, UNSURE)
    assert sentence(np.zeros((14, 14)), CAT) == "Nothing in the photo stands out."


def test_warm_speaks_for_a_cat_cool_against_and_little_is_transparent():
    colours = np.asarray(heat(at(2, 2, 1.0) + at(11, 11, -1.0))).astype(int)
    fine = len(colours) // 14
    warm, cool, none = (colours[int((k + 0.5) * fine), int((k + 0.5) * fine)] for k in (2, 11, 7))
    assert warm[0] > warm[2]
    assert cool[2] > cool[0]
    assert min(warm[3], cool[3]) > 100
    assert none[3] == 0


def test_a_drawing_keeps_the_photos_shape_and_its_strength_is_heeded():
    photo = Image.new("RGB", (2000, 1000), "grey")
    full, none = draw(photo, at(2, 2), 1.0), draw(photo, at(2, 2), 0.0)
    assert (full.mode, full.size) == ("RGB", (1024, 512))
    assert photo.size == (2000, 1000)
    assert none.getextrema() == tuple((grey, grey) for grey in none.getpixel((0, 0)))
    assert full.getextrema() != none.getextrema()


def test_the_part_that_was_looked_at_closer_is_framed():
    photo, closer = Image.new("RGB", (400, 200), "grey"), (0.25, 0.1, 0.75, 0.9)
    plain, framed = draw(photo, at(2, 2), 0.0), draw(photo, at(2, 2), 0.0, closer)
    left, top, right, bottom = ImageChops.difference(plain, framed).getbbox()
    assert (left, top, right, bottom) == (100, 20, 300, 180)
    assert framed.getpixel((200, 100)) == plain.getpixel((200, 100))
    assert (255, 255, 255) in {framed.getpixel((200, row)) for row in range(20, 26)}


@pytest.mark.parametrize("size", [(560, 420), (90, 560)])
def test_a_saved_picture_has_the_sentence_and_the_legend_below(size):
    photo = Image.new("RGB", size, "grey")
    short, long = (captioned(photo, told) for told in ("Short.", "A sentence that needs a second line " * 3))
    assert short.crop((0, 0, *size)).getcolors() == photo.getcolors()
    below = {colour for _, colour in short.crop((0, size[1], *short.size)).getcolors(1 << 20)}
    assert {FOR, AGAINST, (255, 255, 255)} <= below
    assert min(min(colour) for colour in below) < 60  # words
    assert short.width == long.width == size[0]
    assert long.height > short.height
