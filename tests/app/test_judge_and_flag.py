"""What the page does with rare verdicts, late answers and the same answer twice; needs no browser."""

import html
import json

import numpy as np
import pytest
from PIL import Image

from cat_model import Explanation, Verdict
from cat_model.feedback import Outbox
from cat_model.photo import DEFAULT_LIMITS


class OneMind:
    """A predictor that says the same of every photo."""

    limits = DEFAULT_LIMITS

    def __init__(self, verdict):
        self.verdict = verdict

    def explain(self, _, budget):
        values = np.ones((14, 14))
        return Explanation(values, 0.0, self.verdict, Image.new("RGB", (64, 48)), budget)


def verdict(probability, unsure=False):
    label = "not sure" if unsure else "cat" if probability >= 0.5 else "not a cat"
    return Verdict(probability, probability >= 0.5, unsure, label, "test")


@pytest.fixture
def page_that_says(tmp_path, monkeypatch):
    from web import why
    from web.page import Page

    monkeypatch.setattr(why, "warm_up", lambda predictor: predictor)
    return lambda *what: Page(OneMind(verdict(*what)), Outbox(tmp_path / "feedback"))


def judge(page, photo):
    """The panel, the value of each bar, what is remembered and the flag row."""
    panel, bars, judged, *rest = page.judge(str(photo))
    return panel, bars["value"], judged, rest[:4]


def records(tmp_path):
    return [json.loads(path.read_text("utf-8")) for path in (tmp_path / "feedback" / "records").glob("*")]


@pytest.mark.parametrize("probability", [0.4, 0.6])
@pytest.mark.parametrize("agrees", [True, False])
def test_not_sure_asks_what_it_is(page_that_says, examples, tmp_path, probability, agrees):
    page = page_that_says(probability, True)
    panel, _, judged, (right, wrong, _, _) = judge(page, examples / "chelsea.jpg")
    assert "Not sure" in panel
    assert "%" not in panel
    assert (right["value"], wrong["value"]) == ("It is a cat", "It is not a cat")
    page.flag(agrees, judged, False)
    (record,) = records(tmp_path)
    assert (record["verdict"], record["person_says_cat"]) == ("not sure", agrees)


@pytest.mark.parametrize(
    ("probability", "words", "cat"),
    [(1.0, "It's a cat — 99\u00a0%", 0.99), (0.0, "Not a cat — 99\u00a0%", 0.01), (0.874, "87\u00a0%", 0.87)],
)
def test_the_percentage_is_of_the_label_and_never_claims_certainty(
    page_that_says, examples, probability, words, cat
):
    panel, bars, _, _ = judge(page_that_says(probability), examples / "chelsea.jpg")
    assert words in html.unescape(panel)
    assert bars == {"cat": cat, "not a cat": pytest.approx(1 - cat)}


def test_the_same_answer_twice_is_one_record_and_a_new_verdict_is_another(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    for count in (1, 2):
        _, _, judged, _ = judge(page, examples / "chelsea.jpg")
        page.flag(True, judged, False)
        page.flag(True, judged, False)
        assert len(records(tmp_path)) == count


def test_an_answer_after_the_photo_was_deleted_is_kept_and_says_so(page_that_says, tmp_path):
    page = page_that_says(0.9)
    _, _, judged, _ = judge(page, tmp_path / "deleted.jpg")
    *_, said = page.flag(False, judged, True)
    assert "already deleted" in said
    (record,) = records(tmp_path)
    assert (record["person_says_cat"], record["photo"]) == (False, None)


def test_an_answer_to_a_forgotten_verdict_says_what_to_do(page_that_says, tmp_path):
    right, wrong, _, said = page_that_says(0.9).flag(True, None, False)
    assert "show the photo again" in said
    assert not right["interactive"]
    assert not wrong["interactive"]
    assert not (tmp_path / "feedback").exists()
