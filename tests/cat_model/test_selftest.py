"""A model that does not answer its self-test as it did when it was exported is not served."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from cat_model import BundleError, Predictor, selftest
from cat_model.runtime import Runtime


@pytest.fixture(scope="module")
def recorded(predictor):
    return selftest.record(predictor.bundle.model)


def test_a_picture_is_the_same_on_every_machine():
    picture = selftest.draw(5, 224)
    assert (picture.shape, picture.dtype) == ((1, 224, 224, 3), np.uint8)
    assert hashlib.sha256(picture.tobytes()).hexdigest() == (
        "bd647f04c70dc23f479bdd8a766a701d863672781ae39aeb0cded12e2228b02f"
    )
    assert np.ptp(picture) > 150
    assert not np.array_equal(picture, selftest.draw(6, 224))


def test_what_is_recorded_is_spread_and_of_one_form(recorded):
    probabilities = [each.probability for each in recorded]
    assert probabilities == sorted(probabilities)
    assert len(recorded) == len({each.picture for each in recorded}) == selftest.PICTURES
    assert {len(each.embedding) for each in recorded} == {selftest.FEATURES}


def test_the_model_that_was_recorded_passes(predictor, recorded):
    selftest.check(Runtime(predictor.bundle.model), recorded)
    assert Predictor(replace(predictor.bundle, recorded=tuple(recorded))).bundle.recorded == tuple(recorded)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: replace(one, probability=one.probability + 0.3), "instead of"),
        (lambda one: replace(one, embedding=one.embedding[::-1]), "features are off by"),
        (lambda one: replace(one, embedding=one.embedding[:9]), "64 features instead of 9"),
        (lambda one: replace(one, embedding=(float("nan"),) * 64), "features are off by"),
        (lambda one: replace(one, picture=one.picture + 1000), "picture 10"),
    ],
)
def test_another_answer_is_named(predictor, recorded, change, words):
    wrong = (*recorded[:-1], change(recorded[-1]))
    with pytest.raises(BundleError, match=words):
        Predictor(replace(predictor.bundle, recorded=wrong))


def test_a_small_difference_is_another_processor(predictor, recorded):
    slightly = [
        replace(one, probability=one.probability + 0.04, embedding=tuple(0.9 * v for v in one.embedding))
        for one in recorded
    ]
    selftest.check(Runtime(predictor.bundle.model), slightly)


def _weights(model):
    """The contents of a .tflite file's buffers; TensorFlow's reader is not for run time, but at hand."""
    from tensorflow.lite.python.schema_py_generated import Model

    read = Model.GetRootAs(bytes(model))
    for index in range(read.BuffersLength()):
        buffer = read.Buffers(index)
        if buffer.DataLength():
            yield buffer.DataAsNumpy().tobytes()


def test_a_model_with_other_weights_is_found(predictor, recorded):
    """Thousands of its weights are changed, which no size or shape tells."""
    model = bytearray(predictor.bundle.model)
    buffer = max(_weights(model), key=len)
    start = model.index(buffer)
    model[start : start + len(buffer)] = buffer[::-1]
    with pytest.raises(BundleError, match="does not answer picture"):
        Predictor(replace(predictor.bundle, model=bytes(model), recorded=tuple(recorded)))
