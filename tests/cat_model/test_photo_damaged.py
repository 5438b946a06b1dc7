"""Thousands of damaged files: each gives a photo or a PhotoError, and never anything else."""

import random
import warnings

import pytest
from PIL import Image

from cat_model.photo import FORMATS, Limits, PhotoError, decode
from tests.pictures import encoded

CASES = 3000
LIMITS = Limits(pixels=1_000_000)  # a damaged header often asks for millions of pixels: correct, but slow


@pytest.fixture(scope="module")
def healthy(examples):
    """A small photo with EXIF and an alpha channel where the format has one, and a second frame."""
    photo = Image.open(examples / "chelsea.jpg").resize((60, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = photo.copy()
    clear.putalpha(128)
    variants = {
        "JPEG": (photo, {"exif": exif.tobytes(), "progressive": True}),
        "PNG": (clear, {"exif": exif.tobytes()}),
        "WEBP": (clear, {"exif": exif.tobytes(), "save_all": True, "append_images": [clear.rotate(90)]}),
        "AVIF": (clear, {"exif": exif.tobytes()}),
        "GIF": (clear, {"save_all": True, "append_images": [clear.rotate(90)]}),
        "BMP": (photo, {}),
    }
    assert set(variants) == set(FORMATS)
    return {form: encoded(image, form, **options) for form, (image, options) in variants.items()}


def damaged(data, chance):
    """Cut, change, repeat or drop some bytes; often near the start, where a format keeps its promises."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        place = chance.randrange(min(len(data), chance.choice((64, 512, len(data)))))
        match chance.randrange(4):
            case 0:
                data[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            case 1:
                data[place : place + 4] = chance.randbytes(4)
            case 2:
                data[place:place] = data[place : place + chance.randrange(1, 64)]
            case 3:
                del data[place : place + chance.randrange(1, 32)]
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)) :]
    return bytes(data)


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_but_photo_error_leaves_decode(healthy, form):
    chance = random.Random(form)
    answers = {"photo": 0, "refused": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow remarks on broken EXIF
        for case in range(CASES):
            data = damaged(healthy[form], chance)
            try:
                image = decode(data, LIMITS, at_least=16 if case % 2 else None)
            except PhotoError as error:
                answers["refused"] += 1
                assert str(error).endswith(".")
            else:
                answers["photo"] += 1
                assert (image.mode, image.info) == ("RGB", {})
                assert min(image.size) >= 16
    assert min(answers.values()) > CASES // 100  # both ways were tried


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_cut_anywhere_is_a_photo_or_refused(healthy, form):
    data = healthy[form]
    assert decode(data).size in {(60, 40), (40, 60)}
    for length in range(0, len(data) - 1, max(1, len(data) // 150)):
        try:
            assert decode(data[:length], LIMITS).mode == "RGB"
        except PhotoError as error:
            assert str(error).endswith(".")


def test_warnings_as_errors_are_refusals_too(healthy):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chance = random.Random(1)
        for _ in range(200):
            try:
                decode(damaged(healthy["PNG"], chance), LIMITS)
            except PhotoError as error:
                assert str(error).endswith(".")
