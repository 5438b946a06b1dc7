"""Why, on the page: colours with the verdict, a closer look that can be stopped, a saved file, the camera."""

import base64
import io
import threading

import pytest
from PIL import Image
from playwright.sync_api import expect

from cat_model.explain.render import AGAINST, FOR
from tests.app.conftest import WITHOUT_ENGINE, camera_arguments, film_of
from web.ui import explanation

FIRST_S = 120_000  # the first closer look imports and compiles what SHAP needs


@pytest.fixture
def answered(visit):
    page = visit()
    page.get_by_role("button", name="A cat", exact=True).click()
    page.locator("#overlay .picture").wait_for()
    return page


def colours(page):
    """Return the address of the colours that are on the page now; each answer's has another."""
    return page.locator("#overlay .heat").get_attribute("src")


def test_the_reasons_come_with_the_verdict_and_go_with_the_photo(answered, predictor, examples):
    assert answered.inner_text("#why .sentence") == predictor.explain(examples / "chelsea.jpg", 0).sentence
    assert "speaks for a cat" in answered.inner_text("#why .legend")
    answered.get_by_label("Remove Image").click()
    expect(answered.locator("#why")).to_be_hidden()
    expect(answered.locator("#overlay .picture")).to_have_count(0)
    expect(answered.locator("#colours-on")).to_be_hidden()


def test_a_closer_look_changes_the_colours_and_a_saved_picture_has_them(answered):
    first = colours(answered)
    answered.click("#closer")
    answered.locator("#progress progress").wait_for()
    expect(answered.locator("#overlay .heat")).not_to_have_attribute("src", first, timeout=FIRST_S)
    expect(answered.locator("#closer")).to_be_enabled()
    with answered.expect_download() as download:
        answered.click("#save")
    with Image.open(download.value.path()) as saved, Image.open(io.BytesIO(shown(answered))) as photo:
        assert saved.width == photo.width
        below = saved.convert("RGB").crop((0, photo.height, saved.width, saved.height))
        drawn = saved.crop((0, 0, *photo.size))
        apart = [a - b for a, b in zip(mean(drawn), mean(photo), strict=True)]
    colours_below = {colour for _, colour in below.getcolors(1 << 20)}
    assert {FOR, AGAINST, (0, 0, 0), (255, 255, 255)} <= colours_below  # the legend, and words
    assert apart[0] > apart[2] + 3  # warmer


def shown(page):
    address = page.locator("#overlay .picture img").first.get_attribute("src")
    return base64.b64decode(address.partition(",")[2])


def mean(picture):
    return picture.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))


def test_the_slider_sets_the_strength(answered):
    answered.locator("#strength").fill("0")
    answered.wait_for_function("getComputedStyle(document.querySelector('#overlay .heat')).opacity === '0'")


def test_there_is_one_picture_and_why_switches_its_colours(answered):
    pictures = "[...document.querySelectorAll('#look img:not(#examples img, .heat)')]"
    seen = f"{pictures}.filter(image => getComputedStyle(image).visibility == 'visible').length"
    answered.wait_for_function(f"{seen} == 1")
    photo, stage = (answered.locator(each).bounding_box() for each in ("#overlay .picture", "#photo"))
    assert stage["x"] <= photo["x"]
    assert photo["x"] + photo["width"] <= stage["x"] + stage["width"]
    assert photo["width"] / photo["height"] == pytest.approx(451 / 300, abs=0.02)
    assert photo["width"] > 0.9 * stage["width"] or photo["height"] > 0.8 * stage["height"]
    heat = answered.locator("#overlay .heat")
    expect(heat).to_be_visible()
    answered.get_by_label("Why?").uncheck()
    expect(heat).to_be_hidden()
    answered.wait_for_function(f"{seen} == 1")
    cat = colours(answered)
    answered.get_by_role("button", name="An astronaut", exact=True).click()
    expect(heat).not_to_have_attribute("src", cat)
    expect(heat).to_be_hidden()  # it stays off
    answered.get_by_label("Why?").check()
    heat.wait_for()


def test_a_closer_look_that_nobody_waits_for_ends():
    began, ended = threading.Event(), threading.Event()

    class Endless:
        def explain(self, _, on_progress, **__):
            try:
                while not ended.wait(0.01):
                    on_progress(0.5)
                    began.set()
            finally:
                ended.set()

    steps = explanation.steps(Endless(), "photo.jpg", thorough=False)
    while not began.is_set():
        assert next(steps) in (0.0, 0.5)
    assert not ended.is_set()
    steps.close()
    assert ended.wait(10)


@pytest.mark.slow
def test_the_live_tab_answers_frames_and_stores_none(playwright, chromium, server, examples, tmp_path):
    film = film_of(examples / "chelsea.jpg", tmp_path / "camera.mjpeg")
    stored = {path for path in server.uploads.rglob("*") if path.is_file()}
    browser = playwright.chromium.launch(executable_path=chromium, args=camera_arguments(film))
    pages = [browser.new_context(permissions=["camera"]).new_page() for _ in range(2)]
    for page in pages:
        page.add_init_script(WITHOUT_ENGINE)
        page.goto(server.address)
        page.get_by_role("tab", name="Live").click()
        page.get_by_text("Click to Access Webcam").locator("visible=true").click()
    for page in pages:  # the first is still watched while the second is
        page.locator("#live .verdict.cat").wait_for()
        page.locator("#live .heat").wait_for()
    page = pages[0]  # it began by itself; nothing is recorded, so nothing says "Record"
    page.locator("#camera").get_by_role("button", name="Stop").click()
    page.locator("#camera").get_by_role("button", name="Start").click()
    page.locator("#camera").get_by_role("button", name="Stop").wait_for()
    assert "Record" not in page.locator("#camera").inner_text()
    browser.close()
    assert {path for path in server.uploads.rglob("*") if path.is_file()} <= stored | {
        path for path in server.uploads.rglob("*") if path.name in {p.name for p in examples.iterdir()}
    }
