"""Rounded weights leave the channels' means where they were."""

import keras
import numpy as np
import pytest
from keras import layers

from export import bias_correction

CHANNELS = 24


@pytest.fixture
def inputs():
    return np.random.default_rng(1).uniform(0, 6, (8, 12, 12, 3)).astype(np.float32)


def network(batch_normalised: bool) -> keras.Model:
    keras.utils.set_random_seed(3)
    photo = keras.Input((12, 12, 3))
    cells = photo
    for wide in (layers.Conv2D, layers.DepthwiseConv2D, layers.Conv2D):
        kind = (
            {"kernel_size": 3} if wide is layers.DepthwiseConv2D else {"filters": CHANNELS, "kernel_size": 1}
        )
        cells = wide(use_bias=not batch_normalised, **kind)(cells)
        if batch_normalised:
            cells = layers.BatchNormalization()(cells)
        cells = layers.ReLU(6.0)(cells + 1.0)
    return keras.Model(photo, cells)


def rounded(model: keras.Model) -> keras.Model:
    """Return a copy with coarser weights than int8's, in 2 * LEVELS + 1 steps a channel."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer in copy.layers:
        if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            kernel, *bias = layer.get_weights()
            axes = (0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (0, 1, 2)
            step = np.abs(kernel).max(axis=axes, keepdims=True) / bias_correction.LEVELS
            layer.set_weights([np.round(kernel / step) * step, *bias])
    return copy


@pytest.mark.parametrize("batch_normalised", [True, False])
def test_means_stay_when_weights_are_rounded(monkeypatch, inputs, batch_normalised):
    monkeypatch.setattr(
        bias_correction, "LEVELS", 7
    )  # coarse, so that the shift stands out from what is left
    model = network(batch_normalised)

    def error(other: keras.Model) -> float:
        means = [each.predict(inputs, verbose=0).mean(axis=(0, 1, 2)) for each in (other, model)]
        return float(np.abs(means[0] - means[1]).mean())

    corrected = bias_correction.corrected(model, inputs, batch=4)
    assert error(rounded(corrected)) < 0.3 * error(rounded(model))


def test_the_model_itself_stays_as_it_is(inputs):
    model = network(batch_normalised=True)
    before = model.get_weights()
    bias_correction.corrected(model, inputs, batch=4)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_channel_of_zeros_has_no_shift():
    convolution = layers.Conv2D(2, 1)
    convolution.build((None, 4, 4, 3))
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    kernel[..., 1] = [[[0.3, 1.0, -0.5]]]
    convolution.set_weights([kernel, np.zeros(2, np.float32)])
    shift = bias_correction.shift(convolution, np.array([1.0, 2.0, 3.0]))
    assert shift[0] == 0
    assert 0 < abs(shift[1]) < 0.02
