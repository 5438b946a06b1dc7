"""Untrusted bytes become upright RGB pixels here, and nowhere else.

Training and serving call the same two functions, `decode` and `resize`, so that the model is served exactly
the pixels it was taught with.
"""

import importlib
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from PIL import ExifTags, Image, ImageFile
from PIL.Image import Transpose

from cat_model import heic
from cat_model.image_container import ContainerError, Contents, first_picture

DECODE_VERSION = 1
"""Raised by hand whenever `decode` or `resize` gives other pixels: caches of decoded photos go by it.

Not raised when the later pictures of animations that begin blank were first looked at: what a cache has of
those shows nothing."""

COPIED = ("WEBP", "AVIF")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".avif", ".heic", ".heif", ".hif"}
)
FORMATS_IN_WORDS = "JPEG, PNG, WebP, GIF, BMP, AVIF or HEIC"
BLANK = 16
"""A picture is blank whose channels each hold no more than so many levels between darkest and brightest."""
SCENE_LEAST = 16
"""An animation so big that the limit allows for fewer pictures is judged by its first: several of its
pictures at once would fill the memory."""
SCENE_GAIN = 1.25
"""By so much a later picture of an animation must have more contrast to be looked at instead."""

Photo = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
"""A path, the bytes of an image file, a PIL image, or a HxWx3 uint8 array of RGB pixels."""


_TURNS: dict[object, Transpose] = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""


_READERS = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
}
"""Pillow's classes by format. `Image.open` would load all it has, and warn of pixels by limits of its own."""
FORMATS = tuple(_READERS)
"""What Pillow reads; HEIC comes on top."""


class PhotoError(ValueError):
    """Whatever is wrong with a photo, in a sentence for its owner.

    Attributes:
        cause: one word for the statistics: "damaged", "kind" (no photo, or of a kind that is not read),
            "size" (of the file or the picture), "build" (too many frames, scans or parts) or "missing".
    """

    def __init__(self, sentence: str, cause: str = "damaged") -> None:
        """Remember the sentence and its cause."""
        super().__init__(sentence)
        self.cause = cause


@dataclass(frozen=True)
class Limits:
    """What a photo may be at most (and at least) before it is decoded.

    Attributes:
        file_bytes: bytes of the file.
        pixels: width times height of a picture that is decoded at a fraction of its size, as JPEGs in one
            pass and HEIC in tiles can be; it costs time, but no memory.
        pixels_plain: the same of a JPEG in one pass, an array or a PIL image, in the size in which it is
            decoded.
        pixels_whole: the same of all others. Their memory grows with it, by up to 9 bytes a pixel.
        pixels_copied: the same of WebP, AVIF and each tile of HEIC, whose decoders hold a picture several
            times at once, in up to 16 bytes a pixel.
        pixels_moving: of all pictures of an animation that are looked at because its first one is blank.
        shortest: pixels of the shorter side, at least.
        longest: pixels of the longer side.
        frames: pictures of an animation.
    """

    file_bytes: int = 60_000_000
    pixels: int = 250_000_000
    pixels_plain: int = 100_000_000
    pixels_whole: int = 25_000_000
    pixels_copied: int = 16_000_000
    pixels_moving: int = 80_000_000
    shortest: int = 16
    longest: int = 20_000
    frames: int = 2_000


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Decoded:
    """A decoded photo.

    Attributes:
        image: a new PIL image in mode RGB, upright, without metadata.
        frame: which picture of an animation it is, 0 for the first.
    """

    image: Image.Image
    frame: int = 0


def decode(photo: Photo, limits: Limits = DEFAULT_LIMITS, at_least: int | None = None) -> Image.Image:
    """Turn a photo into an upright RGB picture without metadata.

    Animations give their first picture that shows something; transparent pixels are laid on white; 16-bit
    greys are scaled to 8.

    Args:
        photo: a path, the bytes of an image file, a PIL image or a HxWx3 uint8 array.
        limits: what is refused before decoding.
        at_least: if given, a JPEG or HEIC may be decoded at a fraction of its size as long as both sides stay
            at least this many pixels: much faster for big photos.

    Returns:
        A new PIL image in mode RGB.

    Raises:
        PhotoError: with a sentence that says what is wrong with the photo.
    """
    return decode_frame(photo, limits, at_least).image


def decode_frame(photo: Photo, limits: Limits = DEFAULT_LIMITS, at_least: int | None = None) -> Decoded:
    """Do what `decode` does, and say which picture of an animation it is.

    Raises:
        PhotoError: with a sentence that says what is wrong with the photo.
    """
    with _in_words(limits):
        if isinstance(photo, np.ndarray):
            photo = _from_array(photo)
        if isinstance(photo, Image.Image):
            _check_size(photo.size, limits)
            _check_pixels(photo.size, min(limits.pixels, limits.pixels_plain), limits)
            return Decoded(_upright_rgb(photo))
        if isinstance(photo, str | os.PathLike):
            photo = _read_file(Path(photo), limits)
        if not isinstance(photo, bytes):
            raise PhotoError(
                f"A photo is a path, bytes, a PIL image or an array, not {type(photo).__name__}.",
                "kind",
            )
        return _from_bytes(photo, limits, at_least)


def readable() -> tuple[str, ...]:
    """Return the formats that are read here: what was refused may be a photo where there are more."""
    return (*FORMATS, "HEIC") if heic.available() else FORMATS


def resize(image: Image.Image, side: int, box: tuple[float, float, float, float] | None = None) -> np.ndarray:
    """Squeeze an RGB picture into the model's square: the one resize of training and serving.

    The whole picture is kept (a cat may sit at the edge), so its aspect ratio is not.

    Args:
        image: a PIL image in mode RGB, as `decode` returns it.
        side: pixels of each side of the result.
        box: left, top, right and bottom, in pixels, of the part to show; the whole picture without it.

    Returns:
        Array of shape (side, side, 3), dtype uint8, RGB.
    """
    small = image.resize((side, side), Image.Resampling.BILINEAR, box, reducing_gap=3.0)
    return np.asarray(small, dtype=np.uint8)


def _read_file(path: Path, limits: Limits) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise PhotoError("This is a folder, not a photo.", "kind")
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device may never end
            raise PhotoError("This is not a file, so it cannot be a photo.", "kind")
        if status.st_size > limits.file_bytes:
            raise PhotoError(_too_many_bytes(status.st_size, limits), "size")
        return path.read_bytes()
    except FileNotFoundError:
        raise PhotoError("There is no such file.", "missing") from None
    except OSError as error:
        raise PhotoError(f"This file cannot be read: {error.strerror or error}.", "missing") from error


def _from_bytes(data: bytes, limits: Limits, at_least: int | None) -> Decoded:
    if not data:
        raise PhotoError("This file is empty.", "kind")
    if len(data) > limits.file_bytes:
        raise PhotoError(_too_many_bytes(len(data), limits), "size")
    if heic.is_heic(data):
        return Decoded(_from_heic(data, limits, at_least))
    contents = first_picture(data, limits.frames)
    with _opened(contents.data, contents.form) as image:
        _check_size(image.size, limits)
        pictures = max(getattr(image, "n_frames", 1), contents.pictures)
        if pictures > limits.frames:
            raise PhotoError(
                f"This animation has more than {limits.frames} pictures; please send one of them.", "build"
            )
        if not contents.in_one_pass:
            copied = contents.form in COPIED
            _check_pixels(image.size, limits.pixels_copied if copied else limits.pixels_whole, limits)
        if at_least is not None:
            image.draft("RGB", (at_least, at_least))
        _check_pixels(image.size, limits.pixels_plain, limits)
        first = _upright_rgb(image, contents.orientation)
    if contents.other:
        _require_last_scan(contents, at_least, first)
    if pictures > 1 and _blank(first):
        return _first_scene(data, first, limits)
    return Decoded(first)


def _from_heic(data: bytes, limits: Limits, at_least: int | None) -> Image.Image:
    photo = heic.read(data)
    _check_size(photo.shown, limits)
    divisor = photo.divisor(at_least)
    _check_pixels(photo.size, min(limits.pixels, limits.pixels_whole * divisor**2), limits)
    _check_pixels(photo.tiles[0].size, limits.pixels_copied, limits)
    image = photo.decode(divisor)
    plain = photo.orientation == 1 and image.mode == "RGB"
    return image if plain else _upright_rgb(image, photo.orientation)


def _opened(data: bytes, form: str) -> ImageFile.ImageFile:
    """Open a file of a known format; nothing but its header is read."""
    if form not in _READERS:
        raise PhotoError(_what_it_is_instead(data), "kind")
    module, name = _READERS[form]
    return getattr(importlib.import_module(module), name)(io.BytesIO(data))


def _require_last_scan(contents: Contents, at_least: int | None, picture: Image.Image) -> None:
    """Refuse a JPEG of several scans that ends within one: then what follows the scan changes the picture.

    Raises:
        PhotoError: it is cut short.
    """
    seen = _digest(picture)
    with _opened(contents.other, contents.form) as image:
        if at_least is not None:
            image.draft("RGB", (at_least, at_least))
        if _digest(_upright_rgb(image, contents.orientation)) != seen:
            raise PhotoError(_CUT)


def _digest(image: Image.Image) -> int:
    """Return a checksum of the pixels, taken strip by strip: a copy of them all would fill the memory."""
    found = 0
    for top in range(0, image.height, 256):
        strip = image.crop((0, top, image.width, min(top + 256, image.height)))
        found = zlib.crc32(strip.tobytes(), found)
    return found


def _blank(image: Image.Image) -> bool:
    """Return whether a picture is of one colour, or nearly so."""
    channels = cast("tuple[tuple[int, int], ...]", image.getextrema())
    return all(brightest - darkest <= BLANK for darkest, brightest in channels)


def _first_scene(data: bytes, first: Image.Image, limits: Limits) -> Decoded:
    """Return the first picture of an animation that shows something; what fades in shows it more and more.

    Args:
        data: the animation's file.
        first: the first of them, which is blank.
        limits: of pixels.
    """
    best, found = 0.0, Decoded(first)
    most = limits.pixels_moving // (first.width * first.height)
    if most < SCENE_LEAST:
        return found
    with suppress(Exception):  # what is cut short or damaged is looked at up to there
        moving = first_picture(data, limits.frames, moving=True)
        with _opened(moving.data, moving.form) as image:
            for number in range(1, min(getattr(image, "n_frames", 1), most)):
                image.seek(number)
                picture = _upright_rgb(image, moving.orientation)
                contrast = float(resize(picture, 32).std())
                if not _blank(picture) and contrast > SCENE_GAIN * best:
                    best, found = contrast, Decoded(picture, number)
    return found


@contextmanager
def _in_words(limits: Limits) -> Iterator[None]:
    """Whatever a decoder raises becomes a PhotoError: a broken photo is never a broken program."""
    try:
        yield
    except PhotoError:
        raise
    except ContainerError as error:
        raise PhotoError(str(error), "kind" if isinstance(error, heic.DecoderMissing) else "build") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PhotoError(
            f"This photo has too many pixels; {_pixel_limit(limits.pixels, limits)}.", "size"
        ) from None
    except MemoryError:
        raise PhotoError(
            "This photo needs more memory than there is; please send a smaller one.", "size"
        ) from None
    except Exception as error:
        raise PhotoError(_broken(error)) from error


_CUT = "This photo is cut short: a part of the file is missing."


def _broken(error: Exception) -> str:
    if "truncated" in str(error).lower():
        return _CUT
    return "This photo is damaged: its picture cannot be decoded."


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    _check_pixels(size, limits.pixels, limits)
    if min(size) < limits.shortest:
        raise PhotoError(
            f"This photo is only {width} × {height} pixels; "
            f"each side must have {limits.shortest} pixels or more.",
            "size",
        )


def _check_pixels(size: tuple[int, int], pixels: int, limits: Limits) -> None:
    width, height = size
    if width * height > pixels or max(size) > limits.longest:
        raise PhotoError(f"This photo is {width} × {height} pixels; {_pixel_limit(pixels, limits)}.", "size")


def _pixel_limit(pixels: int, limits: Limits) -> str:
    most = f"at most {pixels // 1_000_000} megapixels and {limits.longest} pixels a side can be looked at"
    less = pixels < limits.pixels and pixels in (limits.pixels_whole, limits.pixels_copied)
    return f"{most} of a file of this kind, more of a plain JPEG" if less else most


def _too_many_bytes(size: int, limits: Limits) -> str:
    limit = f"{limits.file_bytes / 1e6:.0f} MB"
    return f"This file has {size / 1e6:.1f} MB; photos of up to {limit} can be looked at."


_NO_PHOTOS = {
    "a PDF document": (b"%PDF",),
    "a Photoshop file (PSD)": (b"8BPS",),
    "an icon (ICO)": (b"\0\0\1\0", b"\0\0\2\0"),
    "a zip archive or an office document": (b"PK\3\4", b"PK\5\6"),
    "an archive": (b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b\x08", b"\xfd7zXZ"),
    "a video": (b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"FLV\1", b"\x30\x26\xb2\x75"),
    "a sound": (b"ID3", b"OggS", b"fLaC"),
}
"""What files begin with that are no photos."""
_TEXTS = {
    "an SVG drawing": (b"<svg", b"<!doctype svg"),
    "a saved web page (HTML)": (b"<!doctype html", b"<html", b"<head", b"<body"),
    "a PostScript drawing": (b"%!ps",),
}
"""The same of texts, in small letters."""
_NOT_READ = {
    "a JPEG XL photo": (b"\xff\x0a", b"\0\0\0\x0cJXL "),
    "a JPEG 2000 photo": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "a TIFF or camera raw picture": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"IIU\0", b"IIRO", b"FUJIFILM"),
}
"""What photos begin with whose formats are not read."""


def _what_it_is_instead(data: bytes) -> str:
    """Name the kinds of file that people most often send instead of a photo."""
    text = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").lower()
    if text.startswith((b"<?xml", b"<!--")):  # of what kind it is stands behind
        text = next((text[at:] for at in map(text.find, (b"<html", b"<svg")) if at >= 0), text)
    other = {b"AVI ": "a video", b"WAVE": "a sound"}.get(data[8:12]) if data.startswith(b"RIFF") else None
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        other = "a video"
    other = other or _begins(data, _NO_PHOTOS) or _begins(text, _TEXTS)
    not_read = "a TIFF or camera raw picture" if data[4:12] == b"ftypcrx " else _begins(data, _NOT_READ)
    if not_read:
        what = f"This is {not_read}, which cannot be read here"
    elif other:
        what = f"This is {other}, not a photo"
    else:
        what = "This is not a photo, or its file is damaged from the very start"
    return f"{what}; please send a {FORMATS_IN_WORDS} picture."


def _begins(data: bytes, kinds: dict[str, tuple[bytes, ...]]) -> str | None:
    return next((name for name, beginnings in kinds.items() if data.startswith(beginnings)), None)


def _from_array(pixels: np.ndarray) -> Image.Image:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise PhotoError(
            f"An array of shape {pixels.shape} and type {pixels.dtype} is not a photo; "
            "it must be height × width × 3 of uint8.",
            "kind",
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


def _upright_rgb(image: Image.Image, orientation: int | None = None) -> Image.Image:
    """Return the pixels and nothing else, turned by this orientation or else by the one that Pillow knows."""
    image.load()
    turn = _TURNS.get(orientation or _orientation(image))
    upright = image if turn is None else image.transpose(turn)
    if upright.mode.startswith("I") or upright.mode == "F":
        upright = _to_eight_bits(upright)
    if upright.has_transparency_data:
        rgba = upright if upright.mode == "RGBA" else upright.convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba)
        return white
    turned = upright is not image and upright.mode == "RGB"
    rgb = upright if turned else upright.convert("RGB")  # a copy of an RGB picture
    # Pixels only: whatever the file carried beside them stays behind.
    rgb.info = {}
    return rgb


def _orientation(image: Image.Image) -> object:
    """Return the EXIF orientation, normally 1 to 8; broken metadata is no reason to refuse the picture."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - the many ways in which EXIF is broken have no common class
        return None


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale greys of 16 bits (or of 32 that hold 16, or floats of 0 to 255) to 8; Pillow would clip them."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    if values.max(initial=0) > 255:
        values = values / 257
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
