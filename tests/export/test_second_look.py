"""The second look weighs the whole and the strongest tile, and is kept only where it finds more cats."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from cat_model.bundle import Bundle, SecondLook
from cat_model.predict import combine, logit
from export import measure, second_look
from train import stress

LOOK = SecondLook(0.02, 0.9, 0.62, 0.5, 1.0, -0.5)


def seen(generator, cats, told_by_tiles):
    """Probabilities of wholes that tell little, and of tiles that tell much or nothing."""
    whole = 0.5 * (2 * cats - 1) + generator.normal(0, 1, len(cats))
    tiles = told_by_tiles * 4 * (2 * cats - 1) + generator.normal(0, 1, len(cats))
    pair = 1 / (1 + np.exp(-np.stack([whole, tiles], axis=1)))
    pair[(pair[:, 0] < 0.02) | (pair[:, 0] >= 0.99), 1] = np.nan
    return pair


@pytest.fixture
def cats():
    return np.random.default_rng(1).random(600) < 0.5


def test_what_tells_more_weighs_more(cats):
    look = second_look.fit(seen(np.random.default_rng(0), cats, 1.0), cats, 0.02, 0.9)
    assert look.strongest > 1
    blind = second_look.fit(seen(np.random.default_rng(0), cats, 0.0), cats, 0.02, 0.9)
    assert abs(blind.strongest) < 0.3


def test_without_both_kinds_in_doubt_there_is_nothing_to_fit(cats):
    pairs = seen(np.random.default_rng(0), cats, 1.0)
    assert second_look.fit(pairs, np.ones(len(cats), bool), 0.02, 0.9) is None


def test_only_doubts_are_changed(cats):
    pairs = seen(np.random.default_rng(0), cats, 1.0)
    doubtful = (pairs[:, 0] >= LOOK.low) & (pairs[:, 0] < LOOK.high)
    assert doubtful.sum() < (~np.isnan(pairs[:, 1])).sum()  # looks were spent on clearer photos too
    found = second_look.both(pairs, LOOK)
    np.testing.assert_array_equal(found[~doubtful], pairs[~doubtful, 0])
    expected = 0.5 * logit(pairs[doubtful, 0]) + logit(pairs[doubtful, 1]) - 0.5
    np.testing.assert_allclose(logit(found[doubtful]), np.clip(expected, logit(0.0), logit(1.0)), atol=1e-6)


def test_looking_twice_is_what_the_app_does(run):
    bundle = Bundle.read()
    judging = measure.predictor(bundle.model, bundle.side, LOOK)
    looking = measure.predictor(bundle.model, bundle.side, None)
    pictures = [Image.open(path).convert("RGB") for path in measure.paths(run, "test")]
    found = second_look.both(second_look.look_twice(looking, pictures), LOOK)
    np.testing.assert_allclose(measure.judge(judging, pictures), found, atol=0.02)


@pytest.mark.parametrize("helps", [True, False])
def test_it_is_kept_only_where_it_finds_more_cats(run, monkeypatch, helps):
    truth = {split: [r.is_cat for r in run.manifest(split)] for split in ("validation", "people")}
    sets = [np.array(truth["validation"] + truth["people"] * 1)]
    sets.append(
        np.array([r.is_cat for r in run.manifest("validation")[:: second_look.EVERY]] * len(stress.SLICES))
    )
    sets.append(np.array(truth["people"]))
    answers = iter(
        [seen(np.random.default_rng(n), cats, float(helps or n == 0)) for n, cats in enumerate(sets)]
    )
    monkeypatch.setattr(second_look, "look_twice", lambda *_: next(answers))
    monkeypatch.setattr(
        second_look,
        "fit",
        lambda _, __, low, high: dataclasses.replace(
            LOOK, low=low, high=high, strongest=1.0 if helps else -1.0
        ),
    )
    look = second_look.choose(Bundle.read().model, run)
    assert (look is not None) == helps


def test_the_band_of_doubt_that_finds_most_cats_is_chosen(run, monkeypatch):
    monkeypatch.setattr(second_look, "look_twice", lambda *_: np.zeros((1, 2)))
    monkeypatch.setattr(
        second_look, "fit", lambda _, __, low, high: dataclasses.replace(LOOK, low=low, high=high)
    )
    monkeypatch.setattr(second_look, "both", lambda _, look: look)
    found = dict(zip(second_look.DOUBTS, (0.5, 0.8, 0.7), strict=True))
    monkeypatch.setattr(
        second_look.evaluate,
        "recall_at_precision",
        lambda look, *_: found[look.low, look.high] if look else 0.6,
    )
    look = second_look.choose(Bundle.read().model, run)
    assert (look.low, look.high) == second_look.DOUBTS[1]


def test_the_share_of_second_looks_is_that_of_doubts():
    assert second_look.share(LOOK, np.array([0.0, 0.02, 0.5, 0.9])) == 0.5
    assert second_look.share(None, np.array([0.5])) == 0.0


def test_a_second_look_combines_logits():
    assert combine(np.array([0.5]), np.array([0.5]), LOOK) == pytest.approx(1 / (1 + np.exp(0.5)))
