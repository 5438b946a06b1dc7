"""Augmentation changes photos in training, keeps their range, and leaves them alone otherwise."""

import numpy as np
import pytest

from tests import generated_photos
from train.augment import Augmentation


@pytest.fixture(scope="module")
def photos():
    generator = np.random.default_rng(6)
    drawn = [generated_photos.draw(group, generator, 64) for group in generated_photos.GROUPS]
    return np.stack([np.asarray(picture) for picture in drawn]).astype(np.float32)


def test_outside_training_nothing_changes(photos):
    np.testing.assert_array_equal(Augmentation(1.0, seed=0)(photos, training=False), photos)


def test_in_training_every_photo_changes_and_stays_a_photo(photos):
    changed = np.asarray(Augmentation(1.0, seed=0)(photos, training=True))
    assert changed.shape == photos.shape
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert (np.abs(changed - photos).mean(axis=(1, 2, 3)) > 5).all()


def test_without_strength_photos_are_only_mirrored(photos):
    many = np.tile(photos, (8, 1, 1, 1))
    changed = np.asarray(Augmentation(0.0, seed=0)(many, training=True))
    mirrored = 0
    for before, after in zip(many, changed, strict=True):
        same, flipped = (np.abs(after - each).mean() for each in (before, before[:, ::-1]))
        assert min(same, flipped) < 0.01
        mirrored += flipped < same
    assert 0 < mirrored < len(many)


def test_the_same_seed_changes_photos_in_the_same_way(photos):
    first, second, other = (np.asarray(Augmentation(1.0, seed)(photos, training=True)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).mean() > 1
