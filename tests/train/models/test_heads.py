"""The network: its outputs agree with each other, its weights come and go, at any side."""

import csv
import dataclasses

import keras
import numpy as np
import pytest

from cat_model.photo import decode, resize
from train.config import TrainConfig, TrainError
from train.models import heads

SIDE = 64


def tiny(side=SIDE):
    """A model with heads that are not as they were built."""
    keras.utils.set_random_seed(0)
    model, _ = heads.build(TrainConfig(backbone="tiny", side=side))
    slopes, _ = model.head.get()
    model.head.set(np.random.default_rng(0).normal(0, 0.5, slopes.shape).astype(np.float32), 0.25)
    return model


@pytest.fixture(scope="module")
def model():
    return tiny()


def photos(side=SIDE):
    """A dark one, a brighter one and a bright one."""
    noise = np.random.default_rng(1).uniform(0.5, 1, (3, side, side, 3))
    return (noise * np.array([40, 120, 250]).reshape(3, 1, 1, 1)).astype(np.uint8)


def logits(model, pixels):
    probability = model.served.predict(pixels, verbose=0)["probability"].reshape(-1).astype(np.float64)
    return np.log(probability / (1 - probability))


def test_the_outputs_have_their_shapes(model):
    said = model.served.predict(photos(), verbose=0)
    assert {name: value.shape for name, value in said.items()} == {
        "probability": (3, 1, 1, 1),
        "embedding": (3, 1, 1, 65),
        "share": (3, 4, 4, 1),
        "cat_map": (3, 4, 4, 1),
    }


def test_the_attributions_sum_to_the_logit(model):
    shares = model.served.predict(photos(), verbose=0)["share"]
    np.testing.assert_allclose(shares.sum(axis=(1, 2, 3)), logits(model, photos()), atol=1e-4)


def test_the_head_is_linear_in_the_embedding(model):
    slopes, bias = model.head.get()
    np.testing.assert_allclose(model.embed(photos(), 3) @ slopes + bias, logits(model, photos()), atol=1e-4)


def test_the_last_number_of_the_embedding_is_the_maps_maximum(model):
    said = model.served.predict(photos(), verbose=0)
    np.testing.assert_allclose(
        said["embedding"][..., -1].ravel(), said["cat_map"].max(axis=(1, 2, 3)) * heads.MAP_SCALE, rtol=1e-5
    )


def test_the_trainer_says_what_is_served(model):
    said = model.trainer(dropout=0.0).predict(photos(), verbose=0)
    np.testing.assert_allclose(said[heads.LOGIT].ravel(), logits(model, photos()), atol=1e-4)
    served = model.served.predict(photos(), verbose=0)["cat_map"]
    np.testing.assert_allclose(said[heads.CAT_MAP], served[..., 0], atol=1e-5)


@pytest.mark.parametrize("side", [32, SIDE, 96])
def test_at_another_side_the_weights_are_the_same(model, side):
    other = heads.at_side(model, side)
    assert other.served.input_shape == (None, side, side, 3)
    for one, two in zip(model.served.get_weights(), other.served.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert other.embed(photos(side), 3).shape == (3, model.head.get()[0].size)
    if side == SIDE:
        np.testing.assert_allclose(logits(other, photos()), logits(model, photos()), atol=1e-5)


def test_a_saved_model_comes_back_whole(model, tmp_path):
    model.served.save(tmp_path / "model.keras")
    loaded = heads.load(tmp_path / "model.keras")
    assert (loaded.scale, loaded.offset) == (model.scale, model.offset)
    np.testing.assert_allclose(logits(loaded, photos()), logits(model, photos()), atol=1e-5)
    np.testing.assert_array_equal(loaded.head.get()[0], model.head.get()[0])


def test_weights_are_written_and_read_by_name(model, tmp_path):
    heads.save_npz(model, tmp_path / "w.npz")
    keras.utils.set_random_seed(1)
    other, _ = heads.build(TrainConfig(backbone="tiny", side=SIDE))
    assert np.abs(logits(other, photos()) - logits(model, photos())).max() > 0.05
    heads.load_npz(other, tmp_path / "w.npz")
    np.testing.assert_allclose(logits(other, photos()), logits(model, photos()), atol=0.01)  # float16


def test_weights_that_do_not_fit_are_refused_in_words(model, tmp_path):
    file = tmp_path / "w.npz"
    heads.save_npz(model, file)
    with np.load(file) as stored:
        tensors = dict(stored)
    np.savez(file, **{name: value for name, value in tensors.items() if name != "head.a"})
    with pytest.raises(TrainError, match=r"lack 'head\.a'"):
        heads.load_npz(model, file)
    np.savez(file, **{**tensors, "head.fc.weight": np.zeros((1, 5))})
    with pytest.raises(TrainError, match="takes 6 features"):
        heads.load_npz(model, file)
    file.write_bytes(b"no weights")
    with pytest.raises(TrainError, match=r"w\.npz cannot be read"):
        heads.load_npz(model, file)


def test_a_backbone_or_a_side_that_does_not_exist_is_refused():
    with pytest.raises(TrainError, match="choose one of efficientnet_lite0"):
        heads.build(TrainConfig(backbone="resnet"))
    with pytest.raises(TrainError, match="multiple of 32"):
        heads.build(TrainConfig(backbone="tiny", side=100))


def test_weights_of_a_pytorch_training_give_its_logits_and_maps(shared_part):
    """Padding, normalisation and upsampling are as in PyTorch, where the weights come from."""
    model, _ = heads.build(TrainConfig(), pretrained=False)
    heads.load_npz(model, shared_part("weights/lab_cat_lite0_256.npz"))
    with shared_part("lab/lab_logits.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    pixels = np.stack([resize(decode(shared_part(f"photos/{row['photo']}")), 256) for row in rows])
    expected = np.array([[float(row["logit"]), float(row["map_max"])] for row in rows])
    maps = model.served.predict(pixels, verbose=0)["cat_map"][..., 0]
    np.testing.assert_allclose(logits(model, pixels), expected[:, 0], atol=0.02)
    np.testing.assert_allclose(maps.max(axis=(1, 2)), expected[:, 1], atol=0.02)
    peaks = [np.unravel_index(each.argmax(), each.shape) for each in maps]
    assert [(int(y), int(x)) for y, x in peaks] == [
        (int(row["map_row"]), int(row["map_column"])) for row in rows
    ]


def test_a_model_without_a_cat_map_cannot_be_trained(model):
    without = dataclasses.replace(model, head=heads.Head(model.head.mean, None))
    with pytest.raises(TrainError, match="no cat map"):
        without.trainer(0.0)
