"""The int8 file says what the Keras model says, and takes raw pixels with the right normalisation."""

import numpy as np
import pytest

import export.convert
from cat_model.runtime import Runtime
from export.convert import ExportError, convert
from tests import generated_photos
from train import model

SIDE = 64


@pytest.fixture(scope="module")
def pixels():
    generator = np.random.default_rng(4)
    groups = generated_photos.GROUPS * 16
    return np.stack([np.asarray(generated_photos.draw(group, generator, SIDE)) for group in groups])


@pytest.fixture(scope="module")
def keras_model():
    return model.build("tiny", SIDE, None)


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


def test_the_same_seed_gives_the_same_file(keras_model, converted, pixels):
    again = Runtime(convert(keras_model, pixels, seed=0)).run(pixels)
    np.testing.assert_array_equal(again.probability, Runtime(converted).run(pixels).probability)


def test_another_normalisation_than_the_trained_one_is_refused(keras_model, monkeypatch, pixels):
    monkeypatch.setattr(
        export.convert, "_calibration", lambda *_: ([np.zeros((1, SIDE, SIDE, 3), "f")] for _ in "ab")
    )
    with pytest.raises(ExportError, match="grey levels"):
        convert(keras_model, pixels, seed=0)
