"""Of a file only what its first picture needs goes to a decoder; what is left shows the same pixels."""

import io
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from cat_model.image_container import ContainerError, first_picture
from cat_model.photo import FORMATS, Limits, PhotoError, decode
from tests.attacks import gif_with
from tests.fuzz_photo import healthy
from tests.image_files import encoded

FRAMES = 3


@pytest.mark.parametrize(
    ("form", "data"), [(form, data) for form, files in healthy().items() if form in FORMATS for data in files]
)
def test_the_first_picture_has_the_same_pixels(form, data):
    before = Image.open(io.BytesIO(data))
    after = Image.open(io.BytesIO(first_picture(data, FRAMES).data))
    assert np.array_equal(np.asarray(after.convert("RGBA")), np.asarray(before.convert("RGBA")))
    assert after.format == ("JPEG" if before.format == "MPO" else form)
    if form != "AVIF":
        assert getattr(after, "n_frames", 1) == 1


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_no_metadata_goes_on(form):
    exif = Image.Exif()
    exif[0x010E] = "SECRET"
    options = {"exif": exif.tobytes()} | ({} if form == "PNG" else {"xmp": b"<x>SECRET</x>"})
    data = encoded(Image.new("RGB", (60, 40)), form, icc_profile=b"SECRET" * 9, **options)
    assert b"SECRET" in data
    kept = first_picture(data, FRAMES).data
    if form == "AVIF":  # its parts are found by their places, so they stay; nobody finds the EXIF any more
        assert "exif" not in Image.open(io.BytesIO(kept)).info
    else:
        assert b"SECRET" not in kept


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_orientation_is_read_without_a_decoder(form, order):
    exif = Image.Exif()
    exif.endian = order
    exif[0x010E], exif[0x0112] = "words before it", 8
    data = encoded(Image.new("RGB", (60, 40)), form, exif=exif.tobytes())
    assert first_picture(data, FRAMES).orientation == 8
    assert decode(data).size == (40, 60)


def test_only_a_jpeg_in_one_pass_is_one():
    photo = Image.new("RGB", (60, 40))
    assert first_picture(encoded(photo, "JPEG"), FRAMES).in_one_pass
    thumbnail = Image.Exif()
    thumbnail[0x010E] = encoded(photo, "JPEG", progressive=True)
    assert first_picture(encoded(photo, "JPEG", exif=thumbnail.tobytes()), FRAMES).in_one_pass
    assert not first_picture(encoded(photo, "JPEG", progressive=True), FRAMES).in_one_pass
    assert not first_picture(encoded(photo, "PNG"), FRAMES).in_one_pass


def test_a_big_picture_that_is_decoded_whole_is_refused_and_a_plain_jpeg_is_not():
    photo, limits = Image.new("RGB", (60, 40)), Limits(pixels_whole=2000, pixels_copied=2000)
    assert decode(encoded(photo, "JPEG"), limits).size == (60, 40)
    for form, options in (("PNG", {}), ("WEBP", {}), ("AVIF", {}), ("JPEG", {"progressive": True})):
        with pytest.raises(PhotoError, match=r"60 × 40 pixels.*more of a plain JPEG"):
            decode(encoded(photo, form, **options), limits)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_of_too_many_frames_is_refused(form):
    frames = [Image.effect_noise((32, 32), 50 + k).convert("RGB") for k in range(5)]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    assert decode(data, Limits(frames=5)).size == (32, 32)
    with pytest.raises(PhotoError, match="more than 4 pictures"):
        decode(data, Limits(frames=4))


@pytest.mark.parametrize(
    ("begin", "block", "end"),
    [(b"", b"\1", b""), (b"", b"\x21\xfe\0", b""), (b"\x21\xfe", b"\1a", b"\0")],
    ids=["stray bytes", "empty comments", "parts of one comment"],
)
def test_a_gif_may_have_half_a_million_blocks_and_no_more(begin, block, end):
    left = 500_000 - 2 - len(end)  # a picture has two: its codes and their end
    for count, refused in ((left, False), (left + 1, True)):
        data = gif_with(before=begin + block * count + end)
        with pytest.raises(ContainerError, match="more than 500000 parts") if refused else nullcontext():
            kept = first_picture(data, FRAMES).data
            assert Image.open(io.BytesIO(kept)).size == (60, 40)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_an_animation_goes_on_whole_where_it_is_asked_for_without_metadata(form):
    exif = Image.Exif()
    exif[0x010E] = "SECRET"
    frames = [Image.effect_noise((32, 32), 50 + k).convert("RGB") for k in range(3)]
    options = {"comment": b"SECRET"} if form == "GIF" else {"exif": exif.tobytes()}
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    assert b"SECRET" in data
    assert first_picture(data, FRAMES).pictures == 3
    before = Image.open(io.BytesIO(data))
    kept = first_picture(data, FRAMES, moving=True).data
    after = Image.open(io.BytesIO(kept))
    assert b"SECRET" not in kept
    assert before.n_frames == after.n_frames == 3
    for number in range(3):
        before.seek(number)
        after.seek(number)
        assert np.array_equal(np.asarray(after.convert("RGBA")), np.asarray(before.convert("RGBA")))


def test_files_of_other_kinds_stay_as_they_are():
    for data in (b"", b"words", b"RIFF", b"\0\0\0\0ftyp", b"BM"):
        assert first_picture(data, FRAMES).data == data


def test_what_is_refused_says_so_in_a_sentence():
    with pytest.raises(ContainerError, match=r"^This .*\.$"):
        first_picture(b"GIF89a" + bytes(7) + bytes(600_000), FRAMES)
