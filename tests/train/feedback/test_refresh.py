"""Refreshing a run: which answers are learned from, what the head learns from them and what it keeps."""

from dataclasses import replace

import numpy as np
import pytest

from cat_model.feedback.record import ANSWER, NUMBERS, pack
from tests.made_feedback import made_feedback, numbers
from train.config import TrainError
from train.feedback import refresh
from train.feedback.refresh import STRENGTHS, Data, LinearHead, Old

SIZE = 20


def records(count, **more):
    fields = {"consent": NUMBERS, **more}
    return [
        replace(
            pack(made_feedback(f"s{n}", n % 2 > 0, embedding=numbers(n, 8), **fields))[0],
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


def drawn(count, seed, new=False):
    """Photos in two kinds of light: in the new one another feature tells cats."""
    rng = np.random.default_rng(seed)
    cats = rng.random(count) < 0.5
    inputs = rng.normal(size=(count, SIZE))
    inputs[:, 1 if new else 0] += np.where(cats, 2.5, -2.5)
    inputs[:, 2] += 3.0 * new
    return Data(inputs.astype(np.float32), cats)


START = LinearHead(np.eye(SIZE, dtype=np.float32)[0] * 3, 0.0)


def accuracy(head, data):
    return ((head.probabilities(data.inputs) >= 0.5) == data.cats).mean()


def with_wrong_answers(data, share, seed=5):
    wrong = np.random.default_rng(seed).permutation(len(data.cats))[: round(share * len(data.cats))]
    cats = data.cats.copy()
    cats[wrong] ^= True
    return Data(data.inputs, cats), wrong


def test_it_learns_what_is_new_and_keeps_what_is_old():
    told, old = drawn(300, 1, new=True), drawn(1000, 2)
    head = refresh.fit_head(told.and_more(old), START, 1e-3)
    new, test = drawn(2000, 3, new=True), drawn(2000, 4)
    assert accuracy(START, new) < 0.55
    assert accuracy(head, new) > 0.9
    assert accuracy(head, test) > accuracy(START, test) - 0.02


def test_without_replay_it_would_forget():
    head = refresh.fit_head(drawn(300, 1, new=True), START, 1e-4)
    assert accuracy(head, drawn(2000, 4)) < accuracy(START, drawn(2000, 4)) - 0.02


def test_strong_regularisation_leaves_it_where_it_was():
    head = refresh.fit_head(drawn(300, 1, new=True), START, 1e6)
    np.testing.assert_allclose(head.slopes, START.slopes, atol=1e-3)


def old(replayed=1000, validation=500):
    photos = drawn(validation, 6)
    return Old(START, drawn(replayed, 2), photos, photos)


def test_most_wrong_answers_are_found_and_most_right_ones_kept():
    told, wrong = with_wrong_answers(drawn(400, 1, new=True), 0.1)
    found = np.flatnonzero(refresh.probably_wrong(told, old(), 0))
    assert len(set(found) & set(wrong)) >= 0.7 * len(wrong)
    assert len(set(found) - set(wrong)) <= 0.1 * len(told.cats)


def test_the_strength_that_is_chosen_does_for_old_and_new():
    head = refresh.refit(drawn(300, 1, new=True), old(), 0).head
    before = accuracy(START, drawn(2000, 3, new=True))
    assert before < 0.55
    assert accuracy(head, drawn(2000, 3, new=True)) > before + 0.08  # how much depends on what must be kept
    assert accuracy(head, drawn(2000, 4)) > accuracy(START, drawn(2000, 4)) - 0.01


def test_where_nothing_is_new_the_head_stays_where_it_was():
    assert refresh.refit(drawn(300, 1), old(), 0).strength == STRENGTHS[-1]


def test_what_can_only_be_learned_by_forgetting_is_not_learned():
    """What tells cats in the new photos is loud noise in the old ones."""
    told, photos = (loud(drawn(2000, 1)), loud(drawn(500, 6)))
    told = Data(told.inputs, told.inputs[:, 3] > 0)
    fitted = refresh.refit(told, Old(START, loud(drawn(200, 2)), photos, photos), 0)
    test = loud(drawn(2000, 4))
    assert accuracy(refresh.fit_head(told, START, 1e-3), test) < 0.6
    assert accuracy(fitted.head, test) > accuracy(START, test) - 0.01


def loud(photos):
    inputs = photos.inputs.copy()
    inputs[:, 3] *= 5
    return Data(inputs, photos.cats)


def test_two_heads_are_compared_calibrated_and_at_their_own_thresholds():
    """A head that only says everything more surely, or with another bias, has forgotten nothing."""
    paired = old().against(LinearHead(START.slopes * 3, 2.0))
    assert paired.only_a + paired.only_b <= 2
    forgetful = old().against(LinearHead(np.roll(START.slopes, 1), 0.0))
    assert forgetful.p_b_worse < 1e-6
