"""Thousands of damaged files: each gives a photo or a PhotoError, and never anything else."""

import random
import warnings

import pytest

from cat_model.photo import FORMATS, PhotoError, decode
from tests.fuzz_photo import LIMITS, damaged, healthy, judged

CASES = 3000
ALL = (*FORMATS, "HEIC")


@pytest.fixture(scope="module")
def files():
    made = healthy()
    assert set(made) == set(ALL)
    return made


@pytest.mark.parametrize("form", ALL)
def test_nothing_but_photo_error_leaves_decode(files, form):
    """In short what `python -m tests.fuzz_photo` does at length."""
    chance = random.Random(form)
    others = [data for variants in files.values() for data in variants]
    answers = {"photo": 0, "refused": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow remarks on broken EXIF
        for case in range(CASES):
            data = damaged(chance.choice(files[form]), chance, chance.choice(others))
            answers[judged(data, 16 if case % 2 else None)] += 1
    assert min(answers.values()) > CASES // 100  # both ways were tried


@pytest.mark.parametrize("form", ALL)
def test_a_file_cut_anywhere_is_a_photo_or_refused(files, form):
    data = files[form][0]
    assert decode(data).size in {(60, 40), (40, 60)}
    for length in range(0, len(data) - 1, max(1, len(data) // 150)):
        try:
            assert decode(data[:length], LIMITS).mode == "RGB"
        except PhotoError as error:
            assert str(error).endswith(".")


def test_warnings_as_errors_are_refusals_too(files):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chance = random.Random(1)
        for _ in range(200):
            try:
                decode(damaged(files["PNG"][0], chance), LIMITS)
            except PhotoError as error:
                assert str(error).endswith(".")
