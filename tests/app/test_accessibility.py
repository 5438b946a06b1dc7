"""axe-core finds nothing serious in any state of the page, light or dark, wide or narrow.

Each state is reached once and looked at in both colour schemes.
"""

import pytest
from playwright.sync_api import expect

from tests.app import axe
from tests.app.test_page import PHONE
from tests.app.visiting import CAT, OTHER, REFUSED, SCHEMES, answered, example, show, switch
from web import text


@pytest.fixture(scope="session")
def script():
    return axe.source()


@pytest.fixture
def checked(script):
    """Collect what is found in each state, so that one run tells all."""

    def check(page, state):
        for scheme in SCHEMES:
            switch(page, scheme)
            if said := axe.serious(page, script):
                check.found[state, scheme] = said

    check.found = {}
    return check


@pytest.mark.parametrize(
    "device", [{}, pytest.param(PHONE, marks=pytest.mark.slow)], ids=["desktop", "phone"]
)
def test_the_tab_for_a_photo(visit, checked, bad, device):
    page = visit(**device)
    page.get_by_role("button", name="A cat", exact=True).wait_for()
    checked(page, "empty")
    page.get_by_text("What is kept, why").click()
    checked(page, "what is kept")
    for name, verdict in (("An astronaut", OTHER), ("A cat", CAT)):
        example(page, name)
        answered(page, verdict)
        checked(page, name)
    page.get_by_label("Why?").uncheck()
    checked(page, "without colours")
    page.click("#right")
    page.locator("#thanks code").wait_for()
    page.locator("#undo").wait_for()
    checked(page, "thanked")
    page.get_by_label("Receipt code").fill("nonsense")
    page.click("#delete")
    page.locator("#deleted .failed").wait_for()
    checked(page, "not deleted")
    show(page, bad["text.jpg"])
    answered(page, REFUSED)
    checked(page, "refused")
    page.context.set_offline(True)
    show(page, "examples/chelsea.jpg")
    expect(page.locator("#lost")).to_contain_text(text.NOT_REACHED)
    checked(page, "offline")
    page.get_by_label("Capture from camera").click()
    page.locator("#photo").get_by_text("Click to Access Webcam").click()
    page.locator("#photo > .unusable").wait_for()
    checked(page, "no camera")
    assert not checked.found


def test_not_sure_and_looking(visit, checked):
    """The model is often sure; so the panels are put where answers appear."""
    page = visit()
    for panel in (
        text.LOOKING,
        text.panel("unsure", "Not sure", "It may be a cat, it may be something else."),
    ):
        page.locator("#answer .html-container > div").evaluate(
            "(place, html) => place.innerHTML = html", panel
        )
        checked(page, panel)
    assert not checked.found


def test_the_other_tabs(visit, checked, examples, bad):
    page = visit()
    page.get_by_role("tab", name="Live").click()
    page.locator("#camera").get_by_text("Click to Access Webcam").wait_for()
    checked(page, "live")
    page.get_by_role("tab", name=text.SEVERAL).click()
    page.locator("#gallery-files").wait_for(state="attached")
    checked(page, "several, empty")
    files = [examples / "chelsea.jpg", examples / "coffee.jpg", bad["text.jpg"]]
    page.set_input_files("#gallery-files", files)
    expect(page.locator("#gallery-line")).to_contain_text("all 3")
    checked(page, "several")
    page.get_by_role("tab", name=text.ABOUT_MODEL).click()
    page.locator("#figures h2").first.wait_for()
    checked(page, "about")
    assert not checked.found
