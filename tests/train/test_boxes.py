"""Boxes say where cats are, and go with the photo through the augmentation."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from train import __main__ as train_line
from train import boxes
from train.augment import augment, follow
from train.batches import Batches, Examples
from train.config import TrainConfig, TrainError, read_config
from train.looks import PhotoRecord

LINES = "file,animal,x0,y0,x1,y1\nphotos/cat/a.jpg,cat,0.5,0.0,1.0,0.5\nphotos/cat/a.jpg,dog,0,0.5,0.5,1\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text(LINES)
    return path


def record(path):
    told = dict.fromkeys(("sha256", "phash", "mirrored", "family"), "")
    return PhotoRecord(path, path.split("/")[0], bytes=1, width=1, height=1, split="train", **told)


def test_cats_are_drawn_where_their_boxes_are_and_nowhere_else(file, tmp_path):
    records = [record("cat/a.jpg"), record("cat/b.jpg"), record("dog/a.jpg")]
    pictures, known = boxes.draw(tmp_path / "photos", records, boxes.read(file))
    half = boxes.SIDE // 2
    assert (pictures[0, :half, half:] == 255).all()
    assert pictures[0].sum() == pictures[0, :half, half:].sum()
    assert not pictures[1:].any()
    assert known.tolist() == [True, False, True]


@pytest.mark.parametrize(
    "line", ["a.jpg,cat,0.5,0,0.2,1", "a.jpg,cat,0,0,1.5,1", "a.jpg,cat,x,0,1,1", "a.jpg"]
)
def test_a_line_that_holds_no_box_is_refused_in_words(file, line):
    file.write_text(f"{LINES}{line}\n")
    with pytest.raises(TrainError, match=r"boxes\.csv cannot be read"):
        boxes.read(file)


@pytest.mark.parametrize(
    "values",
    [
        {"strongest": False, "mixup": 0.0},
        {"strongest": True, "mixup": 0.2},
        {"strongest": True, "mixup": 0.0, "backbone": "mobilenet_v2_openimages"},
    ],
)
@pytest.mark.parametrize("command", ["run", "tune"])
def test_boxes_for_a_recipe_that_they_cannot_teach_are_refused_in_words(
    file, tmp_path, capsys, command, values
):
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"config": values}))
    given = {"--photos": tmp_path, "--boxes": file, "--config": recipe, "--out": tmp_path / "runs"}
    assert train_line.main([command, *(str(word) for pair in given.items() for word in pair)]) == 1
    assert "strongest and without mixup" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_boxes_are_of_use_to_the_shipped_recipe():
    boxes.require_use(TrainConfig(**read_config(Path(train_line.__file__).with_name("recipe.json"))))


def test_a_place_moves_as_the_photo_does():
    """What is red in the photo is what the picture says, wherever augmentation puts it."""
    side, strength = 64, 0.9
    photo = np.zeros((side, side, 3), np.uint8)
    photo[8:40, 24:60] = (255, 0, 0)
    picture = np.where(photo[..., 0] > 0, 255, 0).astype(np.uint8)
    agree, moved = [], 0
    for seed in range(200):

        def scene(lot):
            lot.random()
            return np.zeros((side, side, 3), np.uint8)

        lots = [np.random.default_rng(seed) for _ in range(2)]
        changed = augment(photo, strength, lots[0], lambda lot=lots[0]: scene(lot)).astype(int)
        followed = follow(picture, strength, lots[1], lambda lot=lots[1]: scene(lot)) > 127
        moved += bool((followed != (picture > 0)).mean() > 0.1)
        red = changed[..., 0] - changed[..., 1:].mean(axis=2)
        if followed.any() and not followed.all():
            agree.append(red[followed].mean() > red[~followed].mean())
    assert moved > 60
    assert np.mean(agree) > 0.98


def test_where_nothing_but_a_blur_surrounds_a_photo_there_is_no_cat():
    picture = np.zeros((boxes.SIDE, boxes.SIDE), np.uint8)
    picture[19:45, 19:45] = 255
    covered = [
        (
            follow(picture, 1.0, np.random.default_rng(seed), lambda: np.zeros((64, 64, 3), np.uint8)) > 127
        ).mean()
        for seed in range(200)
    ]
    assert min(covered) < 0.05
    assert max(covered) < 0.165 * 1.25 / 0.36  # squeezed by a fifth, and a crop to 0.6 of each side


def test_cells_learn_of_cats_with_boxes_and_of_photos_without_cats_alone():
    config = TrainConfig(backbone="tiny", side=32, augmentation=0.0, mixup=0.0, batch=4)
    places = np.zeros((4, boxes.SIDE, boxes.SIDE), np.uint8)
    places[:, : boxes.SIDE // 2] = 255
    examples = Examples(
        np.zeros((4, 32, 32, 3), np.uint8),
        np.array([1, 1, 0, 0], np.float32),
        places,
        np.array([1, 0, 1, 1]) > 0,
    )
    batches = Batches(examples, config, 0, grid=4)
    order, (_, taught) = batches.order.tolist(), batches[0]
    cells = dict(zip(order, taught["cells"], strict=True))
    np.testing.assert_array_equal(taught["logit"], examples.labels[order])
    np.testing.assert_array_equal(cells[0], np.repeat([1.0, 1.0, 0.0, 0.0], 4).reshape(4, 4))
    assert (cells[1] == boxes.UNKNOWN).all()
    assert (cells[2] == 0).all() and (cells[3] == 0).all()
    blended = Batches(examples, dataclasses.replace(config, mixup=0.3), 0, grid=4)[0][1]["cells"]
    assert (blended == boxes.UNKNOWN).all()


def test_a_cell_that_a_cat_only_just_reaches_into_teaches_nothing():
    assert boxes.targets(np.array([0.0, 0.2, 0.9])).tolist() == [0.0, boxes.UNKNOWN, 1.0]
