"""Post-training full-integer quantisation: Keras to an int8 TFLite file, uint8 RGB in, named outputs out."""

import tempfile
from collections.abc import Iterator

import keras
import numpy as np

from export.bias_correction import corrected
from train.data.dataset import Pixels
from train.models.heads import CatModel, outputs

CALIBRATION_PHOTOS = 400
BATCH = 16


class ExportError(Exception):
    """A model cannot be exported; the message says why."""


def convert(model: CatModel, pixels: np.ndarray | Pixels, seed: int) -> bytes:
    """Quantise a model to int8 weights and activations.

    The normalisation costs nothing at run time: it becomes the scale and zero point of the uint8 input.

    Args:
        model: a trained model.
        pixels: training photos, (N, side, side, 3), uint8, to measure activations' ranges and means with.
        seed: of the draw of the photos that are used.

    Returns:
        The bytes of the .tflite file; its input is uint8 (1, side, side, 3), its outputs are float32.

    Raises:
        ExportError: the converter found another normalisation than the model was trained with.
    """
    import tensorflow as tf

    photos = _normalised(model, _some(pixels, seed))
    features = corrected(model.features, photos, BATCH)
    normalised = keras.Input(model.served.input_shape[1:], name="photo")
    top, cat_map = features(normalised)
    served = keras.Model(normalised, outputs(top, cat_map, model.head))
    with tempfile.TemporaryDirectory() as folder:
        served.export(folder, format="tf_saved_model", verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: _calibration(model, photos)
        converter.inference_input_type = tf.uint8
        converted = converter.convert()
    _check_input(converted, model)
    return converted


def _some(pixels: np.ndarray | Pixels, seed: int) -> np.ndarray:
    chosen = np.random.default_rng(seed).permutation(len(pixels))[:CALIBRATION_PHOTOS]
    return pixels[np.sort(chosen)]


def _normalised(model: CatModel, pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) * model.scale + model.offset


def _calibration(model: CatModel, photos: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yield one normalised photo at a time; first one of black and white, so that the range is whole."""
    extremes = np.zeros((1, *photos.shape[1:]), np.uint8)
    extremes[:, ::2] = 255
    yield [_normalised(model, extremes)]
    for photo in photos:
        yield [photo[None]]


def _check_input(converted: bytes, model: CatModel) -> None:
    from ai_edge_litert.interpreter import Interpreter

    (photo,) = Interpreter(model_content=converted).get_input_details()
    scale, zero = photo["quantization"]
    levels = np.array([0, 255])
    wrong = np.abs((levels - zero) * scale - (levels * model.scale + model.offset)).max() / model.scale
    if photo["dtype"] != np.uint8 or wrong > 0.75:
        raise ExportError(
            f"The converted input is off by {wrong:.2f} grey levels (scale {scale}, zero point {zero})."
        )
