"""Why, on the page: colours with the verdict, a closer look that can be stopped, a saved file, the camera."""

import base64
import io
import threading

import pytest
from PIL import Image

from cat_model.explain_look import AGAINST, FOR
from tests.app.conftest import QUIET
from web import why

FIRST_S = 120_000  # the first closer look imports and compiles what SHAP needs


@pytest.fixture
def answered(visit):
    page = visit()
    page.get_by_role("button", name="A cat", exact=True).click()
    page.locator("#why .picture").wait_for()
    return page


def colours(page):
    return page.locator("#why .heat").get_attribute("src")


def test_the_reasons_come_with_the_verdict_and_go_with_the_photo(answered, predictor, examples):
    assert answered.inner_text("#why .sentence") == predictor.explain(examples / "chelsea.jpg", 0).sentence
    assert "speaks for a cat" in answered.inner_text("#why .legend")
    answered.get_by_label("Remove Image").click()
    answered.locator("#why").wait_for(state="hidden")


def test_a_closer_look_changes_the_colours_and_a_saved_picture_has_them(answered):
    first = colours(answered)
    answered.click("#closer")
    answered.locator("#progress progress").wait_for()
    answered.locator("#closer:enabled").wait_for(timeout=FIRST_S)
    assert colours(answered) != first
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
    address = page.locator("#why .picture img").first.get_attribute("src")
    return base64.b64decode(address.partition(",")[2])


def mean(picture):
    return picture.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))


def test_the_slider_sets_the_strength(answered):
    answered.locator("#strength input[type=range]").fill("0")
    answered.wait_for_function("getComputedStyle(document.querySelector('#why .heat')).opacity === '0'")


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

    steps = why.steps(Endless(), "photo.jpg")
    while not began.is_set():
        assert next(steps) in (0.0, 0.5)
    assert not ended.is_set()
    steps.close()
    assert ended.wait(10)


def test_the_live_tab_answers_frames_and_stores_none(playwright, chromium, server, examples, tmp_path):
    frame = io.BytesIO()
    Image.open(examples / "chelsea.jpg").resize((640, 480)).save(frame, "JPEG", quality=95)
    video = tmp_path / "camera.mjpeg"
    video.write_bytes(frame.getvalue() * 30)
    camera = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
    )
    stored = {path for path in server.uploads.rglob("*") if path.is_file()}
    browser = playwright.chromium.launch(executable_path=chromium, args=(*QUIET, *camera))
    pages = [browser.new_context(permissions=["camera"]).new_page() for _ in range(2)]
    for page in pages:
        page.goto(server.address)
        page.get_by_role("tab", name="Live").click()
        page.get_by_text("Click to Access Webcam").locator("visible=true").click()
        page.locator("#camera").get_by_label("capture photo").click()
    for page in pages:  # the first is still watched while the second is
        page.locator("#live .verdict.cat").wait_for()
        page.locator("#live .heat").wait_for()
    browser.close()
    assert {path for path in server.uploads.rglob("*") if path.is_file()} <= stored | {
        path for path in server.uploads.rglob("*") if path.name in {p.name for p in examples.iterdir()}
    }
