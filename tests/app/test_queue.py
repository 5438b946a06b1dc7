"""A page that is too busy says so, beside the new picture, and still takes an answer."""

import threading
from dataclasses import replace

import httpx
import pytest

from tests.app.conftest import free_port

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


@pytest.fixture
def small_page(tmp_path):
    """A page in this process for one photo at a time and two that wait."""
    from cat_model.settings import Settings
    from web.server.app import serve
    from web.settings import ServerSettings
    from web.ui.page import create_app

    model = replace(Settings.from_env(), feedback_dir=tmp_path / "feedback", workers=1)
    settings = replace(ServerSettings.from_env(), model=model, port=free_port(), queue=2, open_browser=False)
    site = create_app(settings)
    yield serve(site, settings), settings
    site.blocks.close(verbose=False)


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
    page.locator(".verdict.cat").wait_for()
    gate.clear()
    fill(address, examples / "coffee.jpg")
    page.get_by_role("button", name="An astronaut", exact=True).click()
    page.locator(".verdict.wrong").wait_for()
    assert "4 visitors are before you. Try again" in page.inner_text("#lost")
    assert page.locator("#right").is_disabled()


def test_who_waits_is_told_how_many_are_before(gate, small_page, visit, examples):
    address, _ = small_page
    page = quick(visit(address))
    page.get_by_role("button", name="A cat", exact=True).click()
    page.locator("#right:enabled").wait_for()
    gate.clear()
    ask(address, examples / "coffee.jpg", 3)  # one is judged, one is next, one waits
    page.get_by_role("button", name="An astronaut", exact=True).click()
    page.get_by_text("3 visitors are before you.").wait_for()
    assert page.inner_text("#answer").split("\n")[0] == "Looking …"
    gate.set()
    page.locator(".verdict.other").wait_for()
    assert "before you" not in page.inner_text("#answer")


def test_a_busy_page_still_takes_an_answer(gate, small_page, visit, examples):
    address, settings = small_page
    page = quick(visit(address))
    page.get_by_role("button", name="A cat", exact=True).click()
    page.locator("#right:enabled").wait_for()
    gate.clear()
    fill(address, examples / "coffee.jpg")
    page.click("#right")
    page.locator("#thanks .thanks:not(:empty)").wait_for()
    assert len(list(settings.model.feedback_dir.glob("records/*.json"))) == 1


def test_while_a_new_photo_is_looked_at_the_old_verdict_is_gone(gate, small_page, visit):
    address, _ = small_page
    page = quick(visit(address))
    page.get_by_role("button", name="A cat", exact=True).click()
    page.locator("#right:enabled").wait_for()
    gate.clear()
    page.get_by_role("button", name="An astronaut", exact=True).click()
    page.locator(".verdict.idle").wait_for()
    assert page.inner_text("#answer").strip() == "Looking …"
    page.locator("#right:disabled").wait_for()
    gate.set()
    page.locator(".verdict.other").wait_for()
