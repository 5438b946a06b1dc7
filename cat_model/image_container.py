"""What a picture file holds beside its picture is left out here, before a decoder sees any of it.

Decoders read metadata eagerly and trust it: an EXIF table whose entries all point at the same megabytes, a
million empty segments or a GIF's endless comments cost minutes and gigabytes before the first pixel. So the
file's outline is walked first, in one pass that looks at no more than a limited number of parts; only what
the pixels of the first picture need goes on. heic.py does the same for HEIC.
"""

import re
import struct
from dataclasses import dataclass

PARTS = 16_384
"""How many segments, chunks or boxes a file may have: PNGs of 20 MB are cut into some 2,500 chunks."""
BLOCKS = 500_000
"""How many blocks of up to 255 bytes a GIF may have: one of 20 MB has some 80,000."""
GIF_PIXELS = 80_000_000
"""How big a GIF's picture may be, whose size its first lines do not tell; Pillow warns of bigger ones."""
SCANS = 32
"""How many scans a JPEG may have, each of which visits all its pixels: progressive ones have about ten."""

_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # those left out have no length and hold nothing
_JPEG_KEPT = {0xE0, 0xEE, *range(0xC0, 0xE0)}  # APP0 and APP14 say how colours are coded; the rest are tables
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_END = b"\xff\xd9"
_JPEG_ONES = b"\xff\0" * 10
"""Behind the pixels of a JPEG in one pass: its decoder reads 8 bytes ahead, and these hold no more pixels."""
_JPEG_NOISE = bytes(197 * k % 255 for k in range(4096))
"""Behind the last scan of another JPEG: whatever of it becomes pixels was not in the file."""
_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_PNG_MOVING = {b"acTL", b"fcTL", b"fdAT"}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_WEBP_KEPT = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}


class ContainerError(ValueError):
    """A file is built in a way that costs too much to look at; the message says so to its owner."""


@dataclass(frozen=True)
class Contents:
    """What is left of a file.

    Attributes:
        data: the file with its first picture and nothing else.
        form: the format, as Pillow calls it; empty where it is none that is known here.
        orientation: how the picture is to be turned, as EXIF numbers it; 1 (not at all) to 8. None where
            the decoder itself knows, because the format says it outside EXIF.
        in_one_pass: whether it can be decoded at a fraction of its size, in a fraction of the memory.
        other: the same file with other bytes behind its last scan. It gives the same picture unless that scan
            is cut short, which the decoder of JPEGs in several scans does not tell. Empty where it does.
        pictures: how many an animation has, as far as that is known here; 1 where it is none.
    """

    data: bytes
    form: str = ""
    orientation: int | None = 1
    in_one_pass: bool = False
    other: bytes = b""
    pictures: int = 1


def first_picture(data: bytes, frames: int, moving: bool = False) -> Contents:
    """Return a picture file without metadata and without all pictures but its first.

    Args:
        data: the bytes of a file of any kind; of a kind that is not known here they stay as they are.
        frames: how many pictures an animation may have.
        moving: whether the other pictures of an animation are to stay.

    Raises:
        ContainerError: it has too many parts, scans or frames, or is compressed in a way that is not read.
    """
    animations = {b"\x89PNG\r\n\x1a\n": _png, b"GIF87a": _gif, b"GIF89a": _gif, b"RIFF": _webp}
    for beginning, walk in animations.items():
        if data.startswith(beginning) and (walk is not _webp or data[8:12] == b"WEBP"):
            return walk(data, frames, moving)
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if brands(data) & {b"avif", b"avis"}:
        return _avif(data)
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return _bmp(data)
    return Contents(data)


def brands(data: bytes) -> set[bytes]:
    """Return what an ISO base media file (AVIF, HEIC, videos) calls itself; nothing for other files."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), 512)
    return {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}


def _jpeg(data: bytes) -> Contents:
    """Walk the segments up to the end of the first picture (ITU T.81, annex B)."""
    kept: list[bytes | memoryview] = [data[:2]]
    orientation, at, segments, first, ends = None, 2, 0, 0, False
    scans = _Scans()
    while marker := _JPEG_MARKER.search(data, at):
        begin, kind = marker.start(), data[marker.start() + 1]
        if scans.complete and kind not in {0xC4, 0xD9, 0xDA}:
            break  # what follows is no part of the picture
        if kind in {0xD8, 0xD9}:  # another picture begins, or this one ends: after the first scan
            at, ends = begin + 2, bool(first) and kind == 0xD9
            if first:
                break
            continue
        at = begin + 2 + max(int.from_bytes(data[begin + 2 : begin + 4], "big"), 2)
        segments = _counted(segments)
        if kind == 0xDA:
            first = first or begin
            scans.begin(data[begin + 4 : at])
        elif not first:
            scans.announce(kind, data[begin + 4 : at])
            if kind in _JPEG_KEPT:
                kept.append(data[begin:at])
            elif kind == 0xE1 and orientation is None and data.startswith(b"Exif\0\0", begin + 4):
                orientation = _exif_orientation(data[begin + 4 : at])
    if first:
        kept.append(memoryview(data)[first : marker.start() if marker else len(data)])
    return _ended(kept, orientation or 1, scans, ends)


def _ended(kept: list[bytes | memoryview], orientation: int, scans: "_Scans", ends: bool) -> Contents:
    """Put a JPEG together so that its decoder notices what is missing, and only that.

    Whether the picture is whole is for the decoder to say, by the rows that it gets, and not for the last
    bytes. Files that are whole may lack the end marker; and where it is, a decoder fills up what is cut. So
    it does not go on where the decoder can do without: where there is one scan, row by row.
    """
    if scans.one_pass:
        return Contents(b"".join([*kept, _JPEG_ONES]), "JPEG", orientation, in_one_pass=True)
    if not ends and not scans.complete:  # some scans are missing
        return Contents(b"".join(kept), "JPEG", orientation)
    whole = b"".join([*kept, _JPEG_END])
    other = b"" if ends and scans.complete else b"".join([*kept, _JPEG_NOISE, _JPEG_END])
    return Contents(whole, "JPEG", orientation, other=other)


class _Scans:
    """What the scans of a JPEG have brought: of each component, which bits of which coefficients."""

    def __init__(self) -> None:
        self._count = 0
        self._sequential = False
        self._missing: dict[int, list[int]] = {}

    def announce(self, kind: int, frame: bytes) -> None:
        """Take in a segment before the first scan: a frame header names the components."""
        if kind not in _JPEG_FRAMES:
            return
        self._sequential = kind in {0xC0, 0xC1}
        self._missing = {component: [255] * 64 for component in frame[6::3]}

    def begin(self, header: bytes) -> None:
        """Take in the header of a scan.

        Raises:
            ContainerError: there are too many.
        """
        self._count += 1
        if self._count > SCANS:
            raise ContainerError(
                f"This JPEG is built of more than {SCANS} scans; please save it anew and send that."
            )
        parts = header[0] if header else 0
        if len(header) < 4 + 2 * parts:
            return
        first, last, bits = header[1 + 2 * parts : 4 + 2 * parts]
        for component in header[1 : 1 + 2 * parts : 2]:
            if component in self._missing:
                self._missing[component][first : min(last, 63) + 1] = [bits & 15] * (
                    min(last, 63) + 1 - first
                )

    @property
    def complete(self) -> bool:
        """Whether every bit was in one of the scans so far."""
        return bool(self._missing) and not any(map(any, self._missing.values()))

    @property
    def one_pass(self) -> bool:
        """Whether all is in one scan, row by row."""
        return self._sequential and self._count == 1 and self.complete


def _png(data: bytes, frames: int, moving: bool) -> Contents:
    """Walk the chunks (W3C PNG, third edition); what precedes other frames of an animation is its first."""
    kept, orientation, at = [data[:8]], 1, 8
    chunks = pictures = 0
    while at + 8 <= len(data):
        kind, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4], "big")
        chunks = _counted(chunks)
        if kind in _PNG_KEPT or (moving and kind in _PNG_MOVING):
            kept.append(data[at:end])
        if kind == b"fcTL":
            pictures = _counted(pictures, frames, "pictures")
        elif kind == b"eXIf":
            orientation = _exif_orientation(data[at + 8 : min(end - 4, at + 8 + 0xFFFF)])
        at = end
        if kind == b"IEND":
            break
    return Contents(b"".join(kept), "PNG", orientation, pictures=max(pictures, 1))


def _gif(data: bytes, frames: int, moving: bool) -> Contents:
    """Walk the blocks (GIF89a); only pictures and the control block before each stay."""
    at = 13 + _gif_colours(data, 10)
    kept, control = [data[:at]], b""
    blocks = pictures = 0
    whole = False
    while at < len(data) and data[at] != 0x3B:
        begin, kind = at, data[at]
        if kind == 0x2C:
            at += 11 + _gif_colours(data, at + 9)  # the descriptor, its colours, the width of its codes
        elif kind == 0x21:
            at += 2
        else:  # a stray byte
            at += 1
            blocks = _counted(blocks, BLOCKS)
            continue
        while at < len(data) and data[at]:
            at += 1 + data[at]
            blocks = _counted(blocks, BLOCKS)
        at += 1
        blocks = _counted(blocks, BLOCKS)
        if kind == 0x2C:
            if moving or not pictures:
                _require_gif_size(data[begin + 1 : begin + 9])
                kept += [control, data[begin:at]]
                whole = at <= len(data)
            control, pictures = b"", _counted(pictures, frames, "pictures")
        elif data[begin + 1 : begin + 2] == b"\xf9":
            control = data[begin:at]
    return Contents(b"".join([*kept, b";" if whole else b""]), "GIF", pictures=max(pictures, 1))


def _require_gif_size(place: bytes) -> None:
    """Refuse a picture that is far bigger than any that is looked at, whatever the screen's size is."""
    left, top, width, height = struct.unpack("<4H", place.ljust(8, b"\0"))
    if (left + width) * (top + height) > GIF_PIXELS:
        raise ContainerError("This GIF has a picture that is far too big; please send another file.")


def _gif_colours(data: bytes, at: int) -> int:
    """Return the bytes of the table of colours that the flags at this place announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(data: bytes, frames: int, moving: bool) -> Contents:
    """Walk the chunks (RFC 9649)."""
    kept, orientation, at = [], 1, 12
    chunks = pictures = 0
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        chunks = _counted(chunks)
        if kind == b"ANMF":
            pictures = _counted(pictures, frames, "pictures")
        if kind == b"VP8X":  # its flags no longer announce a profile, EXIF or XMP
            kept.append(data[at : at + 8] + bytes([data[at + 8] & 0x12 if at + 8 < len(data) else 0]))
            kept.append(data[at + 9 : end])
        elif kind in _WEBP_KEPT and (moving or pictures <= 1):
            kept.append(data[at:end])
        elif kind == b"EXIF":
            orientation = _exif_orientation(data[at + 8 : min(at + 8 + size, at + 8 + 0xFFFF)])
        at = end
    body = b"WEBP" + b"".join(kept)
    return Contents(
        b"RIFF" + struct.pack("<I", len(body)) + body, "WEBP", orientation, pictures=max(pictures, 1)
    )


def _avif(data: bytes) -> Contents:
    """Rename the EXIF item, so that nobody reads it; all else stays in place (ISO 14496-12, MIAF 7.3.6.5).

    MIAF says how to turn a picture outside EXIF, and that a reader ignores EXIF's orientation.
    """
    parts, at, boxes = [], 0, 0
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        end = at + size if size >= 8 else len(data)
        boxes = _counted(boxes)
        box = data[at:end]
        parts.append(box if kind == b"mdat" else box.replace(b"Exif", b"none"))
        at = end
    return Contents(b"".join(parts), "AVIF", None)


def _bmp(data: bytes) -> Contents:
    """Refuse run-length coding: Pillow decodes it in Python, in minutes, to any size that is asked for."""
    if int.from_bytes(data[14:18], "little") >= 40 and int.from_bytes(data[30:34], "little") in {1, 2}:
        raise ContainerError("This BMP is compressed in a way that is not read here; please send a PNG.")
    return Contents(data, "BMP")


def _exif_orientation(exif: bytes) -> int:
    """Return the orientation in EXIF (CIPA DC-008, 4.6.5), 1 where there is none or it makes no sense."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (table,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, table)
        for entry in range(entries):
            tag, kind, _ = struct.unpack_from(f"{order}HHI", tiff, table + 2 + 12 * entry)
            if tag == 0x0112:
                number = {3: "H", 4: "I"}.get(kind, "H")
                (value,) = struct.unpack_from(f"{order}{number}", tiff, table + 10 + 12 * entry)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _counted(parts: int, limit: int = PARTS, what: str = "parts") -> int:
    """Return one more.

    Raises:
        ContainerError: that is more than the limit.
    """
    if parts >= limit:
        raise ContainerError(
            f"This file has more than {limit} {what}; please send one picture, saved as JPEG or PNG."
        )
    return parts + 1
