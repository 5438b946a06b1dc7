"""Folders become a manifest; near-duplicates never straddle a split; pixels are those that are served."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from cat_model.photo import decode, resize
from tests import generated_photos
from train import dataset
from train.config import TrainError


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of groups with 40 pictures each, eight of them planted near-duplicates."""
    root = generated_photos.write(tmp_path_factory.mktemp("photos"), 36)
    for group in generated_photos.GROUPS:
        first, second = sorted((root / group).glob("*.png"))[:2]
        picture = Image.open(first).convert("RGB")
        picture.save(root / group / "recompressed.jpg", quality=60)
        picture.resize((70, 70)).save(root / group / "smaller.png")
        ImageOps.mirror(picture).save(root / group / "mirrored.png")
        (root / group / "copy.png").write_bytes(second.read_bytes())
    return root


@pytest.fixture(scope="module")
def records(photos):
    found, refusals = dataset.scan(photos)
    assert not refusals
    return found


def test_manifest_knows_each_photo(photos, records):
    assert len(records) == 160
    one = records[0]
    data = (photos / one.path).read_bytes()
    assert (one.group, one.bytes, one.width, one.height) == ("cat", len(data), 96, 96)
    assert one.sha256 == dataset.sha256(data)


def test_unusable_files_are_listed_with_a_reason_and_hidden_ones_passed_over(photos, tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "dog").mkdir()
    for group in ("cat", "dog"):
        source = next((photos / group).glob("*.png"))
        (tmp_path / group / source.name).write_bytes(source.read_bytes())
    (tmp_path / "cat" / "note.jpg").write_text("a cat")
    (tmp_path / "dog" / "empty.jpg").touch()
    (tmp_path / "dog" / ".hidden").write_text("not looked at")
    records, refusals = dataset.scan(tmp_path)
    assert len(records) == 2
    assert [refusal.path for refusal in refusals] == ["cat/note.jpg", "dog/empty.jpg"]
    assert "not a photo" in refusals[0].reason
    assert "empty" in refusals[1].reason


def test_a_folder_without_cats_or_with_nothing_else_is_refused(tmp_path):
    with pytest.raises(TrainError, match="no folder"):
        dataset.scan(tmp_path / "nowhere")
    (tmp_path / "cat").mkdir()
    generated_photos.draw("cat", np.random.default_rng(0)).save(tmp_path / "cat" / "a.png")
    with pytest.raises(TrainError, match="one other"):
        dataset.scan(tmp_path)


def test_near_duplicates_never_straddle_a_split(records):
    split = dataset.assign_splits(records, seed=3)
    for group in generated_photos.GROUPS:
        planted = {f"{group}/{name}" for name in ("recompressed.jpg", "smaller.png", "mirrored.png")}
        assert len({record.family for record in records if record.path in planted}) == 1
    for family in {record.family for record in records}:
        assert len({record.split for record in split if record.family == family}) == 1


def test_splits_are_stratified_seeded_and_recorded(records, tmp_path):
    split = dataset.assign_splits(records, seed=3)
    assert split == dataset.assign_splits(records, seed=3)
    assert split != dataset.assign_splits(records, seed=4)
    for group in generated_photos.GROUPS:
        members = [record.split for record in split if record.group == group]
        assert 20 <= members.count(dataset.TRAIN) <= 28
        assert 4 <= members.count(dataset.TEST) <= 12
        assert 4 <= members.count(dataset.VALIDATION) <= 12
    dataset.write_manifest(tmp_path / "manifest.csv", split)
    assert dataset.read_manifest(tmp_path / "manifest.csv") == split


def test_a_group_too_small_to_split_is_named(records):
    few = [record for record in records if record.group != "dog"] + [r for r in records if r.group == "dog"][
        :5
    ]
    with pytest.raises(TrainError, match="dog has 5"):
        dataset.assign_splits(few, seed=0)


def test_sample_takes_as_many_of_each_group_and_is_seeded(records):
    sample = dataset.sample(records, 10, seed=1)
    assert {g: sum(r.group == g for r in sample) for g in generated_photos.GROUPS} == dict.fromkeys(
        generated_photos.GROUPS, 10
    )
    assert sample == dataset.sample(records, 10, seed=1)
    assert sample != dataset.sample(records, 10, seed=2)


def test_fingerprint_changes_with_a_photo_a_group_or_a_split(records):
    split = dataset.assign_splits(records, seed=3)
    fingerprint = dataset.fingerprint(split)
    assert fingerprint == dataset.fingerprint(reversed(split))
    assert fingerprint != dataset.fingerprint(split[1:])
    assert fingerprint != dataset.fingerprint(dataset.assign_splits(records, seed=4))


def test_pixels_are_the_served_ones_and_are_decoded_once(photos, records, tmp_path, monkeypatch):
    first = dataset.pixels(photos, records, 48, tmp_path)
    expected = resize(decode(photos / records[7].path), 48)
    np.testing.assert_array_equal(first[7], expected)
    monkeypatch.setattr(dataset, "decode", lambda *_: pytest.fail("decoded again"))
    np.testing.assert_array_equal(dataset.pixels(photos, records, 48, tmp_path), first)


def test_a_photo_that_is_gone_is_named(records, tmp_path):
    with pytest.raises(TrainError, match=r"cat/.*has changed: There is no such file"):
        dataset.pixels(tmp_path / "elsewhere", records[:3], 48, tmp_path)
    assert not list(tmp_path.glob("*.npy"))
