"""What is no photo, or too much of one, is refused with a sentence for its owner."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from cat_model.photo import DEFAULT_LIMITS, Limits, PhotoError, decode
from tests.image_files import encoded, png


def refusal(photo, limits=DEFAULT_LIMITS):
    """The sentence with which a photo is refused."""
    with pytest.raises(PhotoError) as caught:
        decode(photo, limits)
    sentence = str(caught.value)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((32, 32), np.uint8),
        np.zeros((32, 32, 4), np.uint8),
        np.zeros((1, 32, 32, 3), np.uint8),
        np.zeros((32, 32, 3), np.float32),
        np.zeros((32, 32, 3), np.int64),
        np.zeros((32, 32, 3), object),
    ],
)
def test_other_arrays_are_refused_with_their_shape_and_type(pixels):
    sentence = refusal(pixels)
    assert str(pixels.shape) in sentence
    assert str(pixels.dtype) in sentence


@pytest.mark.parametrize("thing", [None, 5, [1, 2], io.BytesIO(b"GIF89a")])
def test_other_things_are_refused_by_name(thing):
    assert type(thing).__name__ in refusal(thing)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"just some words\n" * 50, "not a photo"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'\xef\xbb\xbf\n<?xml version="1.0"?>\n<!-- by me -->\n<svg width="5"/>', "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(99), "HEIC"),
        (b"%PDF-1.7\n" + bytes(99), "PDF"),
        (b"II*\0" + bytes(99), "TIFF"),
        (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + bytes(99), "video"),
        (b"\x1aE\xdf\xa3" + bytes(99), "video"),
        (b"RIFF\x60\0\0\0AVI LIST" + bytes(99), "video"),
        (b"\0\0\0\x08wide\0\0\0\x08mdat" + bytes(99), "video"),
        (b"\0\0\1\xba" + bytes(99), "video"),
        (b"RIFF\x60\0\0\0WAVEfmt " + bytes(99), "sound"),
        (b"ID3\4" + bytes(99), "sound"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "JPEG XL"),
        (b"\xff\x0a" + bytes(99), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "JPEG 2000"),
        (b"\xff\x4f\xff\x51" + bytes(99), "JPEG 2000"),
        (b"\0\0\1\0\1\0\x10\x10" + bytes(99), "ICO"),
        (b"8BPS\0\1" + bytes(99), "Photoshop"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(99), "camera raw"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(99), "camera raw"),
        (b"PK\3\4\x14\0" + bytes(99), "zip"),
        (b"Rar!\x1a\7" + bytes(99), "archive"),
        (b"<!DOCTYPE html>\n<html><body>a cat" + bytes(9), "web page"),
        (b"\xef\xbb\xbf\r\n<HTML lang='en'>", "web page"),
        (b"<!-- saved from url=(0014)about:internet -->\n<html>", "web page"),
        (b'<?xml version="1.0"?><!DOCTYPE html><html><svg/></html>', "web page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"BMW, a letter about a car" + bytes(99), "not a photo"),
    ],
)
def test_what_is_no_photo_is_called_by_its_name(data, word, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    assert word in refusal(data)
    assert refusal(path) == refusal(data)


def test_formats_outside_the_list_are_not_opened():
    for form in ("TIFF", "ICO", "PPM", "PCX", "TGA", "JPEG2000", "EPS"):
        assert "please send a JPEG" in refusal(encoded(Image.new("RGB", (60, 40)), form))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP"])
def test_half_a_file_is_refused(form):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), form)
    sentence = refusal(data[: len(data) // 2])
    assert "cut short" in sentence or "damaged" in sentence
    if form in ("JPEG", "PNG"):
        assert "cut short" in sentence


def test_folders_missing_files_and_endless_files_are_refused(tmp_path):
    assert "folder" in refusal(tmp_path)
    assert "no such file" in refusal(tmp_path / "missing.jpg")
    assert "damaged" in refusal("nul\0byte.jpg")
    assert "too long" in refusal("x" * 5000)
    if os.name == "posix":
        assert "not a file" in refusal(os.devnull)


def test_a_refusal_names_what_is_read_instead():
    for data in (b"%PDF-1.7", b"\xff\x0a" + bytes(9), b"words"):
        assert refusal(data).endswith("please send a JPEG, PNG, WebP, GIF, BMP, AVIF or HEIC picture.")


def test_an_unreadable_file_is_refused_with_the_reason(tmp_path, monkeypatch):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"x")

    def denied(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", denied)
    assert "Permission denied" in refusal(path)


def test_a_huge_png_is_refused_before_its_pixels_are_made(monkeypatch):
    data = png(30_000, 30_000, 1, 0, [bytes(3750)] * 300)  # the rows that follow need not even exist

    def forbidden(self):
        raise AssertionError("the pixels of a huge photo were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", forbidden)
    assert "pixels" in refusal(data)
    # Below Pillow's own limit it is ours that counts.
    assert "9000 × 9000" in refusal(png(9_000, 9_000, 1, 0, []), Limits(pixels=80_000_000))
    assert "25000 × 100" in refusal(png(25_000, 100, 1, 0, []))


def test_limits_hold_for_arrays_pil_images_and_files(tmp_path, monkeypatch):
    tight = Limits(file_bytes=1000, pixels=3000, shortest=16, longest=55)
    photo = Image.new("RGB", (60, 40))
    assert "60 × 40" in refusal(photo, Limits(longest=55))
    assert "60 × 40" in refusal(np.asarray(photo), Limits(pixels=2399))
    assert decode(photo, Limits(pixels=2400, longest=60, shortest=40)).size == (60, 40)
    path = tmp_path / "photo.jpg"
    path.write_bytes(bytes(2_500_000))
    assert "2.5 MB" in refusal(path, tight)
    assert "2.5 MB" in refusal(path.read_bytes(), tight)
    monkeypatch.setattr(type(path), "read_bytes", None)  # a file that is too big is not even read
    assert "2.5 MB" in refusal(path, tight)


def test_tiny_pictures_are_refused_with_their_size():
    assert "1 × 1" in refusal(Image.new("RGB", (1, 1)))
    assert "15 × 400" in refusal(encoded(Image.new("RGB", (15, 400)), "PNG"))
    assert "0 × 0" in refusal(np.zeros((0, 0, 3), np.uint8))
    assert decode(Image.new("RGB", (16, 16))).size == (16, 16)
