"""Photos that people and pranksters send, made on the spot: each is either answered or refused."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.image_files import heic

EXAMPLES = Path(__file__).parents[1] / "examples"

ANSWERED = (
    "animated.gif",
    "cmyk.jpg",
    "grey_16_bit.png",
    "transparent.png",
    "palette.png",
    "rotated.jpg",
    "wrong_suffix.txt",
    "no_suffix",
    "phone.heic",
    "no_end.jpg",
)
REFUSED = (
    "drawing.svg",
    "text.jpg",
    "truncated.jpg",
    "damaged.png",
    "huge.png",
    "tiny.png",
    "empty.jpg",
    "scan.tiff",
    "cut.heic",
    "document.pdf",
    "page.html",
    "photo.jxl",
    "archive.zip",
)


def bad_photos(folder: Path) -> dict[str, Path]:
    """Write one file of each name in ANSWERED and REFUSED to a folder; return their paths by name."""
    paths = {name: folder / name for name in (*ANSWERED, *REFUSED)}
    cat = Image.open(EXAMPLES / "chelsea.jpg")
    cat.load()
    _written_by_pillow(paths, cat)
    jpeg = (EXAMPLES / "chelsea.jpg").read_bytes()
    png = paths["transparent.png"].read_bytes()
    phone = heic(cat, quality=90)
    content = {
        "wrong_suffix.txt": jpeg,
        "no_suffix": jpeg,
        "drawing.svg": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
        "text.jpg": b"This is a text file that calls itself a photo.\n",
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "damaged.png": png[:200] + bytes(300) + png[500:],
        "huge.png": _black_png(30_000, 30_000),
        "empty.jpg": b"",
        "phone.heic": phone,
        "cut.heic": phone[: len(phone) // 2],
        "no_end.jpg": jpeg.removesuffix(b"\xff\xd9"),
        "document.pdf": b"%PDF-1.7\n" + bytes(200),
        "page.html": b"<!DOCTYPE html>\n<html><body><img src=cat.jpg></body></html>\n",
        "photo.jxl": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(200),
        "archive.zip": b"PK\3\4" + bytes(200),
    }
    for name, data in content.items():
        paths[name].write_bytes(data)
    return paths


def _written_by_pillow(paths: dict[str, Path], cat: Image.Image) -> None:
    frames = [cat, cat.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    frames[0].save(paths["animated.gif"], save_all=True, append_images=frames[1:], duration=100)
    cat.convert("CMYK").save(paths["cmyk.jpg"])
    Image.fromarray(np.asarray(cat.convert("L"), np.uint16) * 257).save(paths["grey_16_bit.png"])
    transparent = cat.convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize(cat.size))
    transparent.save(paths["transparent.png"])
    cat.quantize(64).save(paths["palette.png"])
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    cat.transpose(Image.Transpose.ROTATE_90).save(paths["rotated.jpg"], exif=exif, quality=95)
    cat.resize((8, 8)).save(paths["tiny.png"])
    cat.save(paths["scan.tiff"])


def _black_png(width: int, height: int) -> bytes:
    """Return a PNG of 1 bit a pixel, written row by row: a small file that would fill the memory."""
    squeeze = zlib.compressobj()
    row = bytes(1 + (width + 7) // 8)
    body = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
