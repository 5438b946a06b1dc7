"""Refitting the head: it learns what is new, keeps what is old, and does not believe liars."""

import numpy as np

from train import refit
from train.refit import STRENGTHS, Data, Old, Weights

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
    head = refit.fit_head(told.and_more(old), START, 1e-3)
    new, test = crowd(2000, 3, new=True), crowd(2000, 4)
    assert accuracy(START, new) < 0.55
    assert accuracy(head, new) > 0.9
    assert accuracy(head, test) > accuracy(START, test) - 0.02


def test_without_replay_it_would_forget():
    head = refit.fit_head(crowd(300, 1, new=True), START, 1e-4)
    assert accuracy(head, crowd(2000, 4)) < accuracy(START, crowd(2000, 4)) - 0.02


def test_a_strong_pull_leaves_it_where_it_was():
    head = refit.fit_head(crowd(300, 1, new=True), START, 1e6)
    np.testing.assert_allclose(head.slopes, START.slopes, atol=1e-3)


def old(replayed=1000, validation=500):
    photos = crowd(validation, 6)
    return Old(START, crowd(replayed, 2), photos, photos)


def test_most_lies_are_found_and_most_truths_believed():
    told, lies = with_lies(crowd(400, 1, new=True), 0.1)
    found = np.flatnonzero(refit.doubtful(told, old(), 0))
    assert len(set(found) & set(lies)) >= 0.7 * len(lies)
    assert len(set(found) - set(lies)) <= 0.1 * len(told.cats)


def test_the_strength_that_is_chosen_does_for_old_and_new():
    head = refit.refit(crowd(300, 1, new=True), old(), 0).head
    assert accuracy(START, crowd(2000, 3, new=True)) < 0.55
    assert accuracy(head, crowd(2000, 3, new=True)) > 0.8
    assert accuracy(head, crowd(2000, 4)) > accuracy(START, crowd(2000, 4)) - 0.01


def test_where_nothing_is_new_the_head_stays_where_it_was():
    assert refit.refit(crowd(300, 1), old(), 0).strength == STRENGTHS[-1]


def test_what_can_only_be_learned_by_forgetting_is_not_learned():
    """What tells cats in the new photos is loud noise in the old ones."""
    told, photos = (loud(crowd(2000, 1)), loud(crowd(500, 6)))
    told = Data(told.inputs, told.inputs[:, 3] > 0)
    fitted = refit.refit(told, Old(START, loud(crowd(200, 2)), photos, photos), 0)
    test = loud(crowd(2000, 4))
    assert accuracy(refit.fit_head(told, START, 1e-3), test) < 0.6
    assert accuracy(fitted.head, test) > accuracy(START, test) - 0.01


def loud(photos):
    inputs = photos.inputs.copy()
    inputs[:, 3] *= 5
    return Data(inputs, photos.cats)


def test_two_heads_are_compared_calibrated_and_at_their_own_thresholds():
    """A head that only says everything more surely, or with another bias, has forgotten nothing."""
    paired = old().against(Weights(START.slopes * 3, 2.0))
    assert paired.only_a + paired.only_b <= 2
    forgetful = old().against(Weights(np.roll(START.slopes, 1), 0.0))
    assert forgetful.p_b_worse < 1e-6
