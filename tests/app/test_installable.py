"""The page as an installable web app: manifest, icons, a sentence without a network, and no photo kept."""

import io

import httpx
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.app.conftest import QUIET, running
from web import text


def test_manifest_and_icons_are_served(server):
    found = httpx.get(f"{server.address}/manifest.json")
    assert found.headers["content-type"].startswith("application/manifest+json")
    described = found.json()
    assert (described["name"], described["display"]) == (text.TITLE, "standalone")
    assert {each["sizes"] for each in described["icons"]} == {"192x192", "512x512"}
    for each in described["icons"]:
        icon = httpx.get(f"{server.address}/{each['src']}")
        assert "x".join(map(str, Image.open(io.BytesIO(icon.content)).size)) == each["sizes"]


def test_a_browser_finds_the_page_installable(visit):
    page = visit()
    manifest = page.locator('link[rel="manifest"]')
    expect(manifest).to_have_attribute("href", "manifest.json")  # below a path too
    session = page.context.new_cdp_session(page)
    found = session.send("Page.getAppManifest")
    assert found["url"].endswith("/manifest.json")
    assert found["errors"] == []
    errors = [
        each["errorId"] for each in session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    ]
    assert set(errors) <= {"in-incognito"}  # as every context of a test is


@pytest.mark.slow
def test_without_the_server_there_is_a_sentence_and_nothing_was_kept(
    playwright, chromium, examples, tmp_path
):
    browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
    page = browser.new_context().new_page()
    with running(tmp_path) as server:
        page.goto(server.address)
        page.locator(".verdict.idle").wait_for()
        page.evaluate("navigator.serviceWorker.ready")
        page.locator("#photo input[type=file]").first.set_input_files(examples / "chelsea.jpg")
        page.locator(".verdict.cat").wait_for()
        page.reload()  # now through the worker
        page.locator(".verdict.idle").wait_for()
        assert page.evaluate("navigator.serviceWorker.controller !== null")
        page.locator("#photo input[type=file]").first.set_input_files(examples / "chelsea.jpg")
        page.locator(".verdict.cat").wait_for()
        assert page.evaluate("caches.keys()") == []
        address = server.address
    page.goto(address)
    assert page.locator("body").inner_text().splitlines()[-1] == text.OFFLINE
    assert page.evaluate("caches.keys()") == []
    browser.close()
