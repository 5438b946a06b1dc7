"""The same weights serve photos of another size, whatever the backbone."""

import keras
import numpy as np
import pytest

from train import model, openimages

SIDE = 64


@pytest.fixture(params=["tiny", "tiny, strongest", "mobilenet_v2_openimages"])
def learned(request, tmp_path):
    """A model with a head that is not as it was built."""
    backbone, _, strongest = request.param.partition(", ")
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    weights = None
    if backbone != "tiny":
        weights = tmp_path / "backbone.weights.h5"
        features = openimages.features(SIDE)
        for layer in features.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                # As they are built they let next to nothing of a photo through so many layers.
                gamma, beta, mean, variance = layer.get_weights()
                layer.set_weights([gamma, beta, mean, variance / 10])
        features.save_weights(weights)
    built = model.build(backbone, SIDE, weights, bool(strongest))
    size = built.head.get()[0].shape
    built.head.set(generator.normal(0, 0.05, size).astype(np.float32), 0.25)
    return built


def photos(side):
    """A dark one, a brighter one and a bright one."""
    noise = np.random.default_rng(1).uniform(0.5, 1, (3, side, side, 3))
    return (noise * np.array([40, 120, 250]).reshape(3, 1, 1, 1)).astype(np.uint8)


def test_at_the_same_side_the_answers_are_the_same(learned):
    said = learned.served.predict(photos(SIDE), verbose=0)
    assert said["embedding"].std(axis=0).max() > 1e-3
    same = model.at_side(learned, SIDE).served.predict(photos(SIDE), verbose=0)
    for name, expected in said.items():
        np.testing.assert_allclose(same[name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("side", [32, 96, 112])
def test_at_another_side_the_weights_are_the_same(learned, side):
    other = model.at_side(learned, side)
    assert other.served.input_shape == (None, side, side, 3)
    for one, two in zip(learned.served.get_weights(), other.served.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert other.embed(photos(side), 3).shape == (3, learned.head.get()[0].size)
