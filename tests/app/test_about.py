"""The tab that tells how good the model is, in a real browser."""

import shutil
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from cat_model.bundle import CARD, SHIPPED_BUNDLE
from tests.app.conftest import running
from tests.app.visiting import SCHEMES, switch
from web import text

OLD = Path(__file__).parents[1] / "data" / "old" / "bundle"


def opened(page):
    page.get_by_role("tab", name=text.ABOUT_MODEL).click()
    page.locator("#figures").wait_for()
    return page


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_tells_how_good_its_model_is(visit, predictor, width):
    page = opened(visit(viewport={"width": width, "height": 844}))
    for scheme in SCHEMES:
        switch(page, scheme)
        words = page.inner_text("#figures")
        assert predictor.bundle.version in words
        assert text.HOW_GOOD in words
        assert page.locator("svg.calibration circle").count()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_model_card_is_a_click_away(visit, server, predictor):
    page = opened(visit())
    with page.context.expect_page() as card:
        page.get_by_text(text.CARD).click()
    expect(card.value.locator("body")).to_contain_text(predictor.bundle.version)
    answer = httpx.get(f"{server.address}/{text.CARD_ADDRESS}")
    assert answer.text == (predictor.bundle.folder / CARD).read_text("utf-8")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.slow
def test_a_newer_model_is_told_of_when_it_answers(visit, tmp_path):
    """An old bundle without a card is replaced by the shipped one while the page runs."""
    bundle = tmp_path / "bundle"
    shutil.copytree(OLD, bundle)
    (bundle / CARD).unlink(missing_ok=True)
    with running(tmp_path, CAT_BUNDLE=bundle) as page_server:
        page = opened(visit(page_server.address))
        assert "tiny-64-d3a0e2f3" in page.inner_text("#figures")
        assert text.THOROUGHLY in page.inner_text("#figures .missing")
        assert page.get_by_text(text.CARD).count() == 0
        assert httpx.get(f"{page_server.address}/{text.CARD_ADDRESS}").status_code == 404
        bundle.rename(tmp_path / "before")
        shutil.copytree(SHIPPED_BUNDLE, tmp_path / "next")
        (tmp_path / "next").rename(bundle)
        while "tiny-64" in httpx.get(f"{page_server.address}/health").json()["model"]:
            page.wait_for_timeout(100)
        page.get_by_role("tab", name="Photo", exact=True).click()
        page.get_by_role("tab", name=text.ABOUT_MODEL).click()
        page.get_by_text(text.CARD).wait_for()
        assert "tiny-64" not in page.inner_text("#figures")
