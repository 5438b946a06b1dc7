"""Pretrained weights from a detector: MobileNetV2 as it sees cats anywhere in whole scenes.

MediaPipe's Objectron brings a small detector (an SSD on MobileNetV2, Google, Apache-2.0) that was trained on
the boxes of Open Images V4, cats and dogs among them.

    npm pack @mediapipe/objectron@0.4.1675468480
    python -m train weights mediapipe-objectron-0.4.1675468480.tgz
"""

import json
import tarfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from train.config import TrainError

ASSETS, INDEX = "objectron_solution_packed_assets.data", "objectron_solution_packed_assets_loader.js"
DETECTOR = "object_detection_ssd_mobilenetv2_oidv4_fp16.tflite"
SIDE = 300


def extract(package: Path, out: Path) -> None:
    """Write the detector's backbone as a file of weights of `keras.applications.MobileNetV2`.

    Args:
        package: the npm package @mediapipe/objectron, as `npm pack` saves it.
        out: file to write; its name ends in .weights.h5.

    Raises:
        TrainError: the package does not hold the detector, or `out` cannot be written.
    """
    detector = _detector(package)
    backbone = keras.applications.MobileNetV2((SIDE, SIDE, 3), include_top=False, weights=None)
    _fill(backbone, detector)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        backbone.save_weights(out)
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


def _fill(backbone: keras.Model, detector: bytes) -> None:
    """Copy each convolution, in order; the detector's other convolutions have other shapes."""
    convolutions = iter(_convolutions(detector))
    normalisation = {
        layer.input: layer for layer in backbone.layers if isinstance(layer, layers.BatchNormalization)
    }
    for layer in backbone.layers:
        if not isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            continue
        (shape,) = (weights.shape for weights in layer.get_weights())
        kernel, bias = next(((k, b) for k, b in convolutions if k.shape == shape), (None, None))
        if kernel is None:
            raise TrainError(f"The detector has no convolution of shape {shape} for {layer.name}.")
        layer.set_weights([kernel])
        # The detector's batch norm is folded into its convolutions; what is left of it here is the bias.
        norm = normalisation[layer.output]
        none = np.zeros_like(bias)
        norm.set_weights([none + 1, bias, none, none + 1 - norm.epsilon])


def _convolutions(detector: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return kernel and bias of every convolution in the order they run, as Keras lays them out."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=detector, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    operations: list[dict[str, Any]] = interpreter._get_ops_details()
    halves = {op["outputs"][0]: op["inputs"][0] for op in operations if op["op_name"] == "DEQUANTIZE"}

    def constant(index: int) -> np.ndarray:
        return interpreter.get_tensor(halves[index]).astype(np.float32)

    return [
        (constant(op["inputs"][1]).transpose(1, 2, 3, 0), constant(op["inputs"][2]))
        for op in operations
        if op["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D")
    ]
