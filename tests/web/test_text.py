"""What a visitor reads of a verdict."""

from dataclasses import replace

import pytest

from cat_model import Verdict
from web import text

CAT = Verdict(0.9, True, False, "cat", "test")


@pytest.mark.parametrize(
    "verdict",
    [CAT, Verdict(0.1, False, False, "not a cat", "test"), Verdict(0.5, True, True, "not sure", "test")],
)
def test_only_of_a_later_picture_of_an_animation_the_panel_says_which_one_it_is(verdict):
    assert "picture" not in text.verdict_panel(verdict)
    assert "I looked at picture 8." in text.verdict_panel(replace(verdict, frame=7))
