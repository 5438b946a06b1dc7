"""A JPEG is whole when its rows are there, whatever its last bytes are; one that is cut is refused."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from cat_model.photo import PhotoError, decode
from tests.image_files import encoded

END = b"\xff\xd9"
JUNK = random.Random(1).randbytes(50_000)
KINDS = {
    "baseline": {},
    "full colours": {"subsampling": 0},
    "restarts": {"restart_marker_blocks": 3},
    "progressive": {"progressive": True},
}
WHOLE = {
    "no end": lambda data: data[:-2],
    "half an end": lambda data: data[:-1],
    "bytes behind it": lambda data: data + JUNK,
    "bytes instead of an end": lambda data: data[:-2] + JUNK,
    "zeros instead of an end": lambda data: data[:-2] + bytes(5000),
    "a video behind it": lambda data: data + b"\0\0\0\x18ftypmp42" + JUNK,
    "a video instead of an end": lambda data: data[:-2] + b"\0\0\0\x18ftypmp42" + JUNK,
    "another picture behind it": lambda data: data + data,
    "another picture instead of an end": lambda data: data[:-2] + data,
}
CUT = {
    "half": lambda data: data[: len(data) // 2],
    "half and an end": lambda data: data[: len(data) // 2] + END,
    "half and zeros": lambda data: data[: len(data) // 2] + bytes(5000),
    "half and another picture": lambda data: data[: len(data) // 2] + data,
    "nearly all": lambda data: data[: int(0.97 * len(data))],
    "a tenth and an end": lambda data: data[: len(data) // 10] + END,
}


@pytest.fixture(scope="module")
def photo(examples):
    return Image.open(examples / "chelsea.jpg").convert("RGB").resize((900, 600))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", WHOLE)
def test_a_whole_picture_is_judged(photo, mode, kind, end):
    data = encoded(photo.convert(mode), "JPEG", **KINDS[kind])
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    ended = WHOLE[end](data)
    assert np.array_equal(np.asarray(decode(ended)), expected)
    assert np.array_equal(np.asarray(decode(ended, at_least=100)), np.asarray(decode(data, at_least=100)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", CUT)
@pytest.mark.parametrize("at_least", [None, 100])
def test_a_cut_picture_is_refused(photo, kind, cut, at_least):
    data = encoded(photo, "JPEG", **KINDS[kind])
    with pytest.raises(PhotoError, match="cut short"):
        decode(CUT[cut](data), at_least=at_least)


def test_a_baseline_picture_is_refused_from_its_first_missing_row_on(photo):
    data = encoded(photo, "JPEG", quality=95)
    for missing in (100, 1000, 10_000):
        for cut in (data[:-missing], data[:-missing] + END):
            with pytest.raises(PhotoError, match="cut short"):
                decode(cut)


def test_a_progressive_picture_that_ends_between_two_scans_is_refused(photo):
    data = encoded(photo, "JPEG", progressive=True)
    with pytest.raises(PhotoError, match="cut short"):
        decode(data[: data.rindex(b"\xff\xda")])


def test_pictures_of_every_size_need_no_end(photo):
    chance = random.Random(0)
    for _ in range(300):
        size = (chance.randrange(16, 200), chance.randrange(16, 200))
        options = {"quality": chance.choice((10, 50, 95)), "subsampling": chance.choice((0, 1, 2))}
        data = encoded(photo.resize(size), "JPEG", **options)
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert np.array_equal(np.asarray(decode(data[:-2])), expected)
