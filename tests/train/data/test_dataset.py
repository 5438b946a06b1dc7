"""Pixels are those that are served, decoded once and kept by content; boxes are read or refused in words."""

import json

import numpy as np
import pytest

from cat_model.photo import DECODE_VERSION, decode, resize
from tests import generated_photos
from train.config import TrainError
from train.data import dataset, manifest
from train.data.dataset import Examples, boxes_of, pixels, read_boxes

LINES = "file,animal,x0,y0,x1,y1\nphotos/cat/a.jpg,cat,0.5,0.0,1.0,0.5\nphotos/cat/a.jpg,dog,0,0.5,0.5,1\n"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return generated_photos.write(tmp_path_factory.mktemp("photos"), 5)


@pytest.fixture(scope="module")
def records(photos):
    return manifest.scan(photos)[0]


def test_pixels_are_the_served_ones_and_are_decoded_once(photos, records, tmp_path, monkeypatch):
    first = pixels(photos, records, 48, tmp_path)
    assert len(first) == len(records) == 20
    np.testing.assert_array_equal(first[7], resize(decode(photos / records[7].path), 48))
    monkeypatch.setattr(dataset, "decode", lambda *_: pytest.fail("decoded again"))
    np.testing.assert_array_equal(pixels(photos, records, 48, tmp_path)[:], first[:])
    backwards = pixels(photos, records[::-1], 48, tmp_path)
    np.testing.assert_array_equal(backwards[np.array([0, 3])], first[np.array([19, 16])])


def test_added_photos_are_added_to_the_file(photos, records, tmp_path):
    few = pixels(photos, records[:3], 48, tmp_path)[:]
    (file,) = tmp_path.glob("*.u8")
    assert f"v{DECODE_VERSION}" in file.name
    before = file.read_bytes()
    both = pixels(photos, records, 48, tmp_path)
    assert file.read_bytes()[: len(before)] == before
    np.testing.assert_array_equal(both[:3], few)


def test_stopped_in_between_it_goes_on_after_the_last_chunk(photos, records, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "CHUNK", 4)
    read, seen = dataset._read, []

    def stopped(root, record, side):
        seen.append(record.path)
        if len(seen) == 10:
            raise KeyboardInterrupt
        return read(root, record, side)

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "_read", stopped)
        with pytest.raises(KeyboardInterrupt):
            pixels(photos, records, 48, tmp_path)
    (index,) = tmp_path.glob("*.json")
    assert len(json.loads(index.read_text())) == 8
    whole = pixels(photos, records, 48, tmp_path)
    np.testing.assert_array_equal(whole[11], resize(decode(photos / records[11].path), 48))


def test_a_photo_that_is_gone_is_named(records, tmp_path):
    with pytest.raises(TrainError, match=r"cat/.*has changed: There is no such file"):
        pixels(tmp_path / "elsewhere", records[:3], 48, tmp_path)
    assert not list(tmp_path.glob("*.json"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text(LINES)
    return path


def test_boxes_are_those_of_the_photos_cats_alone(file, tmp_path, records):
    import dataclasses

    cat, dog = (
        dataclasses.replace(records[0], path=path, group=path[:3]) for path in ("cat/a.jpg", "dog/a.jpg")
    )
    found = boxes_of(tmp_path / "photos", [cat, dog], read_boxes(file))
    np.testing.assert_allclose(found[0], [[0.5, 0.0, 1.0, 0.5]])
    assert found[1].shape == (0, 4)


@pytest.mark.parametrize(
    "line", ["a.jpg,cat,0.5,0,0.2,1", "a.jpg,cat,0,0,1.5,1", "a.jpg,cat,x,0,1,1", "a.jpg"]
)
def test_a_line_that_holds_no_box_is_refused_in_words(file, line):
    file.write_text(f"{LINES}{line}\n")
    with pytest.raises(TrainError, match=r"boxes\.csv cannot be read"):
        read_boxes(file)


def test_an_example_has_its_pixels_its_label_and_its_boxes(photos, records, tmp_path):
    stored = pixels(photos, records, 32, tmp_path)
    labels = np.array([record.is_cat for record in records])
    boxes = [np.zeros((0, 4), np.float32)] * len(records)
    example = Examples(stored, labels, boxes)[int(labels.argmax())]
    assert example.is_cat
    assert example.pixels.shape == (32, 32, 3)
    assert example.boxes.shape == (0, 4)
