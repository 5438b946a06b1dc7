"""A backbone that has learnt to find animals in whole scenes, out of a detector trained on Open Images.

MediaPipe's Objectron brings a small detector (SSD, W. Liu et al., 2016, on MobileNetV2; Google, Apache-2.0)
that was trained on the boxes of Open Images V4, cats among them. What is kept of it: the backbone, its
feature maps of four scales, and at each of their cells the evidence that a box there holds a cat. The
boxes, the other classes and the two coarsest scales are left out.

    npm pack @mediapipe/objectron@0.4.1675468480
    python -m train weights mediapipe-objectron-0.4.1675468480.tgz
"""

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from train.config import TrainError

ASSETS, INDEX = "objectron_solution_packed_assets.data", "objectron_solution_packed_assets_loader.js"
DETECTOR = "object_detection_ssd_mobilenetv2_oidv4_fp16.tflite"
SIDE = 300
CLASSES, CAT = 24, 8
"""How many classes the detector knows, and which of them is the cat."""
SCALES = (("block_13_expand_relu", 3), ("out_relu", 6), ("scale_2_relu", 6), ("scale_3_relu", 6))
"""Layers with the feature maps, finest first, and the boxes that each of their cells judges."""
RANK = 160
"""Rank that the largest convolution is cut down to: it would not fit into the size the model may have."""
AGAINST = 6.0
"""Evidence is a box's logit plus this, from 0: a logit this far below zero says nothing of a cat."""


@dataclass(frozen=True)
class Convolution:
    """One convolution of the detector: kernel (height, width, in, out) and bias (out,), float32."""

    kernel: np.ndarray
    bias: np.ndarray


def features(side: int) -> keras.Model:
    """Return the detector's part that is kept, without weights.

    Args:
        side: pixels of each side of the input, a multiple of 32.

    Returns:
        Normalised pixels (N, side, side, 3) to the feature map (N, side / 32, side / 32, 1280) and the
        strongest evidence for a cat at each cell (N, side / 32, side / 32, 1), from 0.
    """
    backbone = keras.applications.MobileNetV2((side, side, 3), include_top=False, weights=None)
    cells = backbone.get_layer("out_relu").output
    scale_2 = _coarser(cells, 256, 512, "scale_2", RANK)
    scale_3 = _coarser(scale_2, 128, 256, "scale_3", None)
    maps = [backbone.get_layer("block_13_expand_relu").output, cells, scale_2, scale_3]
    found = [
        _evidence(each, boxes, cells, f"evidence_{number}")
        for number, (each, (_, boxes)) in enumerate(zip(maps, SCALES, strict=True))
    ]
    return keras.Model(backbone.input, [cells, layers.Maximum(name="evidence")(found)], name="features")


def _coarser(
    cells: keras.KerasTensor, squeezed: int, filters: int, name: str, rank: int | None
) -> keras.KerasTensor:
    """Return a feature map of half the height and width."""
    cells = layers.ReLU(6.0)(layers.Conv2D(squeezed, 1, name=f"{name}_squeeze")(cells))
    if rank is not None:
        cells = layers.Conv2D(rank, 3, 2, "same", use_bias=False, name=f"{name}_reduce")(cells)
        cells = layers.Conv2D(filters, 1, name=name)(cells)
    else:
        cells = layers.Conv2D(filters, 3, 2, "same", name=name)(cells)
    return layers.ReLU(6.0, name=f"{name}_relu")(cells)


def _evidence(cells: keras.KerasTensor, boxes: int, grid: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Return the strongest evidence among a cell's boxes, on the grid of another feature map."""
    found = layers.ReLU()(layers.Conv2D(boxes, 1, name=name)(cells))
    return _OnGrid()([_Strongest()(found), grid])


@keras.saving.register_keras_serializable("cat")
class _Strongest(layers.Layer):
    """The largest of the channels, (N, H, W, C) to (N, H, W, 1)."""

    def call(self, cells: keras.KerasTensor) -> keras.KerasTensor:
        return keras.ops.max(cells, axis=3, keepdims=True)


@keras.saving.register_keras_serializable("cat")
class _OnGrid(layers.Layer):
    """The first map on the grid of the second, whose size no layer keeps: a clone may see another."""

    def call(self, maps: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        found, grid = maps
        if found.shape[1] > grid.shape[1]:
            found = keras.ops.max_pool(found, 2, padding="same")
        if found.shape[1] == grid.shape[1]:
            return found
        return keras.ops.image.resize(found, grid.shape[1:3], interpolation="nearest")


def extract(package: Path, out: Path) -> None:
    """Write the weights of `features` out of the detector's package.

    Args:
        package: the npm package @mediapipe/objectron, as `npm pack` saves it.
        out: file to write; its name ends in .weights.h5.

    Raises:
        TrainError: the package does not hold the detector, or `out` cannot be written.
    """
    kept = features(320)
    _fill(kept, _convolutions(_detector(package)))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        kept.save_weights(out)
    except (OSError, ValueError) as error:
        raise TrainError(f"The weights cannot be written to {out}: {error}") from error


def _detector(package: Path) -> bytes:
    """Cut the detector's .tflite out of the package's assets; their loader says where it lies."""
    try:
        with tarfile.open(package) as archive:
            assets, index = (_member(archive, f"package/{name}") for name in (ASSETS, INDEX))
    except (OSError, KeyError, tarfile.TarError) as error:
        raise TrainError(f"{package} is not the npm package @mediapipe/objectron: {error}") from error
    loader = index.decode("utf-8", "replace")
    start = loader.find('{"files"')
    try:
        files = json.JSONDecoder().raw_decode(loader[max(start, 0) :])[0]["files"]
        place = next(each for each in files if each["filename"].endswith(DETECTOR))
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise TrainError(f"{package} does not hold {DETECTOR}; another version of it may.") from error
    return assets[place["start"] : place["end"]]


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def _convolutions(detector: bytes) -> list[Convolution]:
    """Return every convolution in the order they run."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=detector, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    operations: list[dict[str, Any]] = interpreter._get_ops_details()
    halves = {op["outputs"][0]: op["inputs"][0] for op in operations if op["op_name"] == "DEQUANTIZE"}

    def constant(index: int) -> np.ndarray:
        return interpreter.get_tensor(halves[index]).astype(np.float32)

    return [
        Convolution(constant(op["inputs"][1]).transpose(1, 2, 3, 0), constant(op["inputs"][2]))
        for op in operations
        if op["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D")
    ]


def _fill(kept: keras.Model, convolutions: Sequence[Convolution]) -> None:
    """Copy each convolution, in order; the detector's others have other shapes."""
    rest = iter(convolutions)
    for layer in kept.layers:
        if isinstance(layer, layers.BatchNormalization):
            continue
        if layer.name.startswith(("scale", "evidence")) or not layer.weights:
            continue
        found = _next(rest, layer.kernel.shape)
        layer.set_weights([found.kernel])
        # The detector's batch norm is folded into its convolutions; what is left of it here is the bias.
        norm = next(n.operation for n in layer._outbound_nodes)
        none = np.zeros_like(found.bias)
        norm.set_weights([none + 1, found.bias, none, none + 1 - norm.epsilon])
    _fill_scales(kept, convolutions)


def _fill_scales(kept: keras.Model, convolutions: Sequence[Convolution]) -> None:
    rest = iter(convolutions)
    for name in ("scale_2", "scale_3"):
        squeeze, layer = kept.get_layer(f"{name}_squeeze"), kept.get_layer(name)
        found = _next(rest, squeeze.kernel.shape)
        squeeze.set_weights([found.kernel, found.bias])
        found = _next(rest, (3, 3, squeeze.filters, layer.filters))
        if name == "scale_2":
            reduce, expand = _cut(found.kernel)
            kept.get_layer("scale_2_reduce").set_weights([reduce])
            layer.set_weights([expand, found.bias])
        else:
            layer.set_weights([found.kernel, found.bias])
    for number, (_, boxes) in enumerate(SCALES):
        layer = kept.get_layer(f"evidence_{number}")
        found = _next(iter(convolutions), (1, 1, layer.kernel.shape[2], boxes * CLASSES))
        cat = slice(CAT, None, CLASSES)
        layer.set_weights([found.kernel[..., cat], found.bias[cat] + AGAINST])


def _next(convolutions: Iterator[Convolution], shape: tuple[int, ...]) -> Convolution:
    for each in convolutions:
        if each.kernel.shape == tuple(shape):
            return each
    raise TrainError(f"The detector has no convolution of shape {tuple(shape)}; another version of it may.")


def _cut(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split a 3 × 3 convolution into one with fewer filters and a 1 × 1 one, by singular values."""
    filters = kernel.shape[3]
    left, values, right = np.linalg.svd(kernel.reshape(-1, filters), full_matrices=False)
    root = np.sqrt(values[:RANK])
    reduce = (left[:, :RANK] * root).reshape(*kernel.shape[:3], RANK)
    return reduce, (root[:, None] * right[:RANK]).reshape(1, 1, RANK, filters)
