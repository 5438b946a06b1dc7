"""Bias correction of int8 weights (M. Nagel et al., 2019): what rounding shifts on average is put back.

A weight's rounding error, times the mean of what it weighs, is a constant. After a ReLU6 means are large, and
over a hundred channels such constants add up to more than the answer hangs on (Data-Free Quantization
Through Weight Equalization and Bias Correction, 2019, section 4.2; here the means are measured).
"""

import keras
import numpy as np
from keras import layers

from train.models.heads import SILENT

LEVELS = 127
"""Steps from zero to a channel's largest weight: the converter rounds symmetrically, channel by channel."""


def corrected(features: keras.Model, inputs: np.ndarray, batch: int) -> keras.Model:
    """Return a copy of a network whose channels keep their means when its weights are rounded.

    Of a convolution that neither has a bias nor is followed by a batch normalisation, nothing is corrected.

    Args:
        features: the network; it stays as it is.
        inputs: photos as it takes them, (N, side, side, 3), float32, to measure the means with.
        batch: photos at a time.
    """
    copy = keras.models.clone_model(features)
    copy.set_weights(features.get_weights())
    convolutions = [each for each in copy.layers if type(each) in (layers.Conv2D, layers.DepthwiseConv2D)]
    means = {each.name: keras.ops.mean(each.input, axis=(1, 2)) for each in convolutions}
    measured = keras.Model(copy.inputs[0], means).predict(inputs, batch_size=batch, verbose=SILENT)
    for each in convolutions:
        _subtract(each, shift(each, measured[each.name].mean(axis=0)), copy)
    return copy


def shift(convolution: layers.Layer, means: np.ndarray) -> np.ndarray:
    """Return by how much rounding shifts a convolution's outputs, (D,), where its inputs' means are (C,)."""
    kernel = convolution.get_weights()[0]
    depthwise = isinstance(convolution, layers.DepthwiseConv2D)
    largest = np.abs(kernel).max(axis=(0, 1) if depthwise else (0, 1, 2), keepdims=True)
    step = np.where(largest > 0, largest, 1) / LEVELS
    error = (np.round(kernel / step) * step - kernel).sum(axis=(0, 1))
    return (error * means[:, None]).ravel() if depthwise else means @ error


def _subtract(convolution: layers.Layer, amount: np.ndarray, network: keras.Model) -> None:
    following = [
        each
        for each in network.layers
        if isinstance(each, layers.BatchNormalization) and each.input is convolution.output
    ]
    if convolution.use_bias:
        convolution.bias.assign_sub(amount)
    elif following:
        mean = following[0].moving_mean
        assert mean is not None  # the layer is built
        mean.assign_add(amount)
