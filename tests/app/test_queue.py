"""A page that is too busy says so, beside the new picture, and still takes an answer."""

import threading
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest
from playwright.sync_api import expect

from tests.app.conftest import free_port
from tests.app.visiting import CAT, OTHER, REFUSED, answered, example

WAIT_S = 60


@pytest.fixture
def gate(monkeypatch):
    """Whether photos are judged at all; open at first."""
    import cat_model

    opened = threading.Event()
    opened.set()
    judge, explain = cat_model.Predictor.predict, cat_model.Predictor.explain
    monkeypatch.setattr(
        cat_model.Predictor, "predict", lambda self, *given: opened.wait(WAIT_S) and judge(self, *given)
    )
    monkeypatch.setattr(
        cat_model.Predictor,
        "explain",
        lambda self, *given, **named: opened.wait(WAIT_S) and explain(self, *given, **named),
    )
    yield opened
    opened.set()


@contextmanager
def in_this_process(folder, **options):
    """A page in this process; options of the model's settings."""
    from cat_model.settings import Settings
    from web.server.app import serve
    from web.settings import ServerSettings
    from web.ui.page import create_app

    model = replace(Settings.from_env(), feedback_dir=folder / "feedback", **options)
    settings = replace(ServerSettings.from_env(), model=model, port=free_port(), queue=2, open_browser=False)
    site = create_app(settings)
    yield serve(site, settings), settings
    site.blocks.close(verbose=False)


@pytest.fixture
def small_page(tmp_path):
    """A page for one photo at a time and two that wait."""
    with in_this_process(tmp_path, workers=1) as page:
        yield page


def quick(page):
    """Switch the thorough search off: it would come as one question more, at a time of its own."""
    box = page.locator("#thorough input")
    box.wait_for()
    box.uncheck()
    return page


def ask(address, photo, times):
    """Ask for so many verdicts; return the statuses."""
    api = f"{address}gradio_api"
    (path,) = httpx.post(f"{api}/upload", files={"files": ("photo.jpg", photo.read_bytes())}).json()
    question = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    return [httpx.post(f"{api}/call/predict", json=question).status_code for _ in range(times)]


def fill(address, photo):
    """Ask for verdicts until the page takes no more."""
    assert 503 in ask(address, photo, 20)


def test_a_busy_page_says_so_and_drops_the_old_verdict(gate, small_page, visit, examples):
    address, _ = small_page
    page = quick(visit(address))
    page.get_by_role("button", name="A cat", exact=True).click()
    answered(page, CAT)
    gate.clear()
    fill(address, examples / "coffee.jpg")
    page.get_by_role("button", name="An astronaut", exact=True).click()
    page.locator(".verdict.wrong").wait_for()
    expect(page.locator("#lost")).to_contain_text("4 visitors are before you. Try again")
    expect(page.locator("#right")).to_be_disabled()


def test_who_waits_is_told_how_many_are_before(gate, small_page, visit, examples):
    address, _ = small_page
    page = quick(visit(address))
    page.get_by_role("button", name="A cat", exact=True).click()
    answered(page, CAT)
    gate.clear()
    ask(address, examples / "coffee.jpg", 3)  # one is judged, one is next, one waits
    page.get_by_role("button", name="An astronaut", exact=True).click()
    page.get_by_text("3 visitors are before you.").wait_for()
    assert page.inner_text("#answer").split("\n")[0] == "Looking …"
    gate.set()
    page.locator(".verdict.other").wait_for()
    assert "before you" not in page.inner_text("#answer")


@pytest.mark.slow
def test_a_busy_page_still_takes_an_answer(gate, small_page, visit, examples):
    address, settings = small_page
    page = quick(visit(address))
    page.get_by_role("button", name="A cat", exact=True).click()
    answered(page, CAT)
    gate.clear()
    fill(address, examples / "coffee.jpg")
    page.click("#right")
    page.locator("#thanks .thanks:not(:empty)").wait_for()
    assert len(list(settings.model.feedback_dir.glob("records/*.json"))) == 1


@pytest.mark.slow
def test_while_a_new_photo_is_looked_at_the_old_verdict_is_gone(gate, small_page, visit):
    address, _ = small_page
    page = quick(visit(address))
    page.get_by_role("button", name="A cat", exact=True).click()
    answered(page, CAT)
    gate.clear()
    page.get_by_role("button", name="An astronaut", exact=True).click()
    page.locator(".verdict.idle").wait_for()
    assert page.inner_text("#answer").strip() == "Looking …"
    page.locator("#right:disabled").wait_for()
    gate.set()
    page.locator(".verdict.other").wait_for()


@pytest.fixture
def held(monkeypatch):
    """Events, by "quick" and "thorough": whether such answers may end (at first they may), are ready."""
    import cat_model

    may_end = {each: threading.Event() for each in ("quick", "thorough")}
    begun = {each: threading.Event() for each in may_end}
    explain = cat_model.Predictor.explain

    def slow(self, *given, thorough=False, **named):
        kind = "thorough" if thorough else "quick"
        explained = explain(self, *given, thorough=thorough, **named)
        begun[kind].set()
        may_end[kind].wait(WAIT_S)
        return explained

    for each in may_end.values():
        each.set()
    monkeypatch.setattr(cat_model.Predictor, "explain", slow)
    yield may_end, begun
    for each in may_end.values():
        each.set()


@pytest.fixture
def searching(held, visit, tmp_path):
    """Open a page for two photos at a time, where a thorough search of a cup of coffee does not end.

    The search follows the answer, or comes when its box is ticked.
    """
    may_end, begun = held

    with in_this_process(tmp_path, workers=2) as (address, _):

        def opened(ticked):
            page = visit(address)
            box = page.locator("#thorough input")
            box.wait_for()
            box.set_checked(not ticked)
            begun["thorough"].clear()  # the page measures the search at its start
            may_end["thorough"].clear()
            example(page, "A cup of coffee")
            page.locator(OTHER).wait_for()
            if ticked:
                answered(page, OTHER)
                box.check()
            assert begun["thorough"].wait(WAIT_S)
            return page

        yield opened


def give(page, content, name, kind):
    page.evaluate(
        "([content, name, type]) => catLine.give(new File([Uint8Array.from(content)], name, { type }))",
        [list(content), name, kind],
    )


@pytest.mark.parametrize("ticked", [False, True])
@pytest.mark.slow
def test_a_search_that_ends_after_the_next_photo_was_refused_does_not_answer_for_it(ticked, searching, held):
    may_end, _ = held
    page = searching(ticked)
    give(page, b"%PDF-1.7", "photo.pdf", "image/unknown")
    page.locator(REFUSED).wait_for()
    may_end["thorough"].set()
    page.wait_for_timeout(1_500)  # for what must not come
    expect(page.locator(REFUSED)).to_be_visible()
    expect(page.locator(OTHER)).to_have_count(0)
    expect(page.locator("#right")).to_be_disabled()


@pytest.mark.parametrize("ticked", [False, True])
@pytest.mark.slow
def test_a_search_that_ends_while_the_next_photo_is_looked_at_does_not_answer_for_it(ticked, searching, held):
    may_end, begun = held
    page = searching(ticked)
    may_end["quick"].clear()
    begun["quick"].clear()
    example(page, "A cat")
    assert begun["quick"].wait(WAIT_S)
    may_end["thorough"].set()
    page.wait_for_timeout(1_500)
    expect(page.locator("#answer .verdict.idle")).to_be_visible()
    may_end["quick"].set()
    page.locator(CAT).wait_for()
    expect(page.locator("#right")).to_be_enabled()


def test_a_photo_that_comes_while_the_last_one_is_searched_is_searched_after_it(searching, held, examples):
    may_end, begun = held
    page = searching(ticked=False)
    give(page, (examples / "chelsea.jpg").read_bytes(), "cat.jpg", "image/jpeg")
    page.locator(CAT).wait_for()
    begun["thorough"].clear()
    may_end["thorough"].set()
    assert begun["thorough"].wait(WAIT_S)
    expect(page.locator("#right")).to_be_enabled()
