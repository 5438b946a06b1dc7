"""Refitting the head: it learns what is new, keeps what is old, and does not believe liars."""

from dataclasses import replace

import numpy as np
import pytest

from cat_model.feedback import ANSWER, NUMBERS, pack
from tests.flags import flag, numbers
from train import refresh
from train.config import TrainError
from train.refresh import Data, Weights

SIZE = 20


def crowd(count, seed, new=False):
    """Photos in two kinds of light: in the new one another feature tells cats."""
    lot = np.random.default_rng(seed)
    cats = lot.random(count) < 0.5
    inputs = lot.normal(size=(count, SIZE))
    inputs[:, 1 if new else 0] += np.where(cats, 2.5, -2.5)
    inputs[:, 2] += 3.0 * new
    return Data(inputs.astype(np.float32), cats)


START = Weights(np.eye(SIZE, dtype=np.float32)[0] * 3, 0.0)


def accuracy(head, data):
    return ((head.probabilities(data.inputs) >= 0.5) == data.cats).mean()


def with_lies(data, share, seed=5):
    lies = np.random.default_rng(seed).permutation(len(data.cats))[: round(share * len(data.cats))]
    cats = data.cats.copy()
    cats[lies] ^= True
    return Data(data.inputs, cats), lies


def test_it_learns_what_is_new_and_keeps_what_is_old():
    told, old = crowd(300, 1, new=True), crowd(1000, 2)
    head = refresh.fit_head(told.and_more(old), START, 1e-3)
    new, test = crowd(2000, 3, new=True), crowd(2000, 4)
    assert accuracy(START, new) < 0.55
    assert accuracy(head, new) > 0.9
    assert accuracy(head, test) > accuracy(START, test) - 0.02


def test_without_replay_it_would_forget():
    head = refresh.fit_head(crowd(300, 1, new=True), START, 1e-4)
    assert accuracy(head, crowd(2000, 4)) < accuracy(START, crowd(2000, 4)) - 0.02


def test_a_strong_pull_leaves_it_where_it_was():
    head = refresh.fit_head(crowd(300, 1, new=True), START, 1e6)
    np.testing.assert_allclose(head.slopes, START.slopes, atol=1e-3)


def test_most_lies_are_found_and_most_truths_believed():
    told, lies = with_lies(crowd(400, 1, new=True), 0.1)
    found = np.flatnonzero(refresh.doubtful(told, crowd(1000, 2), START, 0))
    assert len(set(found) & set(lies)) >= 0.7 * len(lies)
    assert len(set(found) - set(lies)) <= 0.1 * len(told.cats)


def test_the_strength_that_is_chosen_does_for_old_and_new():
    told = crowd(300, 1, new=True)
    strength = refresh.choose(told, crowd(1000, 2), crowd(500, 6), START, 0)
    head = refresh.fit_head(told.and_more(crowd(1000, 2)), START, strength)
    assert accuracy(head, crowd(2000, 3, new=True)) > 0.9
    assert accuracy(head, crowd(2000, 4)) > 0.97


def records(count, **more):
    fields = {"consent": NUMBERS, **more}
    return [
        replace(
            pack(flag(f"s{n}", n % 2 > 0, embedding=numbers(n, 8), **fields))[0],
            hour=f"2026-11-{n % 28 + 1:02d}T{n // 28 % 24:02d}:00:00+00:00",
        )
        for n in range(count)
    ]


def test_only_numbers_of_this_model_are_learned_from():
    mixed = [*records(60), *records(7, bundle_sha256="0" * 64), *records(5, consent=ANSWER)]
    left, about = refresh.usable(mixed, {"f" * 64})
    assert left == mixed[:60]
    assert about == {"records": 72, "without_numbers": 5, "of_another_model": 7, "suspected": 0}


@pytest.mark.parametrize("embedders", [{"f" * 64}, {"0" * 64}])
def test_too_little_feedback_is_told_in_words(embedders):
    with pytest.raises(TrainError, match="too little feedback"):
        refresh.usable(records(49), embedders)


def test_one_sided_feedback_is_too_little():
    with pytest.raises(TrainError, match="of both kinds"):
        refresh.usable([replace(each, person_says_cat=True) for each in records(100)], {"f" * 64})
