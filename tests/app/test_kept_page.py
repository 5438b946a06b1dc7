"""The page that tests share holds nothing of the test before."""

from playwright.sync_api import expect

from tests.app.conftest import WITHOUT_ENGINE
from tests.app.visiting import CAT, example, switch

STORED = """async () => {
    localStorage.setItem("left", "behind");
    sessionStorage.setItem("left", "behind");
    await caches.open("left");
}"""
LEFT = "async () => [localStorage.length, sessionStorage.length, await caches.keys()]"


def test_what_a_test_has_left_is_gone_for_the_next(kept_page, server):
    page = kept_page.lend()
    kept_page.clean(server.address)
    with page.add_init_script(WITHOUT_ENGINE):
        page.goto(server.address)
        before = page.evaluate(LEFT)
        switch(page, "dark")
        page.evaluate(STORED)
        page.route("**/*", lambda route: route.abort())
        page.context.set_offline(True)
    kept_page.clean(server.address)
    assert kept_page.lend() is page
    page.goto(server.address)
    assert page.evaluate("globalThis.WebAssembly !== undefined")
    assert page.evaluate(LEFT) == before
    expect(page.locator("body.dark")).to_have_count(0)
    example(page, "A cat")
    page.locator(CAT).wait_for()
    kept_page.clean(server.address)


def test_only_a_visit_without_options_is_in_it(visit, kept_page):
    assert visit(color_scheme="dark") is not kept_page.lend()
    assert visit(own=True) is not kept_page.lend()
    assert visit() is kept_page.lend()
    assert visit() is not kept_page.lend()


def test_after_a_drop_there_is_a_new_one(kept_page):
    before = kept_page.lend()
    kept_page.drop()
    assert before.is_closed()
    assert not kept_page.lend().is_closed()
