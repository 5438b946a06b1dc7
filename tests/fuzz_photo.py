"""Damaged photos by the hundred thousand: `python -m tests.fuzz_photo [--inputs 100000] [--seed 0]`.

Each input is one of some twenty healthy files, cut, changed, repeated, mixed with another or with an
announced size made enormous. Only a photo or a PhotoError may come of it. The first that gives anything else
is written to a file, and the exit code is 1. The tests run the same in short
(tests/cat_model/test_photo_damaged.py).
"""

import argparse
import collections
import random
import struct
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from cat_model.photo import Limits, PhotoError, decode
from tests.image_files import encoded

EXAMPLES = Path(__file__).parents[1] / "examples"
LIMITS = Limits(pixels=1_000_000, pixels_whole=1_000_000)
"""A damaged header often asks for millions of pixels: correct, but slow."""


def healthy() -> dict[str, list[bytes]]:
    """Return files of each format: EXIF and an alpha channel where there can be one, still and moving."""
    photo = Image.open(EXAMPLES / "chelsea.jpg").resize((60, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = photo.copy()
    clear.putalpha(128)
    turned = {"exif": exif.tobytes()}
    moving = {"save_all": True, "append_images": [clear.rotate(90), clear.rotate(180)]}
    grey = Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27)
    return {
        "JPEG": [
            encoded(photo, "JPEG", progressive=True, **turned),
            encoded(photo, "JPEG", comment=b"a comment", icc_profile=bytes(200), **turned),
            encoded(photo.convert("CMYK"), "JPEG"),
            encoded(photo, "MPO", save_all=True, append_images=[photo]),
        ],
        "PNG": [
            encoded(clear, "PNG", **turned),
            encoded(clear, "PNG", **moving),
            encoded(grey, "PNG"),
            encoded(photo.quantize(16), "PNG", transparency=3),
        ],
        "WEBP": [encoded(clear, "WEBP", **turned, **moving), encoded(photo, "WEBP", lossless=True, **turned)],
        "AVIF": [encoded(clear, "AVIF", **turned), encoded(photo, "AVIF", **moving)],
        "GIF": [encoded(clear, "GIF", **moving), encoded(photo, "GIF", comment=b"a comment")],
        "BMP": [encoded(photo, "BMP"), encoded(photo.quantize(16), "BMP")],
        "HEIC": [encoded(photo, "HEIC", **turned), encoded(clear.resize((150, 100)), "HEIC", tile_size=64)],
    }


def damaged(data: bytes, chance: random.Random, other: bytes = b"") -> bytes:
    """Damage a file; often near its start, where a format keeps its promises."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        if not data:
            break
        place = chance.randrange(min(len(data), chance.choice((64, 512, len(data)))))
        match chance.randrange(6):
            case 0:
                data[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            case 1:
                data[place : place + 4] = chance.randbytes(4)
            case 2:
                data[place:place] = data[place : place + chance.randrange(1, 64)]
            case 3:
                del data[place : place + chance.randrange(1, 32)]
            case 4:  # a size
                size = chance.choice((0, 1, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, len(data)))
                data[place : place + 4] = struct.pack(chance.choice("<>") + "I", size)
            case 5:  # a piece of another file
                start = chance.randrange(len(other) or 1)
                data[place:place] = other[start : start + chance.randrange(1, 200)]
    if chance.random() < 0.2:
        del data[chance.randrange(len(data) or 1) :]
    return bytes(data)


def judged(data: bytes, at_least: int | None) -> str:
    """Return "photo" or "refused".

    Raises:
        AssertionError: what came of it is not what `decode` promises.
    """
    try:
        image = decode(data, LIMITS, at_least)
    except PhotoError as error:
        assert str(error).endswith(".")
        return "refused"
    assert (image.mode, image.info) == ("RGB", {})
    assert LIMITS.shortest <= min(image.size) <= max(image.size) <= LIMITS.longest
    return "photo"


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow remarks on what is damaged
    chance = random.Random(options.seed)
    files = [(form, data) for form, variants in healthy().items() for data in variants]
    answers: collections.Counter[tuple[str, str]] = collections.Counter()
    for number in range(options.inputs):
        form, data = chance.choice(files)
        broken = damaged(data, chance, chance.choice(files)[1])
        try:
            answers[form, judged(broken, chance.choice((None, 16, 448)))] += 1
        except Exception:  # noqa: BLE001 - whatever it is, it is what this program looks for
            kept = Path(f"fuzz-{options.seed}-{number}.{form.lower()}")
            kept.write_bytes(broken)
            traceback.print_exc()
            print(f"Input {number} gave neither a photo nor a PhotoError; it lies in {kept}.")
            return 1
    print(f"{options.inputs} inputs gave a photo or a PhotoError each:", dict(sorted(answers.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
