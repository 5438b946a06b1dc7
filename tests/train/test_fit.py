"""Fitting goes on where it was stopped, freezes what it should, and calibrates the head it is given."""

import dataclasses

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import log_loss, roc_auc_score

from cat_model.photo import resize
from tests import generated_photos
from train import boxes, fit, head, model
from train.batches import Batches, Examples
from train.config import TrainConfig, TrainError

CONFIG = TrainConfig(backbone="tiny", side=32, epochs=3, batch=16)


def examples(count: int, seed: int) -> Examples:
    generator = np.random.default_rng(seed)
    groups = [generated_photos.GROUPS[index % 4] for index in range(count)]
    pixels = np.stack([np.asarray(generated_photos.draw(group, generator, CONFIG.side)) for group in groups])
    return Examples(pixels, np.array([group == "cat" for group in groups], dtype=np.float32))


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module")
def train():
    return examples(64, seed=0)


@pytest.fixture(scope="module")
def validation():
    return examples(32, seed=1)


def test_a_stopped_training_loses_at_most_the_epoch_it_was_in(train, validation, tmp_path):
    seen = []

    def stop_in_the_third_epoch(epoch, _):
        seen.append(epoch)
        if epoch == 1:
            raise KeyboardInterrupt

    def fine_tune(on_epoch):
        cat_model = model.build("tiny", CONFIG.side, None)
        head.fit(cat_model, train, CONFIG, tmp_path)
        fit.fine_tune(cat_model, train, validation, CONFIG, tmp_path, on_epoch)
        return cat_model

    with pytest.raises(KeyboardInterrupt):
        fine_tune(stop_in_the_third_epoch)
    fine_tune(lambda epoch, _: seen.append(epoch))
    assert seen == [0, 1, 1, 2]


def test_a_power_cut_while_the_state_is_written_ends_no_training(train, validation, tmp_path):
    cat_model = model.build("tiny", CONFIG.side, None)
    seen = []

    def cut_in_the_third_epoch(epoch, _):
        seen.append(epoch)
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit.fine_tune(cat_model, train, validation, CONFIG, tmp_path, cut_in_the_third_epoch)
    state = tmp_path / "state" / "latest.weights.h5"
    state.write_bytes(state.read_bytes()[:1000])
    fit.fine_tune(cat_model, train, validation, CONFIG, tmp_path, lambda epoch, _: seen.append(epoch))
    assert seen == [0, 1, 2, 1, 2]


def test_several_fine_tunings_begin_at_the_same_place_and_are_averaged(
    train, validation, tmp_path, monkeypatch
):
    cat_model = model.build("tiny", CONFIG.side, None)
    start, told = cat_model.served.get_weights(), []

    def fine_tune(cat_model, train, validation, config, folder, on_epoch):
        for epoch in range(config.epochs):
            on_epoch(epoch, {"seed": config.seed})
        folder.joinpath("state").touch()
        cat_model.served.set_weights([each + config.seed for each in cat_model.served.get_weights()])

    monkeypatch.setattr(fit, "fine_tune", fine_tune)
    config = dataclasses.replace(CONFIG, soup=3, seed=10, epochs=2)
    fit.soup(
        cat_model,
        train,
        validation,
        config,
        tmp_path,
        lambda epoch, each: told.append((epoch, *each.values())),
    )
    for before, after in zip(start, cat_model.served.get_weights(), strict=True):
        np.testing.assert_allclose(after, before + 11, rtol=1e-4)
    assert told == [(0, 10), (1, 10), (2, 11), (3, 11), (4, 12), (5, 12)]
    assert len(list(tmp_path.glob("*/state"))) == 3


def test_the_fitted_head_is_kept_for_a_run_that_goes_on(train, tmp_path, monkeypatch):
    first = model.build("tiny", CONFIG.side, None)
    head.fit(first, train, CONFIG, tmp_path)
    monkeypatch.setattr(model.CatModel, "embed", lambda *_: pytest.fail("fitted again"))
    second = model.build("tiny", CONFIG.side, None)
    head.fit(second, train, CONFIG, tmp_path)
    for one, other in zip(first.head.get(), second.head.get(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_calibration_repairs_a_boastful_head(train, validation, tmp_path):
    cat_model = model.build("tiny", CONFIG.side, None)
    head.fit(cat_model, train, CONFIG, tmp_path)
    weights, bias = cat_model.head.get()
    cat_model.head.set(weights * 30, bias * 30 + 5)
    labels = np.where(np.arange(len(validation.labels)) % 5 == 0, 1 - validation.labels, validation.labels)
    hard = Examples(validation.pixels, labels)

    def loss():
        return log_loss(labels, cat_model.probabilities(validation.pixels, 16))

    boastful, before = loss(), cat_model.probabilities(validation.pixels, 16)
    scaling = head.calibrate(cat_model, hard, CONFIG)
    assert loss() < boastful / 2
    undone = scaling.undone(cat_model.probabilities(validation.pixels, 16))
    np.testing.assert_allclose(undone, before, atol=1e-3)


def test_calibration_gives_evidence_the_range_of_the_features_and_changes_nothing_else(
    train, validation, tmp_path
):
    cat_model = model.build("tiny", CONFIG.side, None, strongest=True)
    head.fit(cat_model, train, CONFIG, tmp_path)
    cat_model.evidence.set_weights([50 * each for each in cat_model.evidence.get_weights()])
    before = cat_model.probabilities(validation.pixels, 16)
    scaling = head.calibrate(cat_model, validation, CONFIG)
    embeddings = cat_model.embed(validation.pixels, 16)
    np.testing.assert_allclose(np.abs(embeddings[:, -1]).max(), embeddings[:, :-1].max(), rtol=1e-4)
    undone = scaling.undone(cat_model.probabilities(validation.pixels, 16))
    np.testing.assert_allclose(undone, before, atol=1e-3)


def test_calibrating_again_after_the_head_has_changed_leaves_the_embeddings(train, validation, tmp_path):
    """Else what people's records hold would not be what the refreshed model sees."""
    cat_model = model.build("tiny", CONFIG.side, None, strongest=True)
    head.fit(cat_model, train, CONFIG, tmp_path)
    head.calibrate(cat_model, validation, CONFIG)
    before = cat_model.embed(validation.pixels, 16)
    slopes, bias = cat_model.head.get()
    cat_model.head.set(-2 * slopes[::-1], bias + 1)
    head.calibrate(cat_model, validation, CONFIG)
    np.testing.assert_allclose(cat_model.embed(validation.pixels, 16), before, rtol=1e-4, atol=1e-5)


def test_photos_are_shrunk_for_learning_after_they_were_augmented(train):
    config = dataclasses.replace(CONFIG, taught=16, mixup=0.0)
    whole = Batches(train, dataclasses.replace(config, taught=CONFIG.side), epoch=0)[0]
    small = Batches(train, config, epoch=0)[0]
    assert small[0].shape == (16, 16, 16, 3)
    np.testing.assert_array_equal(small[0], [resize(Image.fromarray(photo), 16) for photo in whole[0]])
    np.testing.assert_array_equal(small[1], whole[1])


def test_only_the_upper_layers_are_trained(train, validation, tmp_path):
    cat_model = model.build("tiny", CONFIG.side, None)
    before = [layer.get_weights() for layer in cat_model.features.layers]
    config = TrainConfig(backbone="tiny", side=32, epochs=1, batch=16, unfrozen=0.5, learning_rate=1e-2)
    fit.fine_tune(cat_model, train, validation, config, tmp_path, lambda *_: None)
    moved = [layer.trainable and bool(layer.get_weights()) for layer in cat_model.features.layers]
    assert any(moved)
    for layer, weights, trained in zip(cat_model.features.layers, before, moved, strict=True):
        if not trained:
            for one, other in zip(layer.get_weights(), weights, strict=True):
                np.testing.assert_allclose(one, other, atol=1e-6)  # averaging rounds
    assert not cat_model.features.layers[1].trainable


def test_a_saved_model_comes_back_whole(train, tmp_path):
    cat_model = model.build("tiny", CONFIG.side, None)
    cat_model.served.save(tmp_path / "model.keras")
    loaded = model.load(tmp_path / "model.keras")
    assert (loaded.scale, loaded.offset) == (cat_model.scale, cat_model.offset)
    np.testing.assert_allclose(
        loaded.probabilities(train.pixels, 16), cat_model.probabilities(train.pixels, 16), atol=1e-6
    )


def test_the_shares_sum_to_the_logit(train):
    cat_model = model.build("tiny", CONFIG.side, None)
    answer = cat_model.served.predict(train.pixels, verbose=0)
    probability = answer["probability"].reshape(-1)
    logit = np.log(probability / (1 - probability))
    np.testing.assert_allclose(answer["share"].sum(axis=(1, 2, 3)), logit, atol=1e-4)


def test_weights_that_are_not_to_be_had_are_refused_in_words(tmp_path):
    with pytest.raises(TrainError, match="--weights FILE"):
        model.build("efficientnet_lite0", 64, None)
    (tmp_path / "broken.keras").write_bytes(b"no weights")
    with pytest.raises(TrainError, match=r"broken\.keras"):
        model.build("efficientnet_lite0", 64, tmp_path / "broken.keras")
    with pytest.raises(TrainError, match="MobileNetV2"):
        model.build("mobilenet_v2", 96, tmp_path / "missing.h5")


def test_the_head_learns_the_photos_own_labels_through_the_augmentation(train, tmp_path):
    cat_model = model.build("tiny", CONFIG.side, None)
    head.fit(cat_model, train, CONFIG, tmp_path)
    probabilities = cat_model.probabilities(train.pixels, 16)
    assert roc_auc_score(train.labels, probabilities) > 0.8


def test_the_strongest_cell_begins_as_the_head_sees_it_and_counts_beside_the_mean(train, tmp_path):
    cat_model = model.build("tiny", CONFIG.side, None, strongest=True)
    head.fit(cat_model, train, CONFIG, tmp_path)
    again = model.build("tiny", CONFIG.side, None, strongest=True)
    again.features.set_weights(cat_model.features.get_weights())
    again.evidence.set_weights([weights * 0 for weights in again.evidence.get_weights()])
    head.fit(again, train, CONFIG, tmp_path)
    asked = [each.served(train.pixels) for each in (cat_model, again)]
    for name in ("probability", "embedding", "share"):
        np.testing.assert_allclose(asked[0][name], asked[1][name], atol=1e-5)
    assert roc_auc_score(train.labels, asked[0]["probability"].numpy().ravel()) > 0.7
    weights, _ = cat_model.head.get()
    kernel = cat_model.evidence.get_weights()[0].ravel()
    mean = weights[:-1]
    np.testing.assert_allclose(mean / np.linalg.norm(mean), kernel / np.linalg.norm(kernel), atol=1e-4)
    assert weights[-1] != 0


def test_cells_are_taught_where_cats_are(train, validation, tmp_path):
    """With a box for every cat the strongest cell of a cat's photo comes to lie in the box."""
    config = TrainConfig(
        backbone="tiny",
        side=CONFIG.side,
        epochs=6,
        batch=16,
        learning_rate=3e-3,
        unfrozen=1.0,
        mixup=0.0,
        augmentation=0.0,
        strongest=True,
    )
    pixels = np.zeros((64, config.side, config.side, 3), np.uint8) + 90
    labels = (np.arange(64) % 2 == 0).astype(np.float32)
    places = np.zeros((64, boxes.SIDE, boxes.SIDE), np.uint8)
    for index in range(64):
        corner = (index // 2) % 2 * 16
        colour = (250, 60, 60) if labels[index] else (60, 60, 250)
        pixels[index, corner : corner + 16, corner : corner + 16] = colour
        if labels[index]:
            places[index, corner * 2 : corner * 2 + 32, corner * 2 : corner * 2 + 32] = 255
    taught = Examples(pixels, labels, places, np.ones(64, bool))
    cat_model = model.build("tiny", config.side, None, strongest=True)
    head.fit(cat_model, taught, config, tmp_path)
    fit.fine_tune(cat_model, taught, Examples(pixels, labels), config, tmp_path, lambda *_: None)
    normalised = pixels.astype(np.float32) * cat_model.scale + cat_model.offset
    cells = cat_model.features(normalised)[1].numpy()[..., 0]
    grid = cells.shape[1]
    shown = places[:, :: boxes.SIDE // grid, :: boxes.SIDE // grid] > 0
    strongest = cells.reshape(64, -1).argmax(axis=1)
    assert shown.reshape(64, -1)[np.arange(64), strongest][labels == 1].mean() > 0.9
