"""Refreshing a run: which answers are learned from, and what is told of those that are not."""

from dataclasses import replace

import pytest

from cat_model.feedback import ANSWER, NUMBERS, pack
from tests.flags import flag, numbers
from train import refresh
from train.config import TrainError


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
