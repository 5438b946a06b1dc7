"""What a picture file holds beside its picture is left out here, before a decoder sees any of it.

Decoders read metadata eagerly and trust it: an EXIF table whose entries all point at the same megabytes, a
million empty segments or a GIF's endless comments cost minutes and gigabytes before the first pixel. So the
file's outline is walked first, in one pass that looks at no more than a limited number of parts; only what
the pixels of the first picture need goes on.
"""

import re
import struct
from dataclasses import dataclass

PARTS = 16_384
"""How many segments, chunks or boxes a file may have: PNGs of 20 MB are cut into some 2,500 chunks."""
BLOCKS = 500_000
"""How many blocks of up to 255 bytes a GIF may have: one of 20 MB has some 80,000."""
SCANS = 32
"""How many scans a JPEG may have, each of which visits all its pixels: progressive ones have about ten."""

_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # those left out have no length and hold nothing
_JPEG_KEPT = {0xE0, 0xEE, *range(0xC0, 0xE0)}  # APP0 and APP14 say how colours are coded; the rest are tables
_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_WEBP_KEPT = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}


class ContainerError(ValueError):
    """A file is built in a way that costs too much to look at; the message says so to its owner."""


@dataclass(frozen=True)
class Contents:
    """What is left of a file.

    Attributes:
        data: the file with its first picture and nothing else.
        orientation: how the picture is to be turned, as EXIF numbers it; 1 (not at all) to 8. None where
            the decoder itself knows, because the format says it outside EXIF.
        in_one_pass: whether it can be decoded at a fraction of its size, in a fraction of the memory.
    """

    data: bytes
    orientation: int | None = 1
    in_one_pass: bool = False


def first_picture(data: bytes, frames: int) -> Contents:
    """Return a picture file without metadata and without all pictures but its first.

    Args:
        data: the bytes of a file of any kind; of a kind that is not known here they stay as they are.
        frames: how many pictures an animation may have.

    Raises:
        ContainerError: it has too many parts, scans or frames, or is compressed in a way that is not read.
    """
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data, frames)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _gif(data, frames)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data, frames)
    if data[4:8] == b"ftyp":
        return _avif(data)
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") >= 40:
        _refuse_run_lengths(data)
    return Contents(data)


def _jpeg(data: bytes) -> Contents:
    """Walk the segments up to the end of the first picture (ITU T.81, annex B)."""
    kept, orientation, at = [data[:2]], None, 2
    segments = scans = 0
    sequential = False
    while marker := _JPEG_MARKER.search(data, at):
        begin, kind = marker.start(), data[marker.start() + 1]
        if kind == 0xD9:  # end of image; before the first scan it ends nothing
            at = begin + 2
            if scans:
                break
            continue
        at = begin + 2 + max(int.from_bytes(data[begin + 2 : begin + 4], "big"), 2)
        segments = _counted(segments)
        if kind == 0xDA:
            if not scans:
                kept.append(data[begin:])
            scans += 1
            if scans > SCANS:
                raise ContainerError(
                    f"This JPEG is built of more than {SCANS} scans; please save it anew and send that."
                )
        elif not scans:
            if kind in {0xC0, 0xC1}:
                sequential = True
            if kind in _JPEG_KEPT:
                kept.append(data[begin:at])
            elif kind == 0xE1 and orientation is None and data.startswith(b"Exif\0\0", begin + 4):
                orientation = _exif_orientation(data[begin + 4 : at])
    return Contents(b"".join(kept), orientation or 1, in_one_pass=sequential and scans == 1)


def _png(data: bytes, frames: int) -> Contents:
    """Walk the chunks (W3C PNG, third edition); what precedes other frames of an animation is its first."""
    kept, orientation, at = [data[:8]], 1, 8
    chunks = pictures = 0
    while at + 8 <= len(data):
        kind, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4], "big")
        chunks = _counted(chunks)
        if kind in _PNG_KEPT:
            kept.append(data[at:end])
        elif kind == b"fcTL":
            pictures = _counted(pictures, frames, "pictures")
        elif kind == b"eXIf":
            orientation = _exif_orientation(data[at + 8 : min(end - 4, at + 8 + 0xFFFF)])
        at = end
        if kind == b"IEND":
            break
    return Contents(b"".join(kept), orientation)


def _gif(data: bytes, frames: int) -> Contents:
    """Walk the blocks (GIF89a); only the first picture and the control block before it stay."""
    at = 13 + _gif_colours(data, 10)
    head, control, picture = data[:at], b"", b""
    blocks = pictures = 0
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
            picture = picture or control + data[begin:at] + (b";" if at <= len(data) else b"")
            pictures = _counted(pictures, frames, "pictures")
        elif data[begin + 1 : begin + 2] == b"\xf9":
            control = data[begin:at]
    return Contents(head + picture)


def _gif_colours(data: bytes, at: int) -> int:
    """Return the bytes of the table of colours that the flags at this place announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(data: bytes, frames: int) -> Contents:
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
        elif kind in _WEBP_KEPT and pictures <= 1:
            kept.append(data[at:end])
        elif kind == b"EXIF":
            orientation = _exif_orientation(data[at + 8 : min(at + 8 + size, at + 8 + 0xFFFF)])
        at = end
    body = b"WEBP" + b"".join(kept)
    return Contents(b"RIFF" + struct.pack("<I", len(body)) + body, orientation)


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
    return Contents(b"".join(parts), None)


def _refuse_run_lengths(data: bytes) -> None:
    """Refuse BMPs in run-length coding: Pillow decodes them in Python, in minutes, to any size they ask."""
    if int.from_bytes(data[30:34], "little") in {1, 2}:
        raise ContainerError("This BMP is compressed in a way that is not read here; please send a PNG.")


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
