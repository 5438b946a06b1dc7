"""A photo in, a verdict out: the same for every way to hand it over, alone, in batches and in threads."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from PIL import Image

import cat_model
from cat_model import BundleError, PhotoError, Predictor
from cat_model.photo import Limits
from cat_model.predictor import BATCH
from cat_model.runtime import Outputs

STEP = 1 / 256
"""One step of the int8 probability; kernels for one photo and for many may round differently."""


@pytest.fixture(scope="module")
def photos(examples):
    return sorted(examples.glob("*.jpg"))


def test_the_cat_is_a_cat_and_the_others_are_not(predictor, examples):
    cat = predictor.predict(examples / "chelsea.jpg")
    assert (cat.is_cat, cat.label, cat.unsure) == (True, "cat", False)
    for name in ("astronaut.jpg", "coffee.jpg"):
        other = predictor.predict(examples / name)
        assert (other.is_cat, other.label, other.unsure) == (False, "not a cat", False)
        assert 0 <= other.probability < predictor.bundle.unsure[0] <= cat.probability <= 1
    assert cat.model_version == predictor.bundle.version


def test_path_bytes_pil_and_array_agree(predictor, photos, tmp_path):
    png = tmp_path / "photo.png"
    Image.open(photos[1]).save(png)
    image = Image.open(png)
    ways = [png, str(png), png.read_bytes(), image, np.asarray(image)]
    assert len({predictor.predict(photo) for photo in ways}) == 1


def test_a_sideways_photo_gets_the_answer_of_the_upright_one(predictor, examples, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.open(examples / "chelsea.jpg")
    upright.save(tmp_path / "upright.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    assert predictor.predict(tmp_path / "turned.png") == predictor.predict(tmp_path / "upright.png")


def test_predict_many_answers_in_order(predictor, photos):
    alone = [predictor.predict(photo).probability for photo in photos]
    order = [i % 3 for i in range(BATCH + 5)]
    many = [v.probability for v in predictor.predict_many(photos[i] for i in order)]
    assert len(many) == len(order)
    assert np.allclose(many, [alone[i] for i in order], rtol=0, atol=STEP)
    assert min(abs(alone[1] - alone[0]), abs(alone[1] - alone[2])) > 4 * STEP  # or the order would not show


def test_predict_many_takes_from_a_generator_only_what_it_needs(predictor):
    taken = []

    def endless():
        while True:
            taken.append(None)
            yield np.zeros((16, 16, 3), np.uint8)

    verdicts = predictor.predict_many(endless())
    assert taken == []
    next(verdicts)
    assert len(taken) == BATCH
    for _ in range(BATCH):
        next(verdicts)
    assert len(taken) == 2 * BATCH


def test_predict_many_of_nothing_is_nothing(predictor):
    assert list(predictor.predict_many([])) == []


def test_a_bad_photo_among_many_is_a_photo_error_after_the_batches_before_it(predictor, photos):
    verdicts = predictor.predict_many([photos[0]] * BATCH + [b"no photo"])
    assert len([next(verdicts) for _ in range(BATCH)]) == BATCH
    with pytest.raises(PhotoError, match="not a photo"):
        next(verdicts)


def test_many_threads_get_the_answers_of_one(predictor, photos):
    chosen = [photos[i % 3] for i in range(36)]
    alone = [predictor.predict(photo) for photo in chosen]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(predictor.predict, chosen)) == alone


def test_limits_refuse_a_photo_before_it_is_judged(predictor, photos):
    strict = Predictor(predictor.bundle, limits=Limits(file_bytes=1000))
    with pytest.raises(PhotoError, match="MB"):
        strict.predict(photos[0])


@pytest.mark.parametrize(
    ("probability", "label", "is_cat", "unsure"),
    [
        (0.0, "not a cat", False, False),
        (0.2499, "not a cat", False, False),
        (0.25, "not sure", False, True),
        (0.4999, "not sure", False, True),
        (0.5, "not sure", True, True),
        (0.7499, "not sure", True, True),
        (0.75, "cat", True, False),
        (1.0, "cat", True, False),
    ],
)
def test_the_band_around_the_threshold_is_not_sure(
    predictor, monkeypatch, probability, label, is_cat, unsure
):
    bundle = replace(predictor.bundle, threshold=0.5, unsure=(0.25, 0.75), version="fake", plan=None)
    judge = Predictor(bundle)
    said = Outputs(np.array([probability], np.float32), np.zeros((1, 4)), np.zeros((1, 2, 2)))
    monkeypatch.setattr(judge.cascade.runtime, "run", lambda _: said)
    verdict = judge.predict(np.zeros((32, 32, 3), np.uint8))
    assert (verdict.label, verdict.is_cat, verdict.unsure) == (label, is_cat, unsure)
    assert verdict.probability == np.float32(probability)
    assert verdict.model_version == "fake"
    with pytest.raises(FrozenInstanceError):
        verdict.label = "dog"


@pytest.mark.parametrize(("probability", "label"), [(0.3999, "not a cat"), (0.4001, "cat")])
def test_without_a_band_the_threshold_decides(predictor, monkeypatch, probability, label):
    judge = Predictor(replace(predictor.bundle, threshold=0.4, unsure=(0.4, 0.4), plan=None))
    said = Outputs(np.array([probability], np.float32), np.zeros((1, 4)), np.zeros((1, 2, 2)))
    monkeypatch.setattr(judge.cascade.runtime, "run", lambda _: said)
    assert judge.predict(np.zeros((32, 32, 3), np.uint8)).label == label


def test_load_reads_the_folder_it_is_given(predictor, tmp_path):
    again = cat_model.load(predictor.bundle.folder)
    assert again.bundle == predictor.bundle
    with pytest.raises(BundleError, match="No model in"):
        cat_model.load(tmp_path)


def test_a_bundle_whose_model_cannot_be_served_is_refused(predictor):
    with pytest.raises(BundleError, match="not a model that can be served"):
        Predictor(replace(predictor.bundle, model=b"random bytes" * 999))
    with pytest.raises(BundleError, match=r"takes \d+ pixels a side; its manifest says 32"):
        Predictor(replace(predictor.bundle, side=32))


def test_another_classifier_in_a_bundle_is_refused(predictor, shared_part):
    model = shared_part("peers/imagenet_mobilenet_v2_1.0_224_int8.tflite").read_bytes()
    with pytest.raises(BundleError, match="model"):
        Predictor(replace(predictor.bundle, model=model))
