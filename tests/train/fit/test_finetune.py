"""Fine-tuning learns, goes on where it was stopped, keeps the best average and is calibrated."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from tests import generated_photos
from train.config import TrainConfig
from train.data.augment import UNKNOWN
from train.data.dataset import Examples, Pixels
from train.fit import finetune
from train.fit.batches import Batches
from train.fit.calibration import calibrate, platt
from train.fit.finetune import LayerwiseAdamW, map_loss
from train.models import heads
from train.models.heads import CAT_MAP, LOGIT

CONFIG = TrainConfig(
    backbone="tiny", side=32, epochs=3, views=64, batch=16, learning_rate=1e-3, average_views=64
)
NO_BOX = np.zeros((0, 4), np.float32)


def pixels_of(stored):
    return Pixels(stored, np.arange(len(stored)))


def examples(count, seed):
    generator = np.random.default_rng(seed)
    groups = [generated_photos.GROUPS[index % 4] for index in range(count)]
    pixels = np.stack([np.asarray(generated_photos.draw(group, generator, 64)) for group in groups])
    return Examples(pixels_of(pixels), np.array([group == "cat" for group in groups]), [NO_BOX] * count)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module")
def train():
    return examples(64, seed=0)


@pytest.fixture(scope="module")
def validation():
    found = examples(32, seed=1)
    return np.stack([found.photos[index][::2, ::2] for index in range(32)]), found.labels


def fine_tune(model, train, validation, folder, on_epoch=lambda *_: None, config=CONFIG):
    finetune.fine_tune(model, train, validation, config, folder=folder, on_epoch=on_epoch)


def new():
    return heads.build(CONFIG)[0]


def test_a_stopped_training_loses_at_most_the_epoch_it_was_in(train, validation, tmp_path):
    seen = []

    def stop_in_the_second_epoch(epoch, _):
        seen.append(epoch)
        if epoch == 1:
            raise KeyboardInterrupt

    model = new()
    with pytest.raises(KeyboardInterrupt):
        fine_tune(model, train, validation, tmp_path, stop_in_the_second_epoch)
    fine_tune(model, train, validation, tmp_path, lambda epoch, _: seen.append(epoch))
    assert seen == [0, 1, 1, 2]
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 3


@pytest.mark.slow
def test_a_training_that_went_on_ends_as_one_that_was_not_stopped(train, validation, tmp_path):
    def stop(epoch, _):
        if epoch == 1:
            raise KeyboardInterrupt

    config = dataclasses.replace(CONFIG, dropout=0.0)
    ends = []
    for name, stops in (("whole", False), ("stopped", True)):
        keras.utils.set_random_seed(0)
        model = new()
        (tmp_path / name).mkdir()
        if stops:
            with pytest.raises(KeyboardInterrupt):
                fine_tune(model, train, validation, tmp_path / name, stop, config)
        fine_tune(model, train, validation, tmp_path / name, config=config)
        ends.append(model.probabilities(validation[0], 16))
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-4)


@pytest.mark.slow
def test_a_power_cut_while_the_state_is_written_ends_no_training(train, validation, tmp_path):
    model, seen = new(), []

    def cut_in_the_third_epoch(epoch, _):
        seen.append(epoch)
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(model, train, validation, tmp_path, cut_in_the_third_epoch)
    state = tmp_path / "state" / "latest.weights.h5"
    state.write_bytes(state.read_bytes()[:1000])
    fine_tune(model, train, validation, tmp_path, lambda epoch, _: seen.append(epoch))
    assert seen[:3] == [0, 1, 2]
    assert seen[-1] == 2


@pytest.mark.slow
def test_the_epoch_with_the_lowest_loss_is_kept_and_it_is_one_of_averaged_weights(
    train, validation, tmp_path
):
    told = []
    config = dataclasses.replace(CONFIG, epochs=4)
    model = new()
    before = log_loss(validation[1], model.probabilities(validation[0], 16))
    fine_tune(model, train, validation, tmp_path, lambda _, each: told.append(each["val_loss"]), config)
    kept = log_loss(validation[1], model.probabilities(validation[0], 16))
    assert kept == pytest.approx(min([before, *told]), abs=1e-4)
    assert json.loads((tmp_path / "best.json").read_text()) == pytest.approx(kept, abs=1e-4)


@pytest.mark.slow
def test_a_training_that_makes_it_worse_keeps_what_it_began_with(train, validation, tmp_path):
    model = new()
    fine_tune(model, train, validation, tmp_path / "..", config=dataclasses.replace(CONFIG, epochs=2))
    before = model.served.get_weights()
    harm = dataclasses.replace(CONFIG, epochs=1, learning_rate=0.5, warmup=0.0, init="file", average_views=32)
    fine_tune(model, train, validation, tmp_path, config=harm)
    for one, other in zip(before, model.served.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_mean_with_what_it_began_with_lies_between_them():
    model = new()
    initial = model.served.get_weights()
    model.served.set_weights([each + 4.0 for each in initial])
    finetune.average_with(model, initial, 0.75)
    for before, after in zip(initial, model.served.get_weights(), strict=True):
        np.testing.assert_allclose(after, before + 1.0, atol=1e-5)


@pytest.mark.slow
def test_it_learns_from_the_photos(train, validation, tmp_path):
    model = new()
    config = dataclasses.replace(CONFIG, epochs=12, views=256, learning_rate=4e-3, augmentation=0.2)
    fine_tune(model, train, validation, tmp_path, config=config)
    assert roc_auc_score(validation[1], model.probabilities(validation[0], 16)) > 0.85


def red_cats(count=64, side=64):
    """Photos with a coloured square in a corner: red ones are cats and have a box."""
    pixels = np.full((count, side, side, 3), 90, np.uint8)
    labels, boxes = np.arange(count) % 2 == 0, []
    for index in range(count):
        row, column = (index // 2) % 2, (index // 4) % 2
        half = side // 2
        place = slice(row * half, (row + 1) * half), slice(column * half, (column + 1) * half)
        pixels[index][place] = (250, 60, 60) if labels[index] else (60, 60, 250)
        box = np.array([[column / 2, row / 2, (column + 1) / 2, (row + 1) / 2]], np.float32)
        boxes.append(box if labels[index] else NO_BOX)
    return Examples(pixels_of(pixels), labels, boxes)


@pytest.mark.slow
def test_the_map_learns_where_cats_are(tmp_path):
    taught = red_cats()
    small = np.stack([taught.photos[index][::2, ::2] for index in range(64)])
    config = dataclasses.replace(
        CONFIG, epochs=10, views=256, learning_rate=4e-3, head_factor=1.0, augmentation=0.0, map_weight=2.0
    )
    model = new()
    fine_tune(model, taught, (small, taught.labels), tmp_path, config=config)
    maps = model.served.predict(small, verbose=0)["cat_map"][..., 0]
    hits = []
    for index in np.flatnonzero(taught.labels):
        row, column = np.unravel_index(maps[index].argmax(), maps[index].shape)
        left, top, right, bottom = taught.boxes[index][0] * maps.shape[1]
        hits.append(left <= column < right and top <= row < bottom)
    assert np.mean(hits) > 0.9


@pytest.mark.slow
def test_batch_normalisation_stays_as_it_was_pretrained(train, validation, tmp_path):
    config = dataclasses.replace(CONFIG, backbone="efficientnet_lite0", epochs=1, views=16)
    model, _ = heads.build(config, pretrained=False)

    def statistics():
        norms = [each for each in model.features.layers if "bn" in each.name]
        assert len(norms) > 40
        return [value for each in norms for value in each.get_weights()]

    before = statistics()
    fine_tune(model, train, validation, tmp_path, config=config)
    for one, other in zip(before, statistics(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_heads_learn_faster_and_the_backbone_slowly_at_first():
    with keras.name_scope("head.ev"):
        head = keras.Variable([1.0], name="kernel")
    with keras.name_scope("blocks"):
        body = keras.Variable([1.0], name="kernel")
    optimizer = LayerwiseAdamW(head_factor=6.0, slow_steps=1, learning_rate=0.01, weight_decay=0.0)
    moved = []
    for _ in range(2):
        before = float(head[0]), float(body[0])
        optimizer.apply([keras.ops.ones(1), keras.ops.ones(1)], [head, body])
        moved.append((before[0] - float(head[0]), before[1] - float(body[0])))
    assert moved[0] == pytest.approx((0.06, 0.001), rel=1e-3)
    assert moved[1] == pytest.approx((0.06, 0.01), rel=1e-3)


def test_cells_that_nothing_is_known_of_count_for_nothing():
    truth = np.array([[[1.0, UNKNOWN], [0.0, UNKNOWN]], [[UNKNOWN] * 2] * 2], np.float32)
    said = np.array([[[2.0, 99.0], [-1.0, -99.0]], [[50.0] * 2] * 2], np.float32)
    expected = np.mean([np.log1p(np.exp(-2.0)), np.log1p(np.exp(-1.0))])
    assert float(np.mean(map_loss(truth, said))) == pytest.approx(expected, rel=1e-5)
    nothing = np.full((2, 2, 2), UNKNOWN, np.float32)
    assert float(np.mean(map_loss(nothing, said))) == 0.0


def test_batches_have_their_share_of_cats_and_follow_from_the_seed(train):
    config = dataclasses.replace(CONFIG, cat_fraction=0.25, augmentation=0.0)
    batches = Batches(train, config, cells=2)
    assert len(batches) == 4
    pixels, truth, weights = batches[1]
    assert (pixels.shape, pixels.dtype) == ((16, 32, 32, 3), np.dtype(np.uint8))
    assert truth[LOGIT].sum() == 4
    assert truth[CAT_MAP].shape == (16, 2, 2)
    assert weights[LOGIT].tolist() == [1.0] * 16
    again, *_ = Batches(train, config, cells=2)[1]
    np.testing.assert_array_equal(pixels, again)
    later, *_ = Batches(train, config, cells=2, epoch=1)[1]
    assert not np.array_equal(pixels, later)
    batches.on_epoch_end()
    np.testing.assert_array_equal(batches[1][0], later)


@pytest.mark.slow
def test_calibration_repairs_a_boastful_head(train, validation, tmp_path):
    model = new()
    fine_tune(model, train, validation, tmp_path, config=dataclasses.replace(CONFIG, learning_rate=4e-3))
    slopes, bias = model.head.get()
    model.head.set(slopes * 30, bias * 30 + 5)
    pixels, cats = validation
    doubtful = np.where(np.arange(len(cats)) % 5 == 0, ~cats, cats)

    def loss():
        return log_loss(doubtful, model.probabilities(pixels, 16))

    boastful, before = loss(), model.probabilities(pixels, 16)
    scaling = calibrate(model, pixels, doubtful, 16)
    assert loss() < boastful / 2
    undone = scaling.undone(model.probabilities(pixels, 16))
    clear = (before > 1e-4) & (before < 1 - 1e-4)
    np.testing.assert_allclose(undone[clear], before[clear], atol=2e-3)


def test_platt_scaling_finds_the_scale_and_the_shift():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    found = platt(logits, labels)
    assert (found.scale, found.shift) == (pytest.approx(0.5, abs=0.03), pytest.approx(-1, abs=0.08))
