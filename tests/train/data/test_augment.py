"""Augmentation changes photos only as a camera, a hand or an app does, and knows where the cat went."""

import dataclasses

import numpy as np
import pytest

from train.data.augment import UNKNOWN, Example, Size, photometric, view

SIDE, CELLS = 64, 4
SIZE = Size(SIDE, CELLS)
NONE = np.zeros((0, 4), np.float32)
RED, GREY = (230, 30, 30), (90, 90, 90)


def gradient():
    levels = np.linspace(40, 210, SIDE)
    rows, columns = np.meshgrid(levels, levels, indexing="ij")
    return np.stack([rows, columns, (rows + columns) / 2], axis=2).astype(np.uint8)


def red_cat(box):
    """A grey photo, red where its one box is."""
    side = 200
    pixels = np.full((side, side, 3), GREY, np.uint8)
    left, top, right, bottom = (round(side * each) for each in box)
    pixels[top:bottom, left:right] = RED
    return Example(pixels, True, np.array([box], np.float32))


def scene():
    return np.full((SIDE, SIDE, 3), 128, np.uint8)


def views(example, strength, count):
    return [view(example, SIZE, strength, np.random.default_rng(seed), scene) for seed in range(count)]


def test_strength_0_changes_left_and_right_only():
    photo = gradient()
    seen = [each.pixels.astype(int) for each in views(Example(photo, False, NONE), 0.0, 20)]
    kept = [np.abs(each - photo).max() <= 2 for each in seen]
    mirrored = [np.abs(each - photo[:, ::-1]).max() <= 2 for each in seen]
    assert all(a != b for a, b in zip(kept, mirrored, strict=True))
    assert any(kept)
    assert any(mirrored)


def test_full_strength_changes_every_photo_its_own_way_and_keeps_its_form():
    seen = [each.pixels for each in views(Example(gradient(), False, NONE), 1.0, 100)]
    assert {(each.shape, each.dtype) for each in seen} == {((SIDE, SIDE, 3), np.dtype(np.uint8))}
    assert len({each.tobytes() for each in seen}) == 100


def test_the_same_random_state_gives_the_same_view():
    example = red_cat((0.3, 0.2, 0.7, 0.6))
    first, second = (view(example, SIZE, 1.0, np.random.default_rng(5), scene) for _ in range(2))
    for one, other in zip(dataclasses.astuple(first), dataclasses.astuple(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_weaker_augmentation_changes_less():
    photo = gradient()

    def change(strength):
        made = [each.pixels.astype(float) for each in views(Example(photo, False, NONE), strength, 60)]
        return np.mean([min(np.abs(m - p).mean() for p in (photo, photo[:, ::-1])) for m in made])

    assert change(0.2) < 0.6 * change(1.0)


def test_cells_say_where_the_red_cat_went():
    agree = []
    for made in views(red_cat((0.3, 0.2, 0.7, 0.6)), 0.8, 200):
        red = made.pixels[..., 0].astype(float) - made.pixels[..., 1:].mean(axis=2)
        of_cell = red.reshape(CELLS, SIDE // CELLS, CELLS, SIDE // CELLS).mean(axis=(1, 3))
        if (made.cells == 1).any() and (made.cells == 0).any():
            agree.append(of_cell[made.cells == 1].mean() > of_cell[made.cells == 0].mean())
    assert len(agree) > 100
    assert np.mean(agree) > 0.93  # a few lose their colour


def test_a_crop_that_lost_the_cat_is_a_negative_and_one_that_cut_it_teaches_nothing():
    made = views(red_cat((0.02, 0.02, 0.2, 0.2)), 1.0, 400)
    lost = [each for each in made if each.label == 0]
    assert 20 < len(lost) < 200
    assert all((each.cells <= 0).all() for each in lost)
    cut = [each for each in made if each.weight == 0]
    assert 5 < len(cut) < 100
    assert all(each.label == 1 for each in cut)
    red = [(each.pixels[..., 0].astype(int) - each.pixels[..., 1] > 80).mean() for each in lost]
    assert np.median(red) == 0


def test_half_of_the_near_views_are_centred_on_a_box():
    box = (0.05, 0.05, 0.15, 0.15)
    small, middle = views(red_cat(box), 1.0, 300), views(red_cat((0.45, 0.45, 0.55, 0.55)), 1.0, 300)
    # Random crops would lose a small cat in a corner most of the time.
    assert np.mean([each.label for each in small]) > 0.6
    assert np.mean([each.label for each in middle]) > 0.8


def test_a_cat_without_boxes_stays_a_cat_and_its_cells_are_unknown():
    for each in views(Example(gradient(), True, NONE), 1.0, 50):
        assert (each.label, each.weight) == (1.0, 1.0)
        assert (each.cells == UNKNOWN).all()


def test_without_a_cat_all_cells_show_none_and_some_frames_are_of_nobody():
    made = views(Example(gradient(), False, NONE), 1.0, 300)
    assert all(each.label == 0 and (each.cells == 0).all() for each in made)
    flat = [each for each in made if each.pixels.reshape(-1, 3).std(axis=0).max() < 12]
    assert 1 <= len(flat) < 60


def test_a_cell_that_a_cat_only_just_reaches_into_teaches_nothing():
    (made,) = views(red_cat((0.0, 0.0, 1.0, 0.30)), 0.0, 1)
    assert made.cells[0].tolist() == [1.0] * CELLS
    assert made.cells[1].tolist() == [UNKNOWN] * CELLS
    assert (made.cells[2:] == 0).all()


def test_some_photos_become_small_parts_of_another_scene():
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    example = Example(np.zeros((SIDE, SIDE, 3), np.uint8), False, NONE)
    made = [view(example, SIZE, 0.99, np.random.default_rng(seed), lambda: white) for seed in range(200)]
    framed = [each for each in made if each.pixels[0].mean() > 60 and each.pixels[32, 32].mean() < 60]
    assert 5 < len(framed) < 100


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_light_and_colours_leave_the_form(strength):
    for seed in range(40):
        made = photometric(gradient(), strength, np.random.default_rng(seed))
        assert (made.shape, made.dtype) == ((SIDE, SIDE, 3), np.dtype(np.uint8))
