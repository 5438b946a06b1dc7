"""Files made to cost a decoder minutes or gigabytes; each has less than 60 MB, the most that is read."""

import struct
import zlib
from collections.abc import Callable
from math import isqrt

from PIL import Image

from cat_model.photo import DEFAULT_LIMITS, SCENE_LEAST
from tests.image_files import encoded, png

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SMALL = Image.new("RGB", (60, 40), "teal")


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(extra: bytes, width: int = 60, height: int = 40) -> bytes:
    """Return a small PNG with more chunks before its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = zlib.compress(bytes(3 * width + 1) * height)
    return SIGNATURE + header + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_with(extra: bytes) -> bytes:
    """Return a small JPEG with more bytes behind its first two."""
    data = encoded(SMALL, "JPEG")
    return data[:2] + extra + data[2:]


def tiff(entries: int, size: int) -> bytes:
    """Return a TIFF table, as EXIF and MPF are, each of whose entries says that it is as big as the whole."""
    rows = b"".join(struct.pack("<HHII", tag + 1, 7, size, 8) for tag in range(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + rows + bytes(size)


def segment(kind: int, data: bytes) -> bytes:
    """Return a JPEG segment."""
    return bytes([0xFF, kind]) + struct.pack(">H", len(data) + 2) + data


def scans(count: int) -> bytes:
    """Return a progressive JPEG whose last scan is there many times."""
    data = encoded(Image.new("RGB", (4000, 4000)), "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + data[-2:]


def gif_with(before: bytes = b"", after: bytes = b"", screen: tuple[int, int] = (60, 40)) -> bytes:
    """Return a small GIF with more blocks around its picture."""
    head = b"GIF89a" + struct.pack("<HH", *screen) + b"\x80\0\0" + b"\0\x80\x80\xff\xff\xff"
    data = encoded(Image.new("P", (60, 40)), "GIF")
    return head + before + data[data.index(b"\x2c\0\0\0\0") : -1] + after + b";"


FRAME = b"\x2c\0\0\0\0\1\0\1\0\0\x02\x02\x44\x01\0"


def webp_frames(count: int) -> bytes:
    """Return an animated WebP with one frame many times."""
    frames = [Image.effect_noise((16, 16), 50 + k).convert("RGB") for k in range(2)]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    at = data.index(b"ANMF")
    frame = data[at : at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")]
    body = data[8:at] + frame * count
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp(compression: int, body: bytes, side: int) -> bytes:
    """Return a BMP of 256 colours."""
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, compression, 0, 0, 0, 256, 0)
    begin = 14 + len(header) + 1024
    return b"BM" + struct.pack("<IHHI", begin + len(body), 0, 0, begin) + header + bytes(1024) + body


def heic_liar(width: int, height: int) -> bytes:
    """Return a HEIC of 16 megapixels that says it has only so many pixels."""
    data = encoded(Image.new("RGB", (4000, 4000), "teal"), "HEIC")
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def heic_repeated() -> bytes:
    """Return a HEIC of many tiles that all have the same bytes."""
    corner = Image.effect_noise((512, 512), 100).convert("RGB")
    photo = Image.new("RGB", (2048, 1536))
    photo.paste(corner, (0, 0))
    data = encoded(photo, "HEIC", tile_size=512, quality=100)
    at = data.index(b"dimg") + 6
    (count,) = struct.unpack_from(">H", data, at)
    return data[: at + 2] + data[at + 2 : at + 4] * count + data[at + 2 + 2 * count :]


def heic_boxes(count: int) -> bytes:
    """Return a HEIC with more empty boxes than parts of a photo."""
    data = encoded(SMALL, "HEIC")
    size = int.from_bytes(data[:4], "big")
    return data[:size] + struct.pack(">I4s", 8, b"free") * count + data[size:]


REFUSED: dict[str, Callable[[], bytes]] = {
    "a bomb of 100 megapixels": lambda: png(10_000, 10_000, 1, 0, [bytes(1250)] * 10_000),
    "a strip of a million pixels": lambda: png(1_000_000, 1, 8, 2, [bytes(3_000_000)]),
    "a million texts in a PNG": lambda: png_with(chunk(b"tEXt", b"a\0x") * 1_000_000),
    "a JPEG of 1000 scans": lambda: scans(1000),
    "a progressive JPEG of 100 megapixels": lambda: encoded(
        Image.new("L", (10_000, 10_000)), "JPEG", progressive=True
    ),
    "a million empty segments in a JPEG": lambda: jpeg_with(
        b"\xff\xe2\0\x10ICC_PROFILE\0\x01\x01" * 1_000_000
    ),
    "millions of segments of no bytes": lambda: jpeg_with(b"\xff\xe0\0\x02" * 4_900_000),
    "a GIF of 100,000 frames": lambda: gif_with(after=FRAME * 100_000),
    "millions of comments in a GIF": lambda: gif_with(b"\x21\xfe\x01a\0" * 3_000_000),
    "one comment of millions of parts": lambda: gif_with(b"\x21\xfe" + b"\x01a" * 6_000_000 + b"\0"),
    "a frame greater than its GIF": lambda: gif_with().replace(
        b"\x2c\0\0\0\0" + struct.pack("<HH", 60, 40), b"\x2c\0\0\0\0\xff\xff\xff\xff"
    ),
    "a WebP of many frames": lambda: webp_frames(50_000),
    "a WebP of 100 megapixels": lambda: encoded(
        Image.new("RGB", (10_000, 10_000)), "WEBP", quality=1, method=0
    ),
    "a BMP in run-length coding": lambda: bmp(1, b"\1\0" * 8_000_000, 4000),
    "a BMP that leaps from end to end": lambda: bmp(1, b"\0\2\xff\xff" * 1_000_000, 4000),
    "a HEIC that is greater than it says": lambda: heic_liar(64, 48),
    "a HEIC that says it is greater than all": lambda: heic_liar(60_000, 60_000),
    "a HEIC whose tiles are all the same bytes": heic_repeated,
    "a HEIC of a million boxes": lambda: heic_boxes(1_000_000),
}
ANSWERED: dict[str, Callable[[], bytes]] = {
    "a text of 18 MB in a PNG": lambda: png_with(chunk(b"tEXt", b"a\0" + b"x" * 18_000_000)),
    "a text of gigabytes, compressed": lambda: png_with(
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(60_000_000))) * 60
    ),
    "a colour profile of 500 MB, compressed": lambda: png_with(
        chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(500_000_000)))
    ),
    "EXIF that asks for a terabyte, in a PNG": lambda: png_with(chunk(b"eXIf", tiff(60_000, 18_000_000))),
    "EXIF that asks for a terabyte, in a WebP": lambda: encoded(SMALL, "WEBP", exif=tiff(60_000, 18_000_000)),
    "EXIF of a thousand tables, in a JPEG": lambda: jpeg_with(
        segment(0xE1, b"Exif\0\0" + tiff(5000, 5000)[:65_000]) * 250
    ),
    "an index of pictures that asks for gigabytes": lambda: jpeg_with(
        segment(0xE2, b"MPF\0" + tiff(5000, 65_000)[:65_000]) * 250
    ),
    "19 MB of padding in a JPEG": lambda: jpeg_with(b"\xff" * 19_000_000),
    "a video of 58 MB behind a JPEG": lambda: encoded(SMALL, "JPEG") + bytes(range(256)) * 227_000,
    "a text of 58 MB in a WebP": lambda: encoded(SMALL, "WEBP", xmp=bytes(58_000_000)),
}


def largest(mode: str, form: str, pixels: int, **options: object) -> Callable[[], bytes]:
    """Return what makes a file of the most pixels that its kind may have."""
    side = isqrt(pixels)
    return lambda: encoded(Image.new(mode, (side, side)), form, **options)


def fading(form: str) -> Callable[[], bytes]:
    """Return what makes an animation that begins blank, as big as one may be to be looked through."""

    def made() -> bytes:
        side = isqrt(DEFAULT_LIMITS.pixels_moving // SCENE_LEAST)
        scene = Image.linear_gradient("L").resize((side, side)).convert("RGB")
        blank = Image.new("RGB", scene.size)
        frames = [Image.blend(blank, scene, part / 4) for part in range(5)]
        return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=60)

    return made


TURNED = Image.Exif()
TURNED[0x0112] = 6
LARGEST: dict[str, Callable[[], bytes]] = {
    "JPEG": largest("L", "JPEG", DEFAULT_LIMITS.pixels),
    "phone's JPEG of 108 megapixels": lambda: encoded(Image.new("RGB", (12_000, 9_000)), "JPEG"),
    "progressive JPEG": largest("CMYK", "JPEG", DEFAULT_LIMITS.pixels_whole, progressive=True),
    "PNG": largest("RGBA", "PNG", DEFAULT_LIMITS.pixels_whole, compress_level=1),
    "PNG of 16 bits": largest("I;16", "PNG", DEFAULT_LIMITS.pixels_whole, compress_level=1),
    "PNG of clear colours": largest("P", "PNG", DEFAULT_LIMITS.pixels_whole, transparency=0),
    "GIF": largest("P", "GIF", DEFAULT_LIMITS.pixels_whole, transparency=0),
    "BMP": largest("L", "BMP", 19_000_000),
    "WebP": largest("RGBA", "WEBP", DEFAULT_LIMITS.pixels_copied, quality=1, method=0),
    "WebP without loss": largest("RGBA", "WEBP", DEFAULT_LIMITS.pixels_copied, lossless=True, method=0),
    "AVIF": largest("RGBA", "AVIF", DEFAULT_LIMITS.pixels_copied, speed=10),
    "HEIC": largest("RGBA", "HEIC", DEFAULT_LIMITS.pixels_copied),
    "HEIC in tiles": lambda: encoded(Image.new("RGB", (8064, 6048)), "HEIC", tile_size=512),
    "turned PNG": largest("RGB", "PNG", DEFAULT_LIMITS.pixels_whole, compress_level=1, exif=TURNED),
    "JPEG in several scans without an end": lambda: largest(
        "RGB", "JPEG", DEFAULT_LIMITS.pixels_whole, progressive=True
    )()[:-2],
    **{f"{form} that fades in": fading(form) for form in ("GIF", "WEBP", "PNG", "AVIF")},
}
