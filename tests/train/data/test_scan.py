"""Photos of phones are looked at like all others, and again once a package that reads them is there."""

import pytest
from PIL import Image

from cat_model import heic
from tests.image_files import encoded
from train.data import scan


@pytest.fixture
def root(tmp_path, examples):
    """A folder of groups with a photo as a phone writes it: stored on its side, turned by a property."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.open(examples / "chelsea.jpg").resize((300, 200))
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    stored = photo.transpose(Image.Transpose.ROTATE_90)
    (folder / "IMG_1.HEIC").write_bytes(encoded(stored, "HEIC", exif=exif.tobytes(), tile_size=64))
    return tmp_path / "photos"


def test_a_heic_is_looked_at_upright(root):
    (photo,), refused = scan.read_folder(root)
    assert refused == []
    assert (photo.record.path, photo.record.width, photo.record.height) == ("cat/IMG_1.HEIC", 300, 200)


def test_what_was_refused_for_want_of_a_decoder_is_looked_at_once_there_is_one(root, tmp_path, monkeypatch):
    with monkeypatch.context() as without:
        without.setattr(heic, "DECODERS", ())
        scanned, (refused,) = scan.read_folder(root, tmp_path / "cache")
        assert scanned == []
        assert "pip install pi-heif" in refused.reason
    (photo,), refused = scan.read_folder(root, tmp_path / "cache")
    assert (photo.record.width, refused) == (300, [])


def test_what_lies_beside_photos_is_passed_over_and_what_is_no_photo_is_refused(root, examples):
    """Junk of cameras and network drives is no photo of a group, and no fault of the folder either."""
    photo = (examples / "coffee.jpg").read_bytes()
    for name in (
        "cat/._IMG_1.jpg",
        "cat/.thumbnails/1.jpg",
        "cat/@eaDir/IMG_1.jpg/SYNOPHOTO_THUMB_M.jpg",
        "cat/IMG_2.jpg/thumb.jpg",
        "cat/Thumbs.db",
        "@eaDir/1.jpg",
        "beside-the-groups.jpg",
        "dog/deep/1.jpg",
        "dog/notes.txt",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(photo if name.endswith("jpg") else b"text")
    scanned, refused = scan.read_folder(root)
    assert [each.record.path for each in scanned] == ["cat/IMG_1.HEIC", "dog/deep/1.jpg"]
    assert [each.path for each in refused] == ["dog/notes.txt"]


def test_links_are_followed_once_in_each_group(root, examples, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.jpg").write_bytes((examples / "coffee.jpg").read_bytes())
    (root / "cat" / "loop").symlink_to(root / "cat")
    for group in ("cat", "dog"):
        (root / group).mkdir(exist_ok=True)
        (root / group / "set").symlink_to(tmp_path / "elsewhere")
    scanned, refused = scan.read_folder(root)
    assert [each.record.path for each in scanned] == ["cat/IMG_1.HEIC", "cat/set/1.jpg", "dog/set/1.jpg"]
    assert refused == []
