"""A line that is cut, or a server that starts again, takes no photo away; it can be tried again."""

import json

import pytest
from playwright.sync_api import expect

from tests.app.conftest import free_port, running
from tests.app.visiting import CAT, OTHER, answered, example, show
from web import text

LOST, AGAIN, NOTE = "#lost .verdict", "#lost .again", ".toast-body.error"


@pytest.fixture
def marked(visit):
    """A page that can be told from one that was loaded anew."""

    def opened(*address):
        page = visit(*address)
        page.locator("#thorough input").wait_for()  # what the page asks for by itself has been answered
        page.evaluate("window.marked = true")
        return page

    return opened


def is_the_same(page):
    return page.evaluate("window.marked === true")


def cut(page):
    """Have every request fail, and break the streams that are open."""
    page.context.set_offline(True)


def test_a_photo_that_was_not_sent_is_kept_and_sent_on_a_click(marked, examples):
    page = marked()
    cut(page)
    show(page, examples / "chelsea.jpg")
    expect(page.locator(LOST)).to_contain_text(text.NOT_REACHED)
    page.click(AGAIN)
    expect(page.locator(LOST)).to_contain_text(text.STILL_NOT_REACHED)
    width = page.locator("#lost img").evaluate("async image => (await image.decode(), image.naturalWidth)")
    assert width == 451
    page.context.set_offline(False)
    page.wait_for_timeout(3_000)  # nothing is done unasked
    expect(page.locator(LOST)).to_be_visible()
    page.click(AGAIN)
    page.locator(CAT).wait_for()
    expect(page.locator(LOST)).to_have_count(0)
    expect(page.locator(NOTE)).to_have_count(0)
    assert is_the_same(page)


@pytest.mark.slow
def test_a_photo_that_was_not_sent_in_place_of_another_is_said_not_to_be_sent(marked, examples):
    page = marked()
    example(page, "An astronaut")
    page.locator(OTHER).wait_for()
    cut(page)
    page.get_by_label("Remove Image").click()
    expect(page.locator("#answer .verdict.idle")).to_have_text("Your answer appears here", timeout=15_000)
    page.wait_for_timeout(500)
    expect(page.locator(LOST)).to_have_count(0)
    show(page, examples / "chelsea.jpg")
    expect(page.locator(LOST)).to_contain_text(text.NOT_REACHED)
    page.wait_for_timeout(500)
    expect(page.locator(LOST)).to_contain_text(text.NOT_REACHED)


def test_an_example_that_was_not_reached_can_be_tried_again(marked):
    page = marked()
    page.get_by_role("button", name="An astronaut", exact=True).wait_for()
    cut(page)
    example(page, "An astronaut")
    page.locator(LOST).wait_for()
    page.context.set_offline(False)
    page.click(AGAIN)
    page.locator(OTHER).wait_for()
    assert is_the_same(page)


@pytest.mark.slow
def test_a_server_that_ends_while_it_looks_leaves_the_photo_and_the_next_one_gets_it(
    marked, examples, tmp_path
):
    """The stream breaks in the middle; later another server is there, with another page."""
    port = free_port()
    with running(tmp_path / "first", port) as first:
        page = marked(first.address)
        page.route("**/queue/data?*", lambda route: (first.process.kill(), route.abort()))
        show(page, examples / "chelsea.jpg")
        expect(page.locator(LOST)).to_contain_text(text.BROKE)
        first.process.wait(30)
    page.unroute_all()
    page.click(AGAIN)
    expect(page.locator(LOST)).to_contain_text(text.STILL_NOT_REACHED)
    with running(tmp_path / "second", port):
        page.wait_for_timeout(3_000)  # Gradio would load the page anew
        assert is_the_same(page)
        page.click(AGAIN)
        page.locator(CAT).wait_for()
        assert "chelsea" not in page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")


@pytest.mark.slow
def test_an_example_of_a_server_that_is_gone_is_taken_from_the_next(marked, tmp_path):
    port = free_port()
    with running(tmp_path / "first", port) as first:
        page = marked(first.address)
        page.get_by_role("button", name="An astronaut", exact=True).wait_for()
    example(page, "An astronaut")
    page.locator(LOST).wait_for()
    with running(tmp_path / "second", port):
        page.click(AGAIN)
        page.locator(OTHER).wait_for()


@pytest.mark.slow
def test_a_stream_that_ends_in_the_middle_fails_the_question_and_the_page_goes_on(marked, examples):
    page, asked = marked(), []

    def break_off(route):
        asked.append(route.request.url)
        if len(asked) > 1:
            route.continue_()
            return
        message = json.dumps({"msg": "heartbeat"})
        route.fulfill(status=200, content_type="text/event-stream", body=f"data: {message}\n\n")

    page.route("**/queue/data?*", break_off)
    show(page, examples / "chelsea.jpg")
    page.locator(LOST).wait_for()
    expect(page.locator(NOTE)).to_have_count(0)
    expect(page.locator(":is(#photo, #lost) img").filter(visible=True)).not_to_have_count(0)
    page.click(AGAIN)
    page.locator(CAT).wait_for()
    assert is_the_same(page)


@pytest.mark.slow
def test_a_kept_photo_goes_with_the_photo_on_the_page(marked, examples):
    page = marked()
    cut(page)
    show(page, examples / "chelsea.jpg")
    page.locator(LOST).wait_for()
    page.context.set_offline(False)
    example(page, "An astronaut")
    page.locator(OTHER).wait_for()
    expect(page.locator(LOST)).to_have_count(0)


def test_feedback_that_does_not_arrive_is_said(marked):
    page = marked()
    example(page, "A cat")
    answered(page, CAT)
    cut(page)
    page.click("#right")
    expect(page.locator("#thanks .failed")).to_contain_text(text.PRESS_LATER)
    expect(page.locator("#right")).to_be_enabled()
    assert is_the_same(page)
