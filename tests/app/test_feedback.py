"""What the page does with rare verdicts, late answers and the same answer twice; needs no browser."""

import html
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from cat_model import Explanation, PhotoError, Verdict
from cat_model.outbox import Outbox
from cat_model.photo import DEFAULT_LIMITS, decode
from cat_model.serving import Serving
from tests.cat_model.test_feedback import laden
from tests.flags import numbers
from web import flags
from web.page import Page


class OneMind:
    """A predictor that says the same of every photo."""

    limits, workers = DEFAULT_LIMITS, 1
    bundle = SimpleNamespace(manifest={"model": {"sha256": "f" * 64}})

    def __init__(self, verdict):
        self.verdict = verdict
        self.predictor = self
        self.room = threading.BoundedSemaphore(self.workers)

    def explain(self, _, budget):
        values = np.ones((14, 14))
        return Explanation(values, 0.0, self.verdict, Image.new("RGB", (64, 48)), budget, numbers())

    def embedding(self, photo):
        decode(photo)
        return numbers()


class Both:
    """What a visitor meets: the page that judges and the desk that takes what is said of it."""

    def __init__(self, predictor, outbox, lasts=True):
        self.woken = []
        self.outbox = outbox
        self.judge = Page(predictor).judge
        self.desk = flags.Desk(predictor, outbox, lasts, lambda: self.woken.append(1))

    def flag(self, agrees, shown, keep=False, numbers=False, comment=""):
        """The two buttons, the two boxes, the comment, what is said, the button to undo, the receipt."""
        return self.desk.flag(agrees, shown, keep, numbers, comment)


def verdict(probability, unsure=False):
    label = "not sure" if unsure else "cat" if probability >= 0.5 else "not a cat"
    return Verdict(probability, probability >= 0.5, unsure, label, "test")


@pytest.fixture
def page_that_says(tmp_path):
    return lambda *what: Both(OneMind(verdict(*what)), Outbox(tmp_path / "feedback"))


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
    panel, _, judged, (right, wrong, *_) = judge(page, examples / "chelsea.jpg")
    assert "Not sure" in panel
    assert "%" not in panel
    assert (right["value"], wrong["value"]) == ("It is a cat", "It is not a cat")
    page.flag(agrees, judged)
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


@pytest.mark.parametrize(("probability", "words"), [(0.9, "not a cat"), (0.1, "it's a cat")])
def test_the_button_says_what_wrong_would_mean(page_that_says, examples, probability, words):
    _, _, _, (right, wrong, *_) = judge(page_that_says(probability), examples / "chelsea.jpg")
    assert (right["value"], wrong["value"]) == ("Right", f"Wrong — {words}")


def test_the_same_answer_twice_is_one_record_and_a_new_verdict_is_another(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    for count in (1, 2):
        _, _, judged, _ = judge(page, examples / "chelsea.jpg")
        page.flag(True, judged)
        page.flag(True, judged)
        assert len(records(tmp_path)) == count


def test_an_answer_after_the_photo_was_deleted_is_kept_and_says_so(page_that_says, tmp_path):
    page = page_that_says(0.9)
    _, _, judged, _ = judge(page, tmp_path / "deleted.jpg")
    said = page.flag(False, judged, keep=True)[5]
    assert "already deleted" in said
    (record,) = records(tmp_path)
    assert (record["person_says_cat"], record["photo"]) == (False, None)


def test_an_answer_is_about_the_photo_that_was_judged_not_the_one_that_came_after(
    page_that_says, examples, tmp_path
):
    page = page_that_says(0.9)
    _, _, judged, _ = judge(page, examples / "coffee.jpg")
    judge(page, examples / "chelsea.jpg")
    page.flag(True, judged, keep=True)
    (kept,) = (tmp_path / "feedback" / "photos").iterdir()
    with Image.open(kept) as photo:
        assert photo.size == (600, 400)  # coffee.jpg


def test_an_answer_to_a_forgotten_verdict_says_what_to_do(page_that_says, tmp_path):
    right, wrong, _, _, _, said, _, _ = page_that_says(0.9).flag(True, None)
    assert "show the photo again" in said
    assert not right["interactive"]
    assert not wrong["interactive"]
    assert not (tmp_path / "feedback").exists()


def test_each_box_keeps_what_it_names_and_nothing_more(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    for keep, some, consent in ((False, False, "answer"), (False, True, "numbers"), (True, False, "photo")):
        _, _, judged, _ = judge(page, examples / "chelsea.jpg")
        code = page.flag(True, judged, keep, some)[7]
        told = json.loads((tmp_path / "feedback/records" / f"{code.replace('-', '')[:16]}.json").read_text())
        assert told["consent"] == consent
        assert (told["embedding"] is not None, told["photo"] is not None) == (consent != "answer", keep)
        assert (told["comment"], told["bundle_sha256"]) == ("", "f" * 64)


def test_thanks_come_with_a_receipt_and_what_was_kept(page_that_says, examples):
    page = page_that_says(0.9)
    for keep, some, words in (
        (False, False, "photo is not"),
        (False, True, "numbers"),
        (True, True, "photo are"),
    ):
        _, _, judged, _ = judge(page, examples / "chelsea.jpg")
        *row, said, undo, code = page.flag(True, judged, keep, some)
        assert words in said
        assert f"<code>{code}</code>" in said
        assert undo["visible"]
        assert [part["interactive"] for part in row] == [False] * 5


def test_a_double_click_gets_the_same_receipt(page_that_says, examples):
    page = page_that_says(0.9)
    _, _, judged, _ = judge(page, examples / "chelsea.jpg")
    assert page.flag(True, judged)[7] == page.flag(True, judged)[7]


def test_undo_deletes_it_and_another_answer_may_be_given(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    _, _, judged, _ = judge(page, examples / "chelsea.jpg")
    code = page.flag(True, judged, keep=True)[7]
    right, *_, said, undo, kept, anew = page.desk.take_back(code, judged)
    assert "deleted" in said
    assert (right["interactive"], undo["visible"], kept) == (True, False, None)
    assert [path for path in (tmp_path / "feedback").rglob("*") if path.is_file()] == []
    assert page.flag(False, anew)[7] != code
    (record,) = records(tmp_path)
    assert not record["person_says_cat"]
    assert len(page.woken) == 3


def test_earlier_feedback_is_deleted_by_its_code_and_no_other(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    _, _, judged, _ = judge(page, examples / "chelsea.jpg")
    code = page.flag(True, judged)[7]
    for wrong, words in (
        ("", "not a receipt"),
        ("abc", "not a receipt"),
        (code[:-4] + "aaaa", "no feedback"),
    ):
        *row, said = page.desk.delete(wrong, code, judged)
        assert words in said
        assert 'class="failed"' in said
        assert all(part == gr.skip() for part in row)
    assert len(records(tmp_path)) == 1
    *row, said = page.desk.delete(f" {code} ", None, None)
    assert "is deleted" in said
    assert all(part == gr.skip() for part in row)
    assert records(tmp_path) == []


def test_deleting_by_the_code_just_given_takes_back_the_thanks_as_well(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    _, _, judged, _ = judge(page, examples / "chelsea.jpg")
    code = page.flag(True, judged, keep=True)[7]
    right, *_, thanks, undo, kept, anew, said = page.desk.delete(code.upper(), code, judged)
    assert "is deleted" in said
    assert "Thank you" not in thanks
    assert (right["interactive"], undo["visible"], kept) == (True, False, None)
    assert page.flag(False, anew)[7] != code


def test_a_photo_that_came_inside_a_message_is_not_kept_in_the_memory(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    judged = page.judge((examples / "chelsea.jpg").read_bytes())[2]
    assert judged.photo == ""
    page.flag(True, judged, keep=True)
    (record,) = records(tmp_path)
    assert (record["photo"], record["embedding"]) == (None, None)


def test_however_many_press_at_once_one_photo_for_each_interpreter_is_in_memory(examples, tmp_path):
    mind, together = OneMind(verdict(0.9)), []
    page = Both(mind, Outbox(tmp_path / "feedback"))
    judged = [judge(page, examples / "chelsea.jpg")[2] for _ in range(8)]
    working = []

    def embedding(photo):
        working.append(photo)
        time.sleep(0.01)
        together.append(len(working))
        working.pop()
        return numbers()

    mind.embedding = embedding
    with ThreadPoolExecutor(8) as visitors:
        list(visitors.map(lambda shown: page.flag(True, shown, numbers=True), judged))
    assert together == [1] * 8
    assert len(records(tmp_path)) == 8


def test_a_code_that_only_a_store_can_check_is_noted(examples, tmp_path):
    page = Both(OneMind(verdict(0.9)), Outbox(tmp_path / "feedback", delivers=True))
    assert "as soon as" in page.desk.delete("0" * 16 + "a" * 16, None, None)[-1]
    assert page.woken


def test_where_feedback_does_not_last_thanks_say_so(examples, tmp_path):
    for lasts in (True, False):
        page = Both(OneMind(verdict(0.9)), Outbox(tmp_path / str(lasts)), lasts)
        _, _, judged, _ = judge(page, examples / "chelsea.jpg")
        assert ("until it restarts" in page.flag(True, judged)[5]) != lasts


def test_a_comment_that_is_too_long_is_refused_and_nothing_stored(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    _, _, judged, _ = judge(page, examples / "chelsea.jpg")
    said = page.flag(True, judged, comment="x" * 281)[5]
    assert "281 characters" in said
    assert 'class="failed"' in said
    assert not (tmp_path / "feedback").exists()
    page.flag(True, judged, comment="<b>a tabby</b>")
    assert records(tmp_path)[0]["comment"] == "<b>a tabby</b>"


def test_nothing_written_holds_what_a_photo_carried_or_where_it_came_from(predictor, examples, tmp_path):
    """By the real model, and everything in the folder is searched."""
    serving = Serving(lambda: predictor, predictor.bundle.folder)
    page = Both(serving, Outbox(tmp_path / "feedback"))
    photo = tmp_path / "IMG_Berlin_7734.jpg"
    photo.write_bytes(laden(Image.open(examples / "chelsea.jpg")))
    assert photo.read_bytes().count(b"SECRET") == 6
    _, _, judged, _ = judge(page, photo)
    page.flag(True, judged, keep=True, numbers=True, comment="hello")
    written = [path for path in (tmp_path / "feedback").rglob("*") if path.is_file()]
    assert len(written) == 2
    for path in written:
        for secret in (
            b"SECRET",
            b"Exif",
            b"GPS",
            b"xpacket",
            b"ns.adobe",
            b"ICC_PROFILE",
            b"Berlin",
            b"7734",
        ):
            assert secret not in path.read_bytes()
            assert secret.decode() not in path.name
    (record,) = records(tmp_path)
    assert set(record) == {
        "schema", "token", "hour", "model_version", "bundle_sha256", "probability", "verdict",
        "person_says_cat", "comment", "consent", "embedding", "photo",
    }  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00:00\+00:00", record["hour"])


def test_a_photo_that_cannot_be_used_gives_no_numbers(predictor, tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    with pytest.raises(PhotoError):
        predictor.embedding(tmp_path / "text.jpg")
