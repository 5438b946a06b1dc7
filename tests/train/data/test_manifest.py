"""Folders become a manifest; a photo's split is its content's; near-duplicates never straddle one."""

import dataclasses
import hashlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests import generated_photos
from train.config import TrainError
from train.data import manifest


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
    found, refusals = manifest.scan(photos)
    assert not refusals
    return found


def test_manifest_knows_each_photo(photos, records):
    assert len(records) == 160
    one = records[0]
    data = (photos / one.path).read_bytes()
    assert (one.group, one.bytes, one.width, one.height) == ("cat", len(data), 96, 96)
    assert one.sha256 == manifest.sha256(data)


def test_unusable_files_are_listed_with_a_reason_and_hidden_ones_passed_over(photos, tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "dog").mkdir()
    for group in ("cat", "dog"):
        source = next((photos / group).glob("*.png"))
        (tmp_path / group / source.name).write_bytes(source.read_bytes())
    (tmp_path / "cat" / "note.jpg").write_text("a cat")
    (tmp_path / "dog" / "empty.jpg").touch()
    (tmp_path / "dog" / ".hidden").write_text("not looked at")
    records, refusals = manifest.scan(tmp_path)
    assert len(records) == 2
    assert [refusal.path for refusal in refusals] == ["cat/note.jpg", "dog/empty.jpg"]
    assert "not a photo" in refusals[0].reason
    assert "empty" in refusals[1].reason


def test_a_folder_without_cats_or_with_nothing_else_is_refused(tmp_path):
    with pytest.raises(TrainError, match="no folder"):
        manifest.scan(tmp_path / "nowhere")
    (tmp_path / "cat").mkdir()
    generated_photos.draw("cat", np.random.default_rng(0)).save(tmp_path / "cat" / "a.png")
    with pytest.raises(TrainError, match="one other"):
        manifest.scan(tmp_path)


def test_near_duplicates_never_straddle_a_split(records):
    split = manifest.assign_splits(records, 20, 20)
    for group in generated_photos.GROUPS:
        planted = {f"{group}/{name}" for name in ("recompressed.jpg", "smaller.png", "mirrored.png")}
        assert len({record.family for record in records if record.path in planted}) == 1
    for family in {record.family for record in records}:
        assert len({record.split for record in split if record.family == family}) == 1


def made_up(count, start=0):
    """Records of photos that nobody took, of cats and dogs, each a family of its own."""
    digests = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(start, start + count)]
    return [
        manifest.PhotoRecord(
            path=f"{group}/{digest}.jpg",
            group=group,
            sha256=digest,
            bytes=1,
            width=1,
            height=1,
            phash="0" * 16,
            mirrored="0" * 16,
            family=digest[:16],
        )
        for digest, group in zip(digests, ("cat", "dog") * count, strict=False)
    ]


def test_the_first_digits_of_the_hash_decide_and_shares_are_settings():
    split = manifest.assign_splits(made_up(2000), 10, 15)
    for record in split:
        place = int(record.sha256[:8], 16) % 100
        expected = "test" if place < 10 else "validation" if place < 25 else "train"
        assert record.split == expected
    counts = {name: sum(each.split == name for each in split) for name in ("test", "validation", "train")}
    assert 160 < counts["test"] < 240
    assert 250 < counts["validation"] < 350


def test_added_photos_leave_every_old_one_where_it_was():
    old = made_up(500)
    before = {record.path: record.split for record in manifest.assign_splits(old, 10, 10)}
    after = {record.path: record.split for record in manifest.assign_splits(made_up(900), 10, 10)}
    assert before == {path: after[path] for path in before}


def test_a_family_goes_where_its_smallest_hash_goes():
    one, other, *rest = sorted(made_up(300), key=lambda record: record.sha256)
    family = [dataclasses.replace(each, family="f" * 16) for each in (other, one)]
    split = manifest.assign_splits([*family, *rest], 10, 10)
    alone = manifest.assign_splits([one, other, *rest], 10, 10)
    assert split[0].split == split[1].split == alone[0].split


def test_a_manifest_is_read_as_it_was_written(records, tmp_path):
    split = manifest.assign_splits(records, 20, 20)
    manifest.write_manifest(tmp_path / "manifest.csv", split)
    assert manifest.read_manifest(tmp_path / "manifest.csv") == split


def test_too_few_photos_to_split_are_refused_in_words():
    with pytest.raises(TrainError, match="more photos are needed"):
        manifest.assign_splits(made_up(4), 10, 10)


def test_sample_takes_as_many_of_each_group_and_is_seeded(records):
    sample = manifest.sample(records, 10, seed=1)
    assert {g: sum(r.group == g for r in sample) for g in generated_photos.GROUPS} == dict.fromkeys(
        generated_photos.GROUPS, 10
    )
    assert sample == manifest.sample(records, 10, seed=1)
    assert sample != manifest.sample(records, 10, seed=2)


def test_fingerprint_changes_with_a_photo_a_group_or_a_split(records):
    split = manifest.assign_splits(records, 20, 20)
    fingerprint = manifest.fingerprint(split)
    assert fingerprint == manifest.fingerprint(reversed(split))
    assert fingerprint != manifest.fingerprint(split[1:])
    assert fingerprint != manifest.fingerprint(manifest.assign_splits(records, 30, 20))
