"""Augmentation changes photos, and only in ways that a camera, a hand or an app does."""

import numpy as np
import pytest

from train.augment import augment, empty

SIDE = 64


@pytest.fixture
def photo():
    gradient = np.linspace(40, 210, SIDE)
    rows, columns = np.meshgrid(gradient, gradient, indexing="ij")
    return np.stack([rows, columns, (rows + columns) / 2], axis=2).astype(np.uint8)


@pytest.fixture
def scene():
    return lambda: np.full((SIDE, SIDE, 3), 128, np.uint8)


def test_strength_0_changes_left_and_right_only(photo, scene):
    seen = [augment(photo, 0.0, np.random.default_rng(seed), scene) for seed in range(20)]
    kept = [np.array_equal(each, photo) for each in seen]
    mirrored = [np.array_equal(each, photo[:, ::-1]) for each in seen]
    assert all(a or b for a, b in zip(kept, mirrored, strict=True))
    assert any(kept)
    assert any(mirrored)


def test_full_strength_changes_every_photo_its_own_way_and_keeps_its_form(photo, scene):
    seen = [augment(photo, 1.0, np.random.default_rng(seed), scene) for seed in range(100)]
    assert {(each.shape, each.dtype) for each in seen} == {((SIDE, SIDE, 3), np.dtype(np.uint8))}
    assert len({each.tobytes() for each in seen}) == 100
    assert all(not np.array_equal(each, photo) for each in seen)


def test_the_same_lot_gives_the_same_photo(photo, scene):
    first, second = (augment(photo, 1.0, np.random.default_rng(5), scene) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_some_photos_become_small_parts_of_another_scene(photo):
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    drawn = []

    def scene():
        drawn.append(True)
        return white

    for seed in range(200):
        augment(photo, 1.0, np.random.default_rng(seed), scene)
    # A fifth are zoomed out into a scene, a tenth are covered by one.
    assert 30 < len(drawn) < 100


def test_a_weaker_augmentation_changes_less(photo, scene):
    def change(strength):
        made = [augment(photo, strength, np.random.default_rng(seed), scene) for seed in range(60)]
        return np.mean(
            [min(np.abs(m - p.astype(float)).mean() for p in (photo, photo[:, ::-1])) for m in made]
        )

    assert change(0.2) < 0.5 * change(1.0)


def test_empty_frames_are_photos_of_nobody_and_never_the_same():
    frames = [empty(SIDE, np.random.default_rng(seed)) for seed in range(20)]
    assert {(each.shape, each.dtype) for each in frames} == {((SIDE, SIDE, 3), np.dtype(np.uint8))}
    assert len({each.tobytes() for each in frames}) == 20
    brightness = [each.mean() for each in frames]
    assert min(brightness) < 30
    assert max(brightness) > 120
