"""Untrusted bytes become upright RGB pixels here, and nowhere else.

Training and serving call the same two functions, `decode` and `resize`, so that the model is served exactly
the pixels it was taught with.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from PIL.Image import Transpose

from cat_model.container import ContainerError, first_picture

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")
COPIED = ("WEBP", "AVIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".avif"})
FORMATS_IN_WORDS = "JPEG, PNG, WebP, GIF, BMP or AVIF"

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
        pixels: width times height.
        pixels_whole: the same of a picture that cannot be decoded at a fraction of its size: all but JPEGs
            in one pass. What such a one takes of the memory grows with it, by up to 9 bytes a pixel.
        pixels_copied: the same of WebP and AVIF, whose decoders hold each picture several times at once, in
            up to 16 bytes a pixel.
        shortest: pixels of the shorter side, at least.
        longest: pixels of the longer side.
        frames: pictures of an animation, of which only the first is looked at.
    """

    file_bytes: int = 20_000_000
    pixels: int = 100_000_000
    pixels_whole: int = 25_000_000
    pixels_copied: int = 16_000_000
    shortest: int = 16
    longest: int = 20_000
    frames: int = 2_000


DEFAULT_LIMITS = Limits()


def decode(photo: Photo, limits: Limits = DEFAULT_LIMITS, at_least: int | None = None) -> Image.Image:
    """Turn a photo into an upright RGB picture without metadata.

    Animations give their first frame; transparent pixels are laid on white; 16-bit greys are scaled to 8.

    Args:
        photo: a path, the bytes of an image file, a PIL image or a HxWx3 uint8 array.
        limits: what is refused before decoding.
        at_least: if given, a JPEG may be decoded at a fraction of its size as long as both sides stay at
            least this many pixels: much faster for big photos.

    Returns:
        A new PIL image in mode RGB.

    Raises:
        PhotoError: with a sentence that says what is wrong with the photo.
    """
    with _in_words(limits):
        if isinstance(photo, np.ndarray):
            photo = _from_array(photo)
        if isinstance(photo, Image.Image):
            _check_size(photo.size, limits)
            return _upright_rgb(photo)
        if isinstance(photo, str | os.PathLike):
            photo = _read_file(Path(photo), limits)
        if not isinstance(photo, bytes):
            raise PhotoError(
                f"A photo is a path, bytes, a PIL image or an array, not {type(photo).__name__}.",
                "kind",
            )
        return _from_bytes(photo, limits, at_least)


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


def _from_bytes(data: bytes, limits: Limits, at_least: int | None) -> Image.Image:
    if not data:
        raise PhotoError("This file is empty.", "kind")
    if len(data) > limits.file_bytes:
        raise PhotoError(_too_many_bytes(len(data), limits), "size")
    contents = first_picture(data, limits.frames)
    try:
        image = Image.open(io.BytesIO(contents.data), formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise PhotoError(_what_it_is_instead(data), "kind") from None
    with image:
        _check_size(image.size, limits)
        if image.format in COPIED:
            _check_pixels(image.size, limits.pixels_copied, limits)
        elif not contents.in_one_pass:
            _check_pixels(image.size, limits.pixels_whole, limits)
        if getattr(image, "n_frames", 1) > limits.frames:
            raise PhotoError(
                f"This animation has more than {limits.frames} pictures; please send one of them.", "build"
            )
        if at_least is not None:
            image.draft("RGB", (at_least, at_least))
        return _upright_rgb(image, contents.orientation)


@contextmanager
def _in_words(limits: Limits) -> Iterator[None]:
    """Whatever a decoder raises becomes a PhotoError: a broken photo is never a broken program."""
    try:
        yield
    except PhotoError:
        raise
    except ContainerError as error:
        raise PhotoError(str(error), "build") from None
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


def _broken(error: Exception) -> str:
    if "truncated" in str(error).lower():
        return "This photo is cut short: a part of the file is missing."
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
    return most if pixels == limits.pixels else f"{most} of a file of this kind, more of a plain JPEG"


def _too_many_bytes(size: int, limits: Limits) -> str:
    limit = f"{limits.file_bytes / 1e6:.0f} MB"
    return f"This file has {size / 1e6:.1f} MB; photos of up to {limit} can be looked at."


def _what_it_is_instead(data: bytes) -> str:
    """Name the kinds of file that people most often send instead of a photo."""
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    lower = head.lower()
    if lower.startswith(b"<svg") or (lower.startswith((b"<?xml", b"<!doctype svg")) and b"<svg" in lower):
        what = "This is an SVG drawing, not a photo"
    elif head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftyphevc"):
        what = "This is a HEIC photo, which cannot be read here"
    elif head.startswith(b"%PDF"):
        what = "This is a PDF document, not a photo"
    elif head.startswith((b"II*\0", b"MM\0*")):
        what = "This is a TIFF or camera raw picture, which cannot be read here"
    elif head[4:12] in (b"ftypavif", b"ftypavis"):
        what = "This AVIF photo is damaged from the very start"
    elif head[4:8] == b"ftyp" or head.startswith(b"\x1aE\xdf\xa3"):
        what = "This is a video, not a photo"
    else:
        what = "This is not a photo, or its file is damaged from the very start"
    return f"{what}; please send a {FORMATS_IN_WORDS} picture."


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
    rgb = upright.convert("RGB")
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
