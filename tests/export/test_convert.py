"""The int8 file says what the Keras model says, and takes raw pixels with the right normalisation."""

from contextlib import nullcontext

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import export.convert
from cat_model.runtime import Runtime
from export.convert import ExportError, convert
from tests import generated_photos
from train.config import TrainConfig
from train.models import heads

SIDE = 64


@pytest.fixture(scope="module")
def pixels():
    generator = np.random.default_rng(4)
    groups = generated_photos.GROUPS * 16
    return np.stack([np.asarray(generated_photos.draw(group, generator, SIDE)) for group in groups])


@pytest.fixture(scope="module")
def keras_model():
    keras.utils.set_random_seed(0)
    model, _ = heads.build(TrainConfig(backbone="tiny", side=SIDE))
    slopes, _ = model.head.get()
    model.head.set(np.random.default_rng(0).normal(0, 0.5, slopes.shape).astype(np.float32), 0.25)
    return model


@pytest.fixture(scope="module")
def converted(keras_model, pixels):
    return convert(keras_model, pixels, seed=0)


def test_it_says_what_keras_says(keras_model, converted, pixels):
    answer = Runtime(converted).run(pixels)
    expected = keras_model.served.predict(pixels, verbose=0)
    np.testing.assert_allclose(answer.probability, expected["probability"].reshape(-1), atol=0.02)
    spread = expected["embedding"].std()
    error = answer.embedding - expected["embedding"].reshape(answer.embedding.shape)
    assert np.abs(error).mean() < 0.1 * spread
    assert np.corrcoef(answer.share.ravel(), expected["share"].ravel())[0, 1] > 0.99
    assert np.corrcoef(answer.cat_map.ravel(), expected["cat_map"].ravel())[0, 1] > 0.99


def test_the_same_seed_gives_the_same_file(keras_model, converted, pixels):
    again = Runtime(convert(keras_model, pixels, seed=0)).run(pixels)
    np.testing.assert_array_equal(again.probability, Runtime(converted).run(pixels).probability)


def test_another_normalisation_than_the_trained_one_is_refused(keras_model, monkeypatch, pixels):
    monkeypatch.setattr(
        export.convert, "_calibration", lambda *_: ([np.zeros((1, SIDE, SIDE, 3), "f")] for _ in "ab")
    )
    with pytest.raises(ExportError, match="grey levels"):
        convert(keras_model, pixels, seed=0)


def test_grey_photos_leave_room_for_black_and_white(keras_model, pixels):
    """What measures the ranges holds neither; a photo that the app is shown may."""
    converted = convert(keras_model, 100 + pixels // 8, seed=0)
    (photo,) = Interpreter(model_content=converted).get_input_details()
    scale, zero = photo["quantization"]
    assert scale == pytest.approx(keras_model.scale, rel=1e-3)
    assert zero == pytest.approx(-keras_model.offset / keras_model.scale, abs=0.51)


@pytest.mark.parametrize(("white", "refused"), [(254.0, False), (253.9, True)])
def test_the_normalisation_may_be_off_by_less_than_a_grey_level(
    keras_model, pixels, white, refused, monkeypatch
):
    """Half a level is due to the zero point, which is whole; there it goes to the next number."""
    extremes = np.zeros((1, SIDE, SIDE, 3), "f") + keras_model.offset
    extremes[:, ::2] += white * keras_model.scale
    monkeypatch.setattr(export.convert, "_calibration", lambda *_: iter([[extremes], [extremes]]))
    with pytest.raises(ExportError, match=r"off by 1\.5") if refused else nullcontext():
        convert(keras_model, pixels, seed=0)
