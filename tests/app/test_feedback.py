"""What the page does with rare verdicts, late answers and the same answer twice; needs no browser."""

import html
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cat_model import Explanation, PhotoError, Verdict
from cat_model.feedback.outbox import Outbox
from cat_model.photo import DEFAULT_LIMITS, decode
from tests.cat_model.feedback.test_record import laden
from tests.made_feedback import numbers
from web.gradio_compat import LightBlocks
from web.server.reload import ReloadingPredictor
from web.settings import ServerSettings
from web.ui import page as page_module
from web.ui.feedback import FeedbackHandlers
from web.ui.photo import PhotoTab


class OneMind:
    """A predictor that says the same of every photo."""

    limits, workers = DEFAULT_LIMITS, 1
    bundle = SimpleNamespace(manifest={"model": {"sha256": "f" * 64}})
    cascade = SimpleNamespace(search="any")

    def __init__(self, verdict):
        self.verdict = verdict
        self.predictor = self
        self.room = threading.BoundedSemaphore(self.workers)

    def explain(self, _, budget, **_options):
        values = np.ones((14, 14))
        return Explanation(values, 0.0, self.verdict, Image.new("RGB", (64, 48)), budget, numbers())

    def embedding(self, photo):
        decode(photo)
        return numbers()


class Page:
    """What a visitor meets; each step returns the new values of the components by their names."""

    def __init__(self, predictor, outbox, lasts=True, deletes=True):
        self.woken = []
        self.predictor = predictor
        wake = lambda: self.woken.append(1)  # noqa: E731
        self.handlers = FeedbackHandlers(predictor, outbox, lasts, wake, lambda: deletes)
        with LightBlocks():
            self.tab = PhotoTab.lay_out(predictor, self.handlers, "about")
        self.row = self.tab.row
        self.names = {part: name for owner in (self.row, self.tab) for name, part in vars(owner).items()}

    def named(self, updates):
        return {self.names[part]: value for part, value in updates.items() if part in self.names}

    def answer(self, photo, wanted=False):
        given = photo if isinstance(photo, bytes) else str(photo)
        return self.named(self.tab.answer_photo(self.predictor, given, wanted))

    def search(self, photo, about):
        return self.named(self.tab.search(self.predictor, str(photo), True, about))

    def say(self, agrees, shown, keep=False, numbers=False, comment=""):
        return self.named(self.row.tell(self.handlers, agrees, shown, keep, numbers, comment))

    def take_back(self, code, shown):
        return self.named(self.row.take_back(self.handlers, code, shown))

    def delete(self, code, kept, shown):
        return self.named(self.row.delete_by_code(self.handlers, code, kept, shown))


def verdict(probability, unsure=False):
    label = "not sure" if unsure else "cat" if probability >= 0.5 else "not a cat"
    return Verdict(probability, probability >= 0.5, unsure, label, "test")


@pytest.fixture
def page_that_says(tmp_path):
    return lambda *what: Page(OneMind(verdict(*what)), Outbox(tmp_path / "feedback"))


def records(tmp_path):
    return [json.loads(path.read_text("utf-8")) for path in (tmp_path / "feedback" / "records").glob("*")]


@pytest.mark.parametrize("probability", [0.4, 0.6])
@pytest.mark.parametrize("agrees", [True, False])
def test_not_sure_asks_what_it_is(page_that_says, examples, tmp_path, probability, agrees):
    page = page_that_says(probability, True)
    said = page.answer(examples / "chelsea.jpg")
    assert "Not sure" in said["answer"]
    assert "%" not in said["answer"]
    assert (said["right"]["value"], said["wrong"]["value"]) == ("It is a cat", "It is not a cat")
    page.say(agrees, said["shown"])
    (record,) = records(tmp_path)
    assert (record["verdict"], record["person_says_cat"]) == ("not sure", agrees)


@pytest.mark.parametrize(
    ("probability", "words", "cat"),
    [(1.0, "It's a cat — 99\u00a0%", 0.99), (0.0, "Not a cat — 99\u00a0%", 0.01), (0.874, "87\u00a0%", 0.87)],
)
def test_the_percentage_is_of_the_label_and_never_claims_certainty(
    page_that_says, examples, probability, words, cat
):
    said = page_that_says(probability).answer(examples / "chelsea.jpg")
    assert words in html.unescape(said["answer"])
    assert said["bars"]["value"] == {"cat": cat, "not a cat": pytest.approx(1 - cat)}


@pytest.mark.parametrize(("probability", "words"), [(0.9, "not a cat"), (0.1, "it's a cat")])
def test_the_button_says_what_wrong_would_mean(page_that_says, examples, probability, words):
    said = page_that_says(probability).answer(examples / "chelsea.jpg")
    assert (said["right"]["value"], said["wrong"]["value"]) == ("Right", f"Wrong — {words}")


def test_the_same_answer_twice_is_one_record_and_a_new_verdict_is_another(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    for count in (1, 2):
        shown = page.answer(examples / "chelsea.jpg")["shown"]
        page.say(True, shown)
        page.say(True, shown)
        assert len(records(tmp_path)) == count


def test_an_answer_after_the_photo_was_deleted_is_kept_and_says_so(page_that_says, tmp_path):
    page = page_that_says(0.9)
    shown = page.answer(tmp_path / "deleted.jpg")["shown"]
    said = page.say(False, shown, keep=True)["thanks"]
    assert "already deleted" in said
    (record,) = records(tmp_path)
    assert (record["person_says_cat"], record["photo"]) == (False, None)


def test_an_answer_is_about_the_photo_that_was_judged_not_the_one_that_came_after(
    page_that_says, examples, tmp_path
):
    page = page_that_says(0.9)
    shown = page.answer(examples / "coffee.jpg")["shown"]
    page.answer(examples / "chelsea.jpg")
    page.say(True, shown, keep=True)
    (kept,) = (tmp_path / "feedback" / "photos").iterdir()
    with Image.open(kept) as photo:
        assert photo.size == (600, 400)  # coffee.jpg


def test_an_answer_to_a_forgotten_verdict_says_what_to_do(page_that_says, tmp_path):
    said = page_that_says(0.9).say(True, None)
    assert "show the photo again" in said["thanks"]
    assert not said["right"]["interactive"]
    assert not said["wrong"]["interactive"]
    assert not (tmp_path / "feedback").exists()


def test_each_box_keeps_what_it_names_and_nothing_more(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    for keep, some, consent in ((False, False, "answer"), (False, True, "numbers"), (True, False, "photo")):
        shown = page.answer(examples / "chelsea.jpg")["shown"]
        code = page.say(True, shown, keep, some)["receipt"]
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
        shown = page.answer(examples / "chelsea.jpg")["shown"]
        said = page.say(True, shown, keep, some)
        assert words in said["thanks"]
        assert f"<code>{said['receipt']}</code>" in said["thanks"]
        assert said["undo"]["visible"]
        inputs = ("right", "wrong", "keep", "numbers", "comment")
        assert [said[part]["interactive"] for part in inputs] == [False] * 5


def test_a_double_click_gets_the_same_receipt(page_that_says, examples):
    page = page_that_says(0.9)
    shown = page.answer(examples / "chelsea.jpg")["shown"]
    assert page.say(True, shown)["receipt"] == page.say(True, shown)["receipt"]


def test_undo_deletes_it_and_another_answer_may_be_given(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    shown = page.answer(examples / "chelsea.jpg")["shown"]
    code = page.say(True, shown, keep=True)["receipt"]
    said = page.take_back(code, shown)
    assert "deleted" in said["thanks"]
    assert (said["right"]["interactive"], said["undo"]["visible"], said["receipt"]) == (True, False, None)
    assert [path for path in (tmp_path / "feedback").rglob("*") if path.is_file()] == []
    assert page.say(False, said["shown"])["receipt"] != code
    (record,) = records(tmp_path)
    assert not record["person_says_cat"]
    assert len(page.woken) == 3


def test_earlier_feedback_is_deleted_by_its_code_and_no_other(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    shown = page.answer(examples / "chelsea.jpg")["shown"]
    code = page.say(True, shown)["receipt"]
    for wrong, words in (
        ("", "not a receipt"),
        ("abc", "not a receipt"),
        (code[:-4] + "aaaa", "no feedback"),
    ):
        said = page.delete(wrong, code, shown)
        assert words in said["deleted"]
        assert 'class="failed"' in said["deleted"]
        assert set(said) == {"deleted"}
    assert len(records(tmp_path)) == 1
    said = page.delete(f" {code} ", None, None)
    assert "is deleted" in said["deleted"]
    assert set(said) == {"deleted"}
    assert records(tmp_path) == []


def test_deleting_by_the_code_just_given_takes_back_the_thanks_as_well(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    shown = page.answer(examples / "chelsea.jpg")["shown"]
    code = page.say(True, shown, keep=True)["receipt"]
    said = page.delete(code.upper(), code, shown)
    assert "is deleted" in said["deleted"]
    assert "Thank you" not in said["thanks"]
    assert (said["right"]["interactive"], said["undo"]["visible"], said["receipt"]) == (True, False, None)
    assert page.say(False, said["shown"])["receipt"] != code


def test_a_photo_that_came_inside_a_message_is_not_kept_in_the_memory(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    shown = page.answer((examples / "chelsea.jpg").read_bytes())["shown"]
    assert shown.photo == ""
    page.say(True, shown, keep=True)
    (record,) = records(tmp_path)
    assert (record["photo"], record["embedding"]) == (None, None)


def test_however_many_press_at_once_one_photo_for_each_interpreter_is_in_memory(examples, tmp_path):
    mind, together = OneMind(verdict(0.9)), []
    page = Page(mind, Outbox(tmp_path / "feedback"))
    shown = [page.answer(examples / "chelsea.jpg")["shown"] for _ in range(8)]
    working = []

    def embedding(photo):
        working.append(photo)
        time.sleep(0.01)
        together.append(len(working))
        working.pop()
        return numbers()

    mind.embedding = embedding
    with ThreadPoolExecutor(8) as visitors:
        list(visitors.map(lambda shown: page.say(True, shown, numbers=True), shown))
    assert together == [1] * 8
    assert len(records(tmp_path)) == 8


def test_a_code_that_only_a_store_can_check_is_noted(examples, tmp_path):
    page = Page(OneMind(verdict(0.9)), Outbox(tmp_path / "feedback", delivers=True))
    assert "as soon as" in page.delete("0" * 16 + "a" * 16, None, None)["deleted"]
    assert page.woken


def test_where_feedback_does_not_last_thanks_say_so(examples, tmp_path):
    for lasts in (True, False):
        page = Page(OneMind(verdict(0.9)), Outbox(tmp_path / str(lasts)), lasts)
        shown = page.answer(examples / "chelsea.jpg")["shown"]
        assert ("until it restarts" in page.say(True, shown)["thanks"]) != lasts


def test_a_comment_that_is_too_long_is_refused_and_nothing_stored(page_that_says, examples, tmp_path):
    page = page_that_says(0.9)
    shown = page.answer(examples / "chelsea.jpg")["shown"]
    said = page.say(True, shown, comment="x" * 281)["thanks"]
    assert "281 characters" in said
    assert 'class="failed"' in said
    assert not (tmp_path / "feedback").exists()
    page.say(True, shown, comment="<b>a tabby</b>")
    assert records(tmp_path)[0]["comment"] == "<b>a tabby</b>"


def test_nothing_written_holds_what_a_photo_carried_or_where_it_came_from(predictor, examples, tmp_path):
    """By the real model, and everything in the folder is searched."""
    serving = ReloadingPredictor(lambda: predictor, predictor.bundle.folder)
    page = Page(serving, Outbox(tmp_path / "feedback"))
    photo = tmp_path / "IMG_Berlin_7734.jpg"
    photo.write_bytes(laden(Image.open(examples / "chelsea.jpg")))
    assert photo.read_bytes().count(b"SECRET") == 6
    shown = page.answer(photo)["shown"]
    page.say(True, shown, keep=True, numbers=True, comment="hello")
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


def test_feedback_waits_for_the_search_that_follows_an_answer(page_that_says, examples):
    page, photo = page_that_says(0.9), examples / "chelsea.jpg"
    quick = page.answer(photo, wanted=True)
    assert not quick["right"]["interactive"]
    assert page.search(photo, quick["shown"])["right"]["interactive"]
    assert page.answer(photo)["right"]["interactive"]


def test_feedback_is_taken_on_the_quick_answer_if_the_search_finds_no_photo(page_that_says, examples):
    page, photo = page_that_says(0.9), examples / "chelsea.jpg"
    quick = page.answer(photo, wanted=True)

    def explain(*_, **__):
        raise PhotoError("It is gone.")

    page.predictor.explain = explain
    assert page.search(photo, quick["shown"])["right"]["interactive"]


def test_where_a_copy_may_stay_every_deletion_says_so(examples, tmp_path):
    for deletes in (True, False):
        outbox = Outbox(tmp_path / str(deletes), delivers=True)
        page = Page(OneMind(verdict(0.9)), outbox, deletes=deletes)
        shown = page.answer(examples / "chelsea.jpg")["shown"]
        code = page.say(True, shown, keep=True)["receipt"]
        said = page.take_back(code, shown)["thanks"]
        assert "is deleted." in said
        assert ("a copy may stay" in said) != deletes
        unknown = page.delete("0" * 16 + "a" * 16, None, None)["deleted"]
        assert ("a copy may stay" in unknown) != deletes


def test_the_privacy_text_follows_what_is_known_of_deletion(tmp_path, monkeypatch):
    problem: list[str | None] = ["not known yet"]

    class Fake:
        status = property(
            lambda _: SimpleNamespace(destination="S3 bucket cats", deletion_problem=problem[0])
        )
        start = wake = lambda _: None

    outbox = Outbox(tmp_path / "feedback", delivers=True)
    monkeypatch.setattr(page_module, "open_outbox", lambda _: (outbox, Fake()))
    monkeypatch.setattr(page_module.SearchCost, "measure_soon", lambda _: None)
    site = page_module.create_app(ServerSettings())
    (about,) = [
        each.fn
        for each in site.blocks.fns.values()
        if each.name == "about" and [one.elem_id for one in each.outputs] == ["privacy-details"]
    ]
    assert "a copy may stay" in about()
    assert "365 days at most" not in about()
    problem[0] = None
    assert "a copy may stay" not in about()
    assert "365 days at most. It goes to the S3 bucket cats." in about()
