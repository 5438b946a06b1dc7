"""Kinds of photo that people send: each is answered with the right pixels and nothing else."""

import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cat_model.photo import FORMATS, decode, resize
from tests.fuzz_photo import healthy
from tests.image_files import encoded, png

SIDE = 224


def colour(photo, place=(0.5, 0.5)):
    """The decoded colour at a place given in parts of the width and the height."""
    image = decode(photo)
    assert image.mode == "RGB"
    return image.getpixel((int(place[0] * image.width), int(place[1] * image.height)))


def about(expected, margin=6):
    return pytest.approx(expected, abs=margin)


@pytest.fixture(scope="module")
def landscape():
    """A picture of 60 × 40 with another colour in each corner: it shows how it was turned."""
    image = Image.new("RGB", (60, 40), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 29, 19), "red")
    draw.rectangle((30, 0, 59, 19), "lime")
    draw.rectangle((0, 20, 29, 39), "blue")
    return image


CORNERS = ((0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8))
CORNER_COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_its_pixels(landscape, form):
    data = encoded(landscape, form, quality=95)
    assert decode(data).size == (60, 40)
    for place, expected in zip(CORNERS, CORNER_COLOURS, strict=True):
        assert colour(data, place) == about(expected, 60 if form == "GIF" else 25)


def test_a_phones_two_picture_jpeg_gives_the_first(landscape):
    data = encoded(landscape, "MPO", save_all=True, append_images=[Image.new("RGB", (60, 40), "black")])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert colour(data, CORNERS[0]) == about((255, 0, 0), 25)


def test_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (32, 32), name) for name in ("red", "lime", "blue")]
    for form in ("GIF", "WEBP", "PNG", "AVIF"):
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        assert Image.open(io.BytesIO(data)).n_frames == 3
        assert colour(data) == about((255, 0, 0))


@pytest.mark.parametrize(
    ("ink", "expected"),
    [((0, 255, 255, 0), (255, 0, 0)), ((255, 0, 255, 0), (0, 255, 0)), ((0, 0, 0, 255), (0, 0, 0))],
)
def test_cmyk_jpeg_has_the_right_colours(ink, expected):
    data = encoded(Image.new("CMYK", (32, 32), ink), "JPEG", quality=95)
    assert Image.open(io.BytesIO(data)).mode == "CMYK"
    assert colour(data) == about(expected)
    assert decode(data, at_least=16).getpixel((8, 8)) == about(expected)


@pytest.mark.parametrize("value", [0, 0x2000, 0x8000, 0xC000, 0xFFFF])
def test_sixteen_bit_png_has_the_right_brightness(value):
    expected = about((value / 257,) * 3, 1)
    assert colour(png(32, 32, 16, 0, [struct.pack(">H", value) * 32] * 32)) == expected
    assert colour(png(32, 32, 16, 2, [struct.pack(">HHH", value, value, value) * 32] * 32)) == expected
    assert colour(png(32, 32, 16, 4, [struct.pack(">HH", value, 0xFFFF) * 32] * 32)) == expected


def test_sixteen_bit_png_keeps_its_colours_apart():
    assert colour(png(32, 32, 16, 2, [struct.pack(">HHH", 0xC000, 0x4000, 0) * 32] * 32)) == about(
        (192, 64, 0)
    )


@pytest.mark.parametrize("form", ["PNG", "WEBP", "AVIF"])
def test_transparent_pixels_are_laid_on_white(form):
    image = Image.new("RGBA", (64, 32), (0, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 16, 32))
    image.paste((0, 0, 0, 128), (48, 0, 64, 32))
    data = encoded(image, form, quality=100)
    assert colour(data, (0.1, 0.5)) == about((0, 0, 255))
    assert colour(data, (0.5, 0.5)) == about((255, 255, 255))
    assert colour(data, (0.9, 0.5)) == about((127, 127, 127))


def test_palette_with_transparency_is_laid_on_white():
    image = Image.new("P", (32, 32), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.paste(1, (0, 0, 16, 32))
    for form in ("PNG", "GIF"):
        data = encoded(image, form, transparency=0)
        assert colour(data, (0.2, 0.5)) == (0, 0, 200)
        assert colour(data, (0.8, 0.5)) == (255, 255, 255)
    assert colour(encoded(image, "PNG"), (0.8, 0.5)) == (200, 0, 0)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_rotation_ends_upright(landscape, form, orientation):
    turns = Image.Transpose
    as_stored = {
        1: None,
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_90,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_270,
    }[orientation]
    stored = landscape if as_stored is None else landscape.transpose(as_stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, form, exif=exif.tobytes(), quality=95)
    assert decode(data).size == (60, 40)
    for place, expected in zip(CORNERS, CORNER_COLOURS, strict=True):
        assert colour(data, place) == about(expected, 25)
    assert decode(Image.open(io.BytesIO(data))).size == (60, 40)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif", [b"garbage!!", b"", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0"]
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_refuse_the_photo(landscape, form, exif):
    data = encoded(landscape, form, exif=b"Exif\0\0" + exif, quality=95)
    assert decode(data).size == (60, 40)
    assert colour(data, CORNERS[2]) == about((0, 0, 255), 25)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_nothing_but_pixels_comes_through(landscape, form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "SECRET description"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    options = {"exif": exif.tobytes(), "icc_profile": b"SECRET profile"}
    if form != "PNG":
        options["xmp"] = b"<x:xmpmeta>SECRET</x:xmpmeta>"
    image = landscape.copy()
    image.info["comment"] = b"SECRET comment"
    data = encoded(image, form, **options)
    assert b"SECRET" in data
    for photo in (data, Image.open(io.BytesIO(data))):
        result = decode(photo)
        assert result.info == {}
        assert not dict(result.getexif())
        assert b"SECRET" not in encoded(result, "PNG")
        assert b"Exif" not in encoded(result, "JPEG")


def test_transparent_photos_carry_nothing_either(landscape):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(landscape.convert("RGBA"), "PNG", exif=exif.tobytes(), dpi=(72, 72))
    result = decode(data)
    assert (result.info, dict(result.getexif()), result.size) == ({}, {}, (40, 60))


@pytest.mark.parametrize(
    ("mode", "fill", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 90, (90, 90, 90)),
        ("LA", (90, 255), (90, 90, 90)),
        ("LA", (90, 0), (255, 255, 255)),
        ("PA", (0, 0), (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBa", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("YCbCr", (76, 85, 255), (254, 0, 0)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
        ("I;16", 0x8000, (127, 127, 127)),
        ("I", 0x8000, (127, 127, 127)),
        ("I", 200, (200, 200, 200)),
        ("F", 200.0, (200, 200, 200)),
        ("F", float("nan"), (0, 0, 0)),
    ],
)
def test_pil_images_of_every_mode(mode, fill, expected):
    photo = Image.new(mode, (32, 32), fill)
    assert colour(photo) == about(expected, 2)
    assert (photo.mode, photo.size) == (mode, (32, 32))


def test_a_gap_in_a_pil_image_of_floats_does_not_change_the_others():
    values = np.full((32, 32), 200 * 257, np.float32)
    values[0, 0] = np.nan
    assert colour(Image.fromarray(values)) == about((200, 200, 200), 1)


def test_a_palette_image_of_pil_keeps_its_colours():
    photo = Image.new("P", (32, 32), 1)
    photo.putpalette([0, 0, 0, 12, 34, 56])
    assert colour(photo) == (12, 34, 56)


def test_the_callers_image_stays_as_it_is(landscape):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.open(io.BytesIO(encoded(landscape, "JPEG", exif=exif.tobytes())))
    result = decode(photo)
    assert (photo.size, result.size) == ((60, 40), (40, 60))
    assert "exif" in photo.info
    result.paste("black", (0, 0, 40, 60))
    assert photo.getpixel((50, 30)) == about((255, 255, 255), 25)


def test_array_path_bytes_and_pil_are_the_same_photo(landscape, tmp_path):
    path = tmp_path / "photo.png"
    landscape.save(path)
    pixels = np.asarray(landscape)
    for photo in (path, str(path), path.read_bytes(), landscape, pixels, pixels[:, ::-1][:, ::-1]):
        assert np.array_equal(np.asarray(decode(photo)), pixels)


def test_resize_gives_the_models_square_and_always_the_same(examples):
    image = decode(examples / "chelsea.jpg")
    first = resize(image, SIDE)
    assert (first.shape, first.dtype) == ((SIDE, SIDE, 3), np.uint8)
    assert np.array_equal(first, resize(decode(examples / "chelsea.jpg"), SIDE))


def test_resize_keeps_the_whole_picture(landscape):
    square = resize(landscape, SIDE)
    for (x, y), expected in zip(CORNERS, CORNER_COLOURS, strict=True):
        assert tuple(square[int(y * SIDE), int(x * SIDE)]) == expected
    assert tuple(square[0, 0]) == (255, 0, 0)
    assert tuple(square[-1, 0]) == (0, 0, 255)
    upscaled = resize(Image.new("RGB", (16, 300), "red"), SIDE)
    assert np.array_equal(upscaled, np.full((SIDE, SIDE, 3), (255, 0, 0)))


def test_resize_takes_every_pixel_into_account():
    fine = (np.indices((4 * SIDE, 4 * SIDE)).sum(axis=0) % 2 * 255).astype(np.uint8)
    square = resize(Image.fromarray(fine).convert("RGB"), SIDE)
    assert np.abs(square.astype(int) - 127).max() <= 2


def test_a_big_jpeg_decoded_small_gives_nearly_the_same_square(examples):
    big = Image.open(examples / "chelsea.jpg").resize((3600, 2400), Image.Resampling.BICUBIC)
    data = encoded(big, "JPEG", quality=92)
    whole, part = decode(data), decode(data, at_least=2 * SIDE)
    assert whole.size == (3600, 2400)
    assert part.width < 3600
    assert min(part.size) >= 2 * SIDE
    difference = np.abs(resize(whole, SIDE).astype(int) - resize(part, SIDE).astype(int))
    assert difference.mean() < 1.5
    assert difference.max() < 48


def test_at_least_never_goes_below_and_leaves_small_photos_alone(examples):
    for size in ((449, 3000), (900, 900), (448, 448), (100, 2000)):
        data = encoded(Image.new("RGB", size, "red"), "JPEG")
        part = decode(data, at_least=448)
        assert min(part.size) >= min(448, *size)
        assert part.width / part.height == pytest.approx(size[0] / size[1], rel=0.02)


@pytest.mark.parametrize("size", [(12_000, 9_000), (16_320, 12_240)])
def test_the_largest_photos_of_phones_are_judged_without_a_warning(size):
    data = encoded(Image.new("L", size, 90), "JPEG")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        image = decode(data, at_least=448)
    assert warned == []
    assert 448 <= min(image.size) < 2 * 1000
    assert image.getpixel((9, 9)) == (90, 90, 90)


def test_no_file_of_any_kind_gives_a_warning():
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for data in (data for files in healthy().values() for data in files):
            decode(data)
            decode(data, at_least=16)
    assert warned == []
