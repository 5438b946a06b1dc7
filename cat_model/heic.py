"""HEIC, what phones save: its container is read here, and a decoder sees one checked tile at a time.

A HEIC file (ISO/IEC 23008-12) is a table of items. Its primary item is the photo: one HEVC picture or a grid
of them. All others (thumbnails, depth, gain maps, other pictures of a burst, EXIF) are passed over. The
decoder gets a new file with a single picture, whose size was read from the HEVC header itself. So what a
photo costs is known before anything is decoded, and libheif never reads the tables of a stranger's file.
"""

import importlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType

from PIL import Image

from cat_model.image_container import PARTS, ContainerError, brands

DECODERS = ("pillow_heif", "pi_heif")
"""Packages with the same decoder, tried in this order; docs/operations.md says how they differ."""
TILES = 1024
"""How many tiles a picture may have: one of 48 megapixels has 192."""

_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"}
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")
_SPS = 33  # the HEVC unit that says how big pictures are; those below 32 hold pixels
_PADDING = 128  # pixels that an encoder may add to a side, which the picture then hides
_CORNERS = {
    (0, 1, 2, 3): 1, (1, 0, 3, 2): 2, (3, 2, 1, 0): 3, (2, 3, 0, 1): 4,
    (0, 2, 1, 3): 5, (2, 0, 3, 1): 6, (3, 1, 2, 0): 7, (1, 3, 0, 2): 8,
}  # fmt: skip
"""EXIF's orientations, by where the corners (upper left, upper right, lower left, lower right) come from."""


class DecoderMissing(ContainerError):
    """No package that decodes HEIC is installed."""

    def __init__(self) -> None:
        """Say what to install."""
        super().__init__(
            "This is a HEIC photo, and the package that reads those is not installed here "
            "(pip install pi-heif); please send a JPEG."
        )


class _Damaged(ContainerError):
    def __init__(self) -> None:
        super().__init__("This HEIC photo is damaged: its parts do not fit together.")


class _Cut(ContainerError):
    def __init__(self) -> None:
        super().__init__("This HEIC photo is cut short: a part of the file is missing.")


class _Strange(ContainerError):
    def __init__(self) -> None:
        super().__init__("This HEIC photo is built in a way that is not read here; please send a JPEG.")


@dataclass(frozen=True)
class Tile:
    """One HEVC picture.

    Attributes:
        data: its units, each behind its length.
        header: content of its hvcC box: the parameters that decode it.
        size: width and height in pixels.
    """

    data: memoryview
    header: bytes
    size: tuple[int, int]


@dataclass(frozen=True)
class Heic:
    """The photo of a HEIC file, not decoded.

    Attributes:
        size: width and height in pixels, as stored: before it is cropped and turned.
        columns: tiles beside each other.
        tiles: row by row, all of one size; the last of a row or a column may reach over the edge.
        colour: content of the box that says how colours are coded; empty where only the tiles say it.
        orientation: how the picture is to be turned, as EXIF numbers it. EXIF itself does not count: the
            format says so, and phones write both.
        crop: left, top, right and bottom, in pixels, of what is shown; None for all of it.
        alpha: how opaque each pixel is, a picture of the same size; None where all are.
    """

    size: tuple[int, int]
    columns: int
    tiles: tuple[Tile, ...]
    colour: bytes = b""
    orientation: int = 1
    crop: tuple[int, int, int, int] | None = None
    alpha: "Heic | None" = None

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height in pixels of what is shown, before it is turned."""
        left, top, right, bottom = self.crop or (0, 0, *self.size)
        return right - left, bottom - top

    def divisor(self, at_least: int | None) -> int:
        """Return by how much each side can be divided while decoding: 1, 2, 4 or 8.

        Args:
            at_least: pixels that the shorter side keeps; None to divide by nothing.
        """
        if at_least is None or self.alpha or self.crop or len(self.tiles) == 1:
            return 1
        sides = self.tiles[0].size
        fits = [by for by in (8, 4, 2) if min(self.size) >= by * at_least and not any(s % by for s in sides)]
        return fits[0] if fits else 1

    def decode(self, divisor: int = 1) -> Image.Image:
        """Decode tile by tile, so that little more than the picture itself is in the memory.

        Args:
            divisor: of each side, from `divisor`.

        Returns:
            Picture in mode RGB or RGBA, not turned; sides are divided and rounded up.

        Raises:
            DecoderMissing: no package that decodes HEIC is installed.
            Exception: whatever the decoder raises where it cannot decode a tile.
        """
        picture = self._put_together("RGB", divisor)
        if self.alpha:
            picture.putalpha(self.alpha._put_together("L", divisor))
        return picture.crop(self.crop) if self.crop else picture

    def _put_together(self, mode: str, divisor: int) -> Image.Image:
        heif = decoder()
        width, height = self.size
        picture = Image.new(mode, (-(-width // divisor), -(-height // divisor)))
        for number, tile in enumerate(self.tiles):
            row, column = divmod(number, self.columns)
            left, top = column * tile.size[0], row * tile.size[1]
            part = heif.open_heif(alone(tile, self.colour)).to_pillow()
            if part.mode != mode:
                part = part.convert(mode)
            shown = min(width - left, tile.size[0]), min(height - top, tile.size[1])
            if shown != part.size:
                part = part.crop((0, 0, *shown))
            if divisor > 1:
                part = part.reduce(divisor)
            picture.paste(part, (left // divisor, top // divisor))
        return picture


def decoder() -> ModuleType:
    """Return the package that decodes.

    Raises:
        DecoderMissing: none is installed.
    """
    for name in DECODERS:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise DecoderMissing


def available() -> bool:
    """Return whether a decoder is installed; nothing is imported."""
    return any(find_spec(name) for name in DECODERS)


def is_heic(data: bytes) -> bool:
    """Return whether a file calls itself HEIC or HEIF, and not AVIF."""
    named = brands(data)
    return bool(named & _BRANDS) and not named & {b"avif", b"avis"}


def read(data: bytes) -> Heic:
    """Find the photo in a HEIC file.

    Raises:
        ContainerError: the file is damaged, or built in a way that is not read; the message says which.
    """
    try:
        return _Items(data).photo()
    except (struct.error, IndexError, KeyError, ZeroDivisionError):
        raise _Damaged from None


class _Items:
    """The tables of a file: which items there are, of what kind, where they lie, what is said of them."""

    def __init__(self, data: bytes) -> None:
        """Read the tables."""
        self._data = data
        self._parts = 0
        meta = next(((at, end) for kind, at, end in self._boxes(0, len(data)) if kind == b"meta"), None)
        if meta is None and any(kind == b"moov" for kind, _, _ in self._boxes(0, len(data))):
            raise _Strange  # a film without a photo
        if meta is None or meta[1] > len(data):
            raise _Cut
        boxes = {kind: (at, end) for kind, at, end in self._boxes(meta[0] + 4, meta[1])}
        self._inside = boxes.get(b"idat", (0, 0))
        at, _ = boxes[b"pitm"]
        self._primary = self._number(at + 4, 4 if data[at] else 2)
        self._kinds = self._read_kinds(*boxes[b"iinf"])
        self._extents = self._read_extents(boxes[b"iloc"][0])
        self._references = self._read_references(*boxes[b"iref"]) if b"iref" in boxes else {}
        described = list(self._boxes(*boxes[b"iprp"]))
        contents = [
            (kind, data[at:end])
            for name, begin, to in described
            if name == b"ipco"
            for kind, at, end in self._boxes(begin, to)
        ]
        self._properties: dict[int, list[tuple[bytes, bytes]]] = {}
        for name, begin, _ in described:
            if name == b"ipma":
                for item, numbers in self._read_associations(begin):
                    self._properties[item] = [contents[number - 1] for number in numbers if number]

    def photo(self) -> Heic:
        """Return the primary item."""
        item = self._primary
        stored, alpha = self._picture(item), self._alpha(item)
        tiles = [*stored.tiles, *(alpha.tiles if alpha else ())]
        if sum(len(tile.data) for tile in tiles) > len(self._data):
            raise _Strange  # tiles share their bytes: a small file would take long to decode
        said = self._properties[item]
        first = self._tile_items(item)[0]
        colours = (each for kind, each in [*said, *self._properties[first]] if kind == b"colr")
        return Heic(
            stored.size,
            stored.columns,
            stored.tiles,
            next((each for each in colours if each.startswith(b"nclx")), b""),
            _orientation(said),
            _crop(said, stored.size),
            alpha if alpha and alpha.size == stored.size else None,
        )

    def _alpha(self, of: int) -> Heic | None:
        for (kind, item), targets in self._references.items():
            if kind == b"auxl" and of in targets:
                said = dict(self._properties.get(item, ())).get(b"auxC", b"")
                if said[4:].startswith(_ALPHA):
                    return self._picture(item)
        return None

    def _picture(self, item: int) -> Heic:
        """Return a picture without what is said of how to show it."""
        size = self._size(item)
        numbers = self._tile_items(item)
        if len(numbers) > TILES:
            raise _Strange
        tiles = tuple(self._tile(each) for each in numbers)
        rows, columns, whole = self._grid(item) if self._kinds[item] == b"grid" else (1, 1, size)
        width, height = tiles[0].size
        if (
            whole != size
            or len(tiles) != rows * columns
            or {tile.size for tile in tiles} != {(width, height)}
            or not (columns - 1) * width < size[0] <= columns * width
            or not (rows - 1) * height < size[1] <= rows * height
        ):
            raise _Damaged
        return Heic(size, columns, tiles)

    def _grid(self, item: int) -> tuple[int, int, tuple[int, int]]:
        grid = self._content(item)
        width, height = struct.unpack_from(">II" if grid[1] & 1 else ">HH", grid, 4)
        return grid[2] + 1, grid[3] + 1, (width, height)

    def _tile_items(self, item: int) -> list[int]:
        kind = self._kinds[item]
        if kind not in (b"hvc1", b"grid"):
            raise _Strange
        return self._references[b"dimg", item] if kind == b"grid" else [item]

    def _tile(self, item: int) -> Tile:
        if self._kinds[item] != b"hvc1":
            raise _Strange
        header = dict(self._properties[item])[b"hvcC"]
        size, data = self._size(item), self._content(item)
        pictures = 0
        for unit in [*_parameters(header), *self._units(data, (header[21] & 3) + 1)]:
            kind = unit[0] >> 1 & 0x3F
            if kind == _SPS:
                coded = _coded_size(bytes(unit[:128]))
                if any(not 0 <= c - s <= _PADDING for c, s in zip(coded, size, strict=True)):
                    raise _Damaged
            pictures += kind < 32 and bool(unit[2] & 0x80)  # the first slice of a picture
        if pictures != 1:
            raise _Strange
        return Tile(data, header, size)

    def _units(self, data: memoryview, length: int) -> Iterator[memoryview]:
        at = 0
        while at < len(data):
            size = int.from_bytes(data[at : at + length], "big")
            unit = data[at + length : at + length + size]
            self._count()
            if len(unit) < max(size, 3):
                raise _Damaged
            yield unit
            at += length + size

    def _size(self, item: int) -> tuple[int, int]:
        width, height = struct.unpack_from(">II", dict(self._properties[item])[b"ispe"], 4)
        return width, height

    def _content(self, item: int) -> memoryview:
        begin, end, extents = self._extents[item]
        if any(begin + at + size > end for at, size in extents):
            raise _Cut
        pieces = [memoryview(self._data)[begin + at : begin + at + size] for at, size in extents]
        return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))

    def _boxes(self, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Yield the kind of each box, where its content begins and where it ends."""
        while at + 8 <= end:
            self._count()
            size, kind, begin = self._number(at, 4), self._data[at + 4 : at + 8], at + 8
            if size == 1:
                size, begin = self._number(at + 8, 8), at + 16
            to = at + size if size else end
            if to < begin:
                raise _Damaged
            yield kind, begin, to
            at = to

    def _read_kinds(self, begin: int, end: int) -> dict[int, bytes]:
        kinds = {}
        for _, at, _ in self._boxes(begin + (8 if self._data[begin] else 6), end):
            width = 2 if self._data[at] < 3 else 4
            kind = at + 4 + width + 2
            kinds[self._number(at + 4, width)] = self._data[kind : kind + 4]
        return kinds

    def _read_extents(self, at: int) -> dict[int, tuple[int, int, list[tuple[int, int]]]]:
        """Return of each item where its place is counted from and where that ends, and its extents."""
        version, widths = self._data[at], self._number(at + 4, 2)
        offset, length, base, index = (widths >> shift & 15 for shift in (12, 8, 4, 0))
        wide = 4 if version == 2 else 2
        count, at = self._number(at + 6, wide), at + 6 + wide
        extents = {}
        for _ in range(count):
            item, at = self._number(at, wide), at + wide
            method = 0
            if version:
                method, at = self._number(at, 2) & 15, at + 2
            other, first, parts = (
                self._number(at, 2),
                self._number(at + 2, base),
                self._number(at + 2 + base, 2),
            )
            at += 4 + base
            places = []
            for _ in range(parts):
                self._count()
                at += index if version else 0
                places.append((first + self._number(at, offset), self._number(at + offset, length)))
                at += offset + length
            if method < 2 and not other:  # else it lies in another item, or in another file
                extents[item] = (*(self._inside if method else (0, len(self._data))), places)
        return extents

    def _read_references(self, begin: int, end: int) -> dict[tuple[bytes, int], list[int]]:
        """Return the items that an item refers to, by the kind of the reference and the item."""
        wide = 4 if self._data[begin] else 2
        references = {}
        for kind, at, _ in self._boxes(begin + 4, end):
            count = self._number(at + wide, 2)
            self._count(count)
            to = range(at + wide + 2, at + wide + 2 + count * wide, wide)
            references[kind, self._number(at, wide)] = [self._number(each, wide) for each in to]
        return references

    def _read_associations(self, at: int) -> Iterator[tuple[int, list[int]]]:
        """Yield each item with the numbers, from 1, of its properties."""
        wide, long = 4 if self._data[at] else 2, bool(self._data[at + 3] & 1)
        count, at = self._number(at + 4, 4), at + 8
        for _ in range(count):
            item, several, at = self._number(at, wide), self._number(at + wide, 1), at + wide + 1
            self._count(1 + several)
            width, mask = (2, 0x7FFF) if long else (1, 0x7F)
            yield item, [self._number(at + width * each, width) & mask for each in range(several)]
            at += width * several

    def _number(self, at: int, width: int) -> int:
        if at + width > len(self._data):
            raise _Cut
        return int.from_bytes(self._data[at : at + width], "big")

    def _count(self, more: int = 1) -> None:
        self._parts += more
        if self._parts > PARTS:
            raise _Strange


def _parameters(header: bytes) -> Iterator[bytes]:
    """Yield the units in an hvcC box (ISO/IEC 14496-15, 8.3.3.1)."""
    at, arrays = 23, header[22]
    for _ in range(arrays):
        (units,) = struct.unpack_from(">H", header, at + 1)
        at += 3
        for _ in range(units):
            (size,) = struct.unpack_from(">H", header, at)
            unit = header[at + 2 : at + 2 + size]
            if len(unit) < max(size, 3):
                raise _Damaged
            yield unit
            at += 2 + size


def _coded_size(unit: bytes) -> tuple[int, int]:
    """Return width and height from an HEVC sequence parameter set (ITU-T H.265, 7.3.2.2)."""
    payload = unit[2:].replace(b"\0\0\3", b"\0\0")  # the 3 only keeps apart what would look like a marker
    bits = "".join(f"{byte:08b}" for byte in payload)
    layers = int(bits[4:7], 2)
    at = 8 + 96
    if layers:
        flags = [bits[at + 2 * layer : at + 2 * layer + 2] for layer in range(layers)]
        at += 16 + sum(88 * (each[0] == "1") + 8 * (each[1] == "1") for each in flags)

    def number() -> int:
        """Read an unsigned number in Exp-Golomb code."""
        nonlocal at
        zeros = bits.index("1", at) - at
        begin, at = at + zeros, at + 2 * zeros + 1
        return int(bits[begin:at], 2) - 1

    try:
        number()
        if number() == 3:  # 4:4:4, whose planes may be coded apart
            at += 1
        return number(), number()
    except ValueError:
        raise _Damaged from None


def _orientation(said: Sequence[tuple[bytes, bytes]]) -> int:
    """Return EXIF's number for all rotations and mirrors, one after the other."""
    corners = (0, 1, 2, 3)
    for kind, content in said:
        left, right, low_left, low_right = corners
        if kind == b"irot":
            for _ in range(content[0] & 3):  # a quarter against the clock
                left, right, low_left, low_right = right, low_right, left, low_left
        elif kind == b"imir" and content[0] & 1:
            left, right, low_left, low_right = right, left, low_right, low_left
        elif kind == b"imir":
            left, right, low_left, low_right = low_left, low_right, left, right
        corners = left, right, low_left, low_right
    return _CORNERS[corners]


def _crop(said: Sequence[tuple[bytes, bytes]], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the part that is shown (clap box), if it is not everything."""
    clap = dict(said).get(b"clap")
    if clap is None:
        return None
    across, down, right, low = (
        top / bottom for top, bottom in (struct.unpack_from(form, clap, at) for form, at in _CLAP)
    )
    left, upper = round((size[0] - across) / 2 + right), round((size[1] - down) / 2 + low)
    box = (
        max(left, 0), max(upper, 0),
        min(left + round(across), size[0]), min(upper + round(down), size[1]),
    )  # fmt: skip
    if box[0] >= box[2] or box[1] >= box[3]:
        raise _Damaged
    return None if box == (0, 0, *size) else box


_CLAP = ((">II", 0), (">II", 8), (">iI", 16), (">iI", 24))


def _box(kind: bytes, *content: bytes | memoryview) -> bytes:
    return b"".join([struct.pack(">I4s", 8 + sum(map(len, content)), kind), *content])


def alone(tile: Tile, colour: bytes = b"") -> bytes:
    """Return a HEIC file with one tile, the content of a colr box if there is one, and nothing else."""
    colours = [_box(b"colr", colour[:11])] if colour else []
    properties = [
        _box(b"hvcC", tile.header),
        _box(b"ispe", struct.pack(">III", 0, *tile.size)),
        *colours,
    ]
    numbers = bytes([0x81, *range(2, len(properties) + 1)])  # without the first nothing can be decoded
    kind = _box(b"ftyp", b"heic\0\0\0\0mif1heic")

    def meta(offset: int) -> bytes:
        entry = _box(b"infe", struct.pack(">IHH", 2 << 24, 1, 0), b"hvc1\0")
        return _box(
            b"meta",
            bytes(4),
            _box(b"hdlr", bytes(8), b"pict", bytes(13)),
            _box(b"pitm", struct.pack(">IH", 0, 1)),
            _box(b"iinf", struct.pack(">IH", 0, 1), entry),
            _box(b"iloc", struct.pack(">IHHHHHII", 0, 0x4400, 1, 1, 0, 1, offset, len(tile.data))),
            _box(
                b"iprp",
                _box(b"ipco", *properties),
                _box(b"ipma", struct.pack(">IIHB", 0, 1, 1, len(numbers)), numbers),
            ),
        )  # fmt: skip

    offset = len(kind) + len(meta(0)) + 8
    return b"".join([kind, meta(offset), _box(b"mdat", tile.data)])
