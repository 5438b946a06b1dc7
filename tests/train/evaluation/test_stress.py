"""Stress slices: the same photos, corrupted the same way in every run, batch by batch and in order."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from tests import generated_photos
from train.config import TrainError
from train.data import dataset, manifest
from train.evaluation import stress

SIDE = 48


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return generated_photos.write(tmp_path_factory.mktemp("stress"), 3)


@pytest.fixture(scope="module")
def records(photos):
    return manifest.scan(photos)[0]


def stressed(photos, records, name):
    return stress.pixels(photos, records, SIDE, name)


def test_every_slice_that_the_gate_asks_for_is_there():
    assert list(stress.SLICES) == [
        "zoom-out-2", "zoom-out-3", "low-light", "blur", "webcam", "jpeg-25", "filters", "rotation-20",
        "occlusion-30",
    ]  # fmt: skip


@pytest.mark.parametrize("name", stress.SLICES)
def test_a_slice_is_the_same_in_every_run_and_in_every_order(photos, records, name, tmp_path):
    first = stressed(photos, records, name)
    assert (first.shape, first.dtype) == ((12, SIDE, SIDE, 3), np.uint8)
    np.testing.assert_array_equal(stressed(photos, records, name), first)
    plain = dataset.pixels(photos, records, SIDE, tmp_path)
    assert all(np.abs(a.astype(int) - b).mean() > 0.5 for a, b in zip(first, plain, strict=True))


def test_photos_follow_the_records_and_none_is_lost(photos, records, monkeypatch):
    whole = stressed(photos, records, "blur")
    monkeypatch.setattr(stress, "BATCH", 5)
    np.testing.assert_array_equal(stressed(photos, records, "blur"), whole)
    np.testing.assert_array_equal(stressed(photos, records[::-1], "blur"), whole[::-1])


@pytest.fixture
def flat(tmp_path):
    """A white photo, and misc photos that are green all over."""
    for group, name, colour in [("cat", "a", "white"), ("misc", "b", "green"), ("misc", "c", "green")]:
        (tmp_path / group).mkdir(exist_ok=True)
        Image.new("RGB", (60, 60 + ord(name)), colour).save(tmp_path / group / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize(("name", "share"), [("zoom-out-2", 1 / 4), ("zoom-out-3", 1 / 9)])
def test_zoom_out_puts_a_photo_of_its_share_into_a_misc_scene(flat, name, share):
    records = manifest.scan(flat)[0]
    seen = stressed(flat, records, name)[0]
    white = (seen > 250).all(axis=2)
    green = (seen[..., 1] > 100) & (seen[..., 0] < 5)
    assert white.mean() == pytest.approx(share, abs=0.03)
    assert green.mean() == pytest.approx(1 - share, abs=0.08)


def test_without_misc_photos_the_scene_is_the_photos_own(flat):
    cats = [record for record in manifest.scan(flat)[0] if record.is_cat]
    assert stressed(flat, cats, "zoom-out-2").min() > 250


def test_half_the_photos_are_covered_by_a_scene_the_others_by_a_colour():
    """Of a white photo and a black scene, three tenths are covered, by one rectangle or by spots."""
    photo, scene = Image.new("RGB", (120, 90), "white"), Image.new("RGB", (120, 90), "black")
    covered, black, rectangles = [], [], []
    for seed in range(60):
        seen = np.asarray(stress.SLICES["occlusion-30"](photo, np.random.default_rng(seed), lambda: scene))
        cover = (seen < 255).any(axis=2)
        covered.append(cover.mean())
        black.append((seen[cover] == 0).all())
        rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
        rectangles.append(cover[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all())
    assert np.mean(covered) == pytest.approx(0.3, abs=0.03)
    assert 0.3 < np.mean(black) < 0.7
    assert 0.3 < np.mean(rectangles) < 0.7


def test_half_the_photos_are_blurred_by_motion_the_others_all_round():
    """A point becomes a line or a disc; the line is longer than the disc."""
    photo = Image.new("RGB", (201, 201))
    photo.putpixel((100, 100), (255, 255, 255))
    lines = []
    for seed in range(60):
        seen = np.asarray(stress.SLICES["blur"](photo, np.random.default_rng(seed), lambda: None))[..., 0]
        spots = np.argwhere(seen > 0) - 100.0
        spread = np.linalg.eigvalsh(np.cov(spots.T)) if len(spots) > 2 else np.array([0, 1])
        lines.append(spread[0] < 0.2 * spread[1])
    assert 0.3 < np.mean(lines) < 0.7


def test_photos_turn_either_way_by_twenty_degrees():
    photo = Image.new("RGB", (60, 60), "white")
    for left, row in enumerate(np.asarray(Image.radial_gradient("L").resize((60, 60)))):
        for top, value in enumerate(row.tolist()):
            photo.putpixel((left, top), (value, 4 * left, 4 * top))
    turned = {stress.corruptions.rotate(photo, angle).tobytes() for angle in (-20.0, 20.0)}
    seen = {stress._rotation(photo, np.random.default_rng(s), lambda: None).tobytes() for s in range(12)}
    assert seen == turned


def test_no_photo_is_put_into_itself(records):
    scenes = [record for record in records if record.group == stress.SCENES]
    for seed in range(20):
        for scene in scenes:
            assert stress._another(scene, scenes, np.random.default_rng(seed)) != scene


def test_a_photo_that_has_gone_is_named(photos, records):
    gone = dataclasses.replace(records[0], path="cat/gone.png")
    with pytest.raises(TrainError, match=r"cat/gone\.png has changed"):
        stressed(photos, [gone], "blur")
