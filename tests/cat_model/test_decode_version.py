"""Decoded pixels change only together with DECODE_VERSION, which caches of photos go by."""

import hashlib
from pathlib import Path

from cat_model.photo import DECODE_VERSION, SUFFIXES, decode, resize

FILES = sorted((Path(__file__).parents[1] / "data" / "decode").iterdir())
"""Generated files: turned by EXIF, with transparency, of 16 bits, moving."""
LATER = {".heic"}
"""Formats that came when the version had its digest already: nothing had been decoded of them."""
DIGESTS = {1: "19be0c60815a40b1c58c68fdc4f431f421a53f855006f0e92c5579159876193a"}
"""SHA-256 of the pixels of FILES by DECODE_VERSION. On a change raise the version and add the new digest."""
WITH_LATER = {1: "d6643f98f65fbac77c181a7630cfd15a07f628d4781e5cb472145ef2c6254f78"}
"""The same with the formats in LATER."""


def digest(files):
    found = hashlib.sha256()
    for path in files:
        for image in (decode(path), decode(path, at_least=32)):
            found.update(f"{image.size}".encode() + image.tobytes())
            found.update(resize(image, 48).tobytes() + resize(image, 48, (5, 3, 30.5, 27)).tobytes())
    return found.hexdigest()


def test_other_pixels_need_a_higher_decode_version():
    first = [path for path in FILES if path.suffix not in LATER]
    assert digest(first) == DIGESTS[DECODE_VERSION], "decode or resize changed: raise DECODE_VERSION"
    assert digest(FILES) == WITH_LATER[DECODE_VERSION], "decode or resize changed: raise DECODE_VERSION"


def test_every_format_takes_part():
    alike = {".jpeg": ".jpg", ".jfif": ".jpg", ".heif": ".heic", ".hif": ".heic"}
    assert {alike.get(suffix, suffix) for suffix in SUFFIXES} == {path.suffix for path in FILES}
