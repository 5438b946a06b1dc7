"""HEIC photos: the right picture, turned once, at a bounded cost; all else in the file is passed over."""

import dataclasses
import importlib
import io
import struct
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageDraw

from cat_model import heic
from cat_model.photo import Limits, PhotoError, decode
from tests.image_files import encoded
from tests.image_files import heic as heic_file

TURNS = Image.Transpose
STORED = {
    1: None,
    2: TURNS.FLIP_LEFT_RIGHT,
    3: TURNS.ROTATE_180,
    4: TURNS.FLIP_TOP_BOTTOM,
    5: TURNS.TRANSPOSE,
    6: TURNS.ROTATE_90,
    7: TURNS.TRANSVERSE,
    8: TURNS.ROTATE_270,
}
FAINT = 12
"""How far apart two pictures may be on average, in grey levels, one of them in lossy coding."""


@pytest.fixture(scope="module")
def picture():
    """A picture with another colour in each corner, of 300 × 200: it shows how it was turned."""
    image = Image.new("RGB", (300, 200), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 149, 99), "red")
    draw.rectangle((150, 0, 299, 99), "lime")
    draw.rectangle((0, 100, 149, 199), "blue")
    return image


def noise(size, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def apart(image, other):
    assert image.size == other.size
    return np.abs(np.asarray(image, int) - np.asarray(other, int)).mean()


def with_box(data, kind, content):
    """A HEIC file with another content in the first box of a kind."""
    at = data.index(kind) + 4
    return data[:at] + content + data[at + len(content) :]


@pytest.mark.parametrize("name", heic.DECODERS)
@pytest.mark.parametrize("tile", [None, 64])
@pytest.mark.parametrize("orientation", STORED)
def test_it_is_turned_once_by_either_decoder(picture, monkeypatch, name, tile, orientation):
    monkeypatch.setattr(heic, "DECODERS", (name,))
    turn = STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation  # beside the property that counts, as phones do
    stored = picture if turn is None else picture.transpose(turn)
    data = heic_file(stored, exif=exif.tobytes(), **({"tile_size": tile} if tile else {}))
    assert b"Exif" in data
    assert heic.read(data).orientation == orientation
    assert len(heic.read(data).tiles) == (1 if tile is None else 20)
    assert apart(decode(data), picture) < FAINT


def test_the_rotation_in_exif_alone_does_not_count(picture):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = heic_file(picture, exif=exif.tobytes())
    data = with_box(data, b"irot", b"\0")
    assert decode(data).size == picture.size


@pytest.mark.parametrize("name", heic.DECODERS)
@pytest.mark.parametrize("size", [(300, 200), (257, 129), (64, 640)])
def test_tiles_are_put_together_as_the_library_does_it(monkeypatch, examples, name, size):
    monkeypatch.setattr(heic, "DECODERS", (name,))
    photo = Image.open(examples / "chelsea.jpg").resize(size)
    data = heic_file(photo, tile_size=64, quality=80)
    expected = importlib.import_module(name).open_heif(data).to_pillow()
    assert np.array_equal(np.asarray(decode(data)), np.asarray(expected))


def test_real_photos_of_a_phone_are_upright_cats(shared_part, predictor):
    folder = shared_part("photos/phones")
    for path in sorted(folder.iterdir()):
        expected = pillow_heif.open_heif(path).to_pillow()
        assert np.array_equal(np.asarray(decode(path)), np.asarray(expected))
        assert decode(path).height > decode(path).width
        assert predictor.predict(path).label == "cat"


def test_at_least_divides_a_picture_in_tiles(examples):
    photo = Image.open(examples / "chelsea.jpg").resize((960, 640))
    data = heic_file(photo, tile_size=128, quality=90)
    whole = decode(data)
    for at_least, size in ((321, (960, 640)), (320, (480, 320)), (159, (240, 160)), (16, (120, 80))):
        small = decode(data, at_least=at_least)
        assert small.size == size
        assert apart(small, whole.resize(size, Image.Resampling.BOX)) < 1
    assert decode(heic_file(photo), at_least=16).size == photo.size  # one picture cannot be divided


def test_of_several_pictures_the_primary_one_is_judged(picture):
    other = picture.transpose(TURNS.ROTATE_180)
    assert apart(decode(heic_file(other, more=[picture], primary_index=1)), picture) < FAINT
    assert apart(decode(heic_file(picture, more=[other, other], primary_index=0)), picture) < FAINT


def test_thumbnails_and_metadata_are_never_decoded(picture, monkeypatch):
    data = heic_file(picture, thumbnails=[64], exif=b"Exif\0\0SECRET", xmp=b"<x>SECRET</x>")
    seen = []
    decoder = heic.decoder()
    monkeypatch.setattr(heic, "decoder", lambda: decoder)
    opened = decoder.open_heif
    monkeypatch.setattr(decoder, "open_heif", lambda part: seen.append(part) or opened(part))
    assert apart(decode(data), picture) < FAINT
    (part,) = seen
    assert b"SECRET" not in part
    assert len(decoder.open_heif(part)) == 1
    assert decoder.open_heif(part).info["thumbnails"] == []


def test_ten_bits_and_greys_keep_their_levels():
    ramp = np.repeat(np.arange(0, 256, dtype=np.uint16)[None], 64, 0)
    colours = np.stack([ramp, ramp[:, ::-1], np.full_like(ramp, 128)], -1)
    file = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (256, 64), (colours * 257).tobytes()).save(file, quality=95)
    assert pillow_heif.open_heif(file.getvalue(), convert_hdr_to_8bit=False).info["bit_depth"] > 8
    assert np.abs(np.asarray(decode(file.getvalue()), int) - colours).mean() < 2
    grey = Image.fromarray(ramp.astype(np.uint8))
    assert np.abs(np.asarray(decode(heic_file(grey, quality=95)), int)[..., 0] - ramp).mean() < 2


@pytest.mark.parametrize("tile", [None, 64])
def test_transparent_parts_are_laid_on_white(picture, tile):
    clear = picture.copy()
    clear.putalpha(Image.new("L", picture.size, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 150, 100))
    image = decode(heic_file(clear, quality=90, **({"tile_size": tile} if tile else {})))
    assert image.getpixel((60, 40)) == pytest.approx((255, 255, 255), abs=12)
    assert image.getpixel((240, 40)) == pytest.approx((0, 255, 0), abs=12)


def test_only_the_part_that_is_shown_is_judged(picture):
    data = heic_file(picture)
    whole = heic.read(data)
    shown = heic._crop([(b"clap", struct.pack(">8I", 150, 1, 100, 1, 75, 1, 50, 1))], whole.size)
    assert shown == (150, 100, 300, 200)
    assert apart(dataclasses.replace(whole, crop=shown).decode(), picture.crop(shown)) < FAINT
    with pytest.raises(heic.ContainerError):
        heic._crop([(b"clap", struct.pack(">8I", 0, 1, 100, 1, 0, 1, 0, 1))], whole.size)


@pytest.mark.parametrize(
    ("size", "clap", "shown"),
    [
        ((300, 200), (300, 200, 0, 0), None),
        ((300, 200), (400, 300, 0, 0), None),
        ((300, 200), (50, 200, 125, 0), (250, 0, 300, 200)),
        ((200, 300), (200, 50, 0, 125), (0, 250, 200, 300)),
        ((300, 200), (100, 80, -50, 20), (50, 80, 150, 160)),
        ((300, 200), (300, 200, -20, -10), (0, 0, 280, 190)),
        ((300, 200), (1, 1, 0, 0), (150, 100, 151, 101)),
    ],
)
def test_a_crop_is_counted_from_the_middle_and_ends_at_the_edges(size, clap, shown):
    across, down, right, low = clap
    box = struct.pack(">IIIIiIiI", across, 1, 2 * down, 2, right, 1, 3 * low, 3)
    assert heic._crop([(b"pixi", b""), (b"clap", box)], size) == shown


@pytest.mark.parametrize("clap", [(0, 200, 0, 0), (300, 0, 0, 0), (10, 10, 200, 0), (10, 10, 0, -150)])
def test_a_crop_without_anything_is_refused(clap):
    across, down, right, low = clap
    box = struct.pack(">IIIIiIiI", across, 1, down, 1, right, 1, low, 1)
    with pytest.raises(heic.ContainerError, match="do not fit together"):
        heic._crop([(b"clap", box)], (300, 200))


def test_what_the_decoder_gets_has_the_boxes_of_the_standard():
    """ISO/IEC 14496-12 and 23008-12: one item of kind hvc1, which is not protected and lies in mdat."""
    colour = b"nclx\0\1\0\1\0\1\x80"
    made = heic.alone(heic.Tile(memoryview(b"PIXELS"), b"HEADER", (640, 480)), colour + b"LEFT OUT")

    def box(kind, *content):
        inside = b"".join(bytes.fromhex(each) if isinstance(each, str) else each for each in content)
        return struct.pack(">I", 8 + len(inside)) + kind + inside

    properties = (
        box(b"hvcC", b"HEADER"), box(b"ispe", "00000000", "00000280", "000001e0"), box(b"colr", colour)
    )  # fmt: skip
    meta = box(
        b"meta", "00000000",
        box(b"hdlr", "00000000 00000000", b"pict", "00000000 00000000 00000000 00"),
        box(b"pitm", "00000000 0001"),
        box(b"iinf", "00000000 0001", box(b"infe", "02000000 0001 0000", b"hvc1", "00")),
        # Offsets and lengths of 4 bytes, none of a base; one item, in this file, of one extent.
        box(b"iloc", "00000000 44 00 0001 0001 0000 0001 000000f7 00000006"),
        # One item has three properties, the first of which is essential.
        box(b"iprp", box(b"ipco", *properties), box(b"ipma", "00000000 00000001 0001 03 81 02 03")),
    )  # fmt: skip
    assert made == box(b"ftyp", b"heic", "00000000", b"mif1heic") + meta + box(b"mdat", b"PIXELS")
    assert made[0xF7 : 0xF7 + 6] == b"PIXELS"


def with_content(data, path, content):
    """A HEIC file of one tile with another content in a box within boxes, which grow or shrink with it."""
    at = data.index(path[-1]) - 4
    size = int.from_bytes(data[at : at + 4], "big")
    changed = data[: at + 8] + content + data[at + size :]
    for kind in path:
        at = data.index(kind) - 4
        more = int.from_bytes(data[at : at + 4], "big") + len(content) + 8 - size
        changed = changed[:at] + struct.pack(">I", more) + changed[at + 4 :]
    at = data.index(b"iloc") + 18  # where the tile's data begin
    start = int.from_bytes(data[at : at + 4], "big") + len(changed) - len(data)
    return changed[:at] + struct.pack(">I", start) + changed[at + 4 :]


@pytest.mark.parametrize(("items", "refused"), [(1, None), (63, None), (64, "built in a way")])
def test_what_is_said_of_items_counts_as_parts_of_the_file(picture, items, refused):
    """An association of 255 properties has 256 parts, and a file at most 16,384."""
    (tile,) = heic.read(heic_file(picture)).tiles
    data = heic.alone(tile)
    said = data[data.index(b"ipma") + 4 :][8:13]
    others = b"".join(struct.pack(">HB", 2 + number, 255) + bytes(255) for number in range(items))
    liar = with_content(data, (b"meta", b"iprp", b"ipma"), struct.pack(">II", 0, 1 + items) + said + others)
    with pytest.raises(heic.ContainerError, match=refused) if refused else nullcontext():
        assert heic.read(liar).size == picture.size


@pytest.mark.parametrize(("count", "refused"), [(16_000, None), (16_384, "built in a way")])
def test_references_between_items_count_as_parts_of_the_file(picture, count, refused):
    (tile,) = heic.read(heic_file(picture)).tiles
    data = heic.alone(tile)
    told = struct.pack(">I4sHH", 12 + 2 * count, b"cdsc", 99, count) + bytes(2 * count)
    references = struct.pack(">I4sI", 12 + len(told), b"iref", 0) + told
    inside = data.index(b"meta") + 8
    (size,) = struct.unpack_from(">I", data, inside - 12)
    liar = bytearray(data[:inside] + references + data[inside:])
    struct.pack_into(">I", liar, inside - 12, size + len(references))
    start = liar.index(b"iloc") + 18  # where the tile's data begin
    struct.pack_into(">I", liar, start, struct.unpack_from(">I", liar, start)[0] + len(references))
    with pytest.raises(heic.ContainerError, match=refused) if refused else nullcontext():
        assert heic.read(bytes(liar)).size == picture.size


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(pixels=50_000), "300 × 200 pixels"),
        (Limits(pixels_whole=50_000), "300 × 200 pixels"),
        (Limits(pixels_copied=4_000), "64 × 64 pixels"),
        (Limits(longest=299), "300 × 200 pixels"),
        (Limits(shortest=201), "300 × 200 pixels"),
        (Limits(file_bytes=500), "MB"),
    ],
)
def test_limits_hold_before_anything_is_decoded(picture, monkeypatch, limits, sentence):
    monkeypatch.setattr(heic, "decoder", None)
    with pytest.raises(PhotoError, match=sentence):
        decode(heic_file(picture, tile_size=64), limits)


@pytest.mark.parametrize("layers", [[], ["00"], ["10"], ["01", "11"]], ids=str)
def test_the_size_stands_behind_what_is_said_of_sub_layers(layers):
    """Of each sub-layer two flags say whether 88 bits of a profile and 8 of a level follow."""

    def exp_golomb(number):
        return f"{number + 1:0{2 * (number + 1).bit_length() - 1}b}"

    flags = "".join(layers).ljust(16, "0") if layers else ""
    profiles = "".join("0" * (88 * (profile == "1") + 8 * (level == "1")) for profile, level in layers)
    begin = f"0000{len(layers):03b}1" + "1" * 96 + flags + profiles.replace("0", "1")
    bits = begin + "".join(map(exp_golomb, (0, 1, 640, 480)))
    unit = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    assert heic._coded_size(b"\x42\x01" + unit) == (640, 480)


def test_a_file_whose_pictures_are_bigger_than_it_says_is_refused(picture, monkeypatch):
    monkeypatch.setattr(heic, "decoder", None)
    data = heic_file(picture)
    assert struct.pack(">4sIII", b"ispe", 0, 300, 200) in data
    liar = with_box(data, b"ispe", struct.pack(">III", 0, 60, 40))
    with pytest.raises(PhotoError, match="its parts do not fit together"):
        decode(liar)


def test_tiles_that_share_their_bytes_are_refused(monkeypatch):
    image = Image.new("RGB", (512, 512))
    image.paste(noise((64, 64)), (0, 0))
    data = heic_file(image, tile_size=64, quality=95)
    at = data.index(b"dimg")
    item, count = struct.unpack_from(">HH", data, at + 4)
    assert count == 64
    first = data[at + 8 : at + 10]
    liar = with_box(data, b"dimg", struct.pack(">HH", item, count) + first * count)
    monkeypatch.setattr(heic, "decoder", None)
    with pytest.raises(PhotoError, match="built in a way"):
        decode(liar)


def test_pixels_in_another_file_are_refused(picture):
    (tile,) = heic.read(heic_file(picture)).tiles
    data = heic.alone(tile)
    at = data.index(b"iloc") + 14  # the number of the file in which the item lies, 0 for this one
    with pytest.raises(PhotoError, match="its parts do not fit together"):
        decode(data[:at] + b"\0\1" + data[at + 2 :])


def test_an_item_of_several_pictures_is_refused(picture):
    (tile,) = heic.read(heic_file(picture)).tiles
    twice = dataclasses.replace(tile, data=memoryview(bytes(tile.data) * 2))
    assert heic.read(heic.alone(tile)).size == picture.size
    with pytest.raises(heic.ContainerError, match="built in a way"):
        heic.read(heic.alone(twice))


@pytest.mark.parametrize("kind", [b"av01", b"jpeg", b"iovl", b"iden"])
def test_other_codings_are_refused_in_words(picture, kind):
    data = heic_file(picture)
    with pytest.raises(PhotoError, match="built in a way that is not read here"):
        decode(data.replace(b"hvc1", kind, 1))


def test_a_film_without_a_photo_is_refused_in_words():
    data = b"\0\0\0\x18ftyphevc\0\0\0\0msf1hevc" + struct.pack(">I4s", 108, b"moov") + bytes(100)
    with pytest.raises(PhotoError, match="built in a way that is not read here"):
        decode(data)


@pytest.mark.parametrize("options", [{}, {"tile_size": 64}])
def test_half_a_file_is_called_cut_short(options):
    data = heic_file(noise((300, 200)), **options)
    for part in (0.1, 0.5, 0.99):
        with pytest.raises(PhotoError, match="cut short"):
            decode(data[: int(part * len(data))])


def test_without_a_decoder_the_sentence_says_what_to_install(picture, monkeypatch):
    for name in heic.DECODERS:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PhotoError, match="pip install pi-heif") as caught:
        decode(heic_file(picture))
    assert caught.value.cause == "kind"


def test_the_decoder_is_imported_only_for_a_heic():
    program = "import sys, cat_model; cat_model.load(); print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "cat_model.heic" in ended.stdout.split()
    assert not {"pi_heif", "pillow_heif"} & set(ended.stdout.split())


def test_avif_stays_with_pillow(picture):
    for data in (encoded(picture, "AVIF"), encoded(picture, "AVIF").replace(b"ftypavif", b"ftypmif1")):
        assert not heic.is_heic(data)
        assert apart(decode(data), picture) < FAINT
