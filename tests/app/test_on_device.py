"""The switch "On this device" of the tab for one photo: what is answered in the browser, and what is sent."""

import json
import shutil

import httpx
import pytest
from PIL import Image, ImageOps
from playwright.sync_api import expect

import cat_model
from cat_model.settings import SHIPPED_BUNDLE
from tests.app import axe
from tests.app.conftest import camera_arguments, film_of, running
from tests.app.test_page import PHONE
from tests.app.visiting import CAT, OTHER, SCHEMES, answered, example, show, switch
from tests.web.test_browser import OLD
from web import text

HERE, SERVER = "#device .verdict", "#answer .verdict"
SAVES_DATA = "Object.defineProperty(navigator, 'connection', { value: { saveData: true } });"
THOROUGH = "#thorough input"
HELD = """
    // Keeps what the engine's worker says back until window.release() is called.
    const released = new Promise(resolve => { window.release = resolve; });
    window.Worker = class extends Worker {
        set onmessage(heard) { super.onmessage = event => released.then(() => heard(event)); }
    };
"""


def watched(page):
    """Note in `page.asked` what a page asks for from now on."""
    page.asked = []

    def note(request):
        page.asked.append(request)

    page.on("request", note)
    return page


@pytest.fixture
def ready(built, visit):
    """Open a page whose browser answers; `page.asked` has what it asks for from then on."""

    def opened(*args, **options):
        page = visit(*args, **{"device": True} | options)
        page.set_default_timeout(60_000)
        page.locator("#device-on:checked").wait_for(timeout=60_000)
        return watched(page)

    return opened


def sent(page):
    """What a page has sent: everything but questions without a body for files that all visitors share."""
    shared = ("/engine/", "/bundle/")
    return [
        each
        for each in page.asked
        if not each.url.startswith(("blob:", "data:"))
        and (each.method != "GET" or not any(part in each.url for part in shared))
    ]


def headline(page, panel):
    return page.locator(f"{panel} .headline").inner_text()


@pytest.mark.slow
def test_who_has_switched_it_off_while_it_was_loaded_keeps_it_off(built, visit, examples):
    page = visit(device=True, script=HELD)
    box = page.locator("#device-on:enabled")
    box.check()
    box.uncheck()
    page.evaluate("release()")
    page.wait_for_timeout(2_000)  # for what must not come
    expect(box).not_to_be_checked()
    show(page, examples / "chelsea.jpg")
    page.locator(f"{SERVER}.cat").wait_for()


def model_of(server):
    """The model that a server answers with."""
    return httpx.get(f"{server.address}/health").json()["model"]


def percent(said):
    return int(said.partition(" — ")[2].removesuffix("\u00a0%") or 0)


def test_a_photo_is_answered_here_and_nothing_of_it_is_sent(ready, server, examples):
    page = ready()
    stored = {path for path in server.uploads.rglob("*") if path.is_file()}
    expect(page.locator("#device-switch")).to_contain_text("New photos stay on this device.")
    show(page, examples / "chelsea.jpg")
    page.locator(f"{HERE}.cat").wait_for()
    page.locator("#device-photo .heat").wait_for()
    expect(page.locator("#device")).to_contain_text("Answered on this device. Your photo was not sent.")
    expect(page.locator(SERVER)).to_be_hidden()
    page.wait_for_timeout(500)
    assert sent(page) == []
    assert {path for path in server.uploads.rglob("*") if path.is_file()} == stored


@pytest.mark.slow
def test_it_goes_on_when_the_server_is_stopped(ready, tmp_path, examples):
    with running(tmp_path) as own:
        page = ready(own.address)
        show(page, examples / "chelsea.jpg")
        page.locator(f"{HERE}.cat").wait_for()
        own.process.terminate()
        own.process.wait(30)
        show(page, examples / "coffee.jpg")
        page.locator(f"{HERE}.other").wait_for()


@pytest.mark.parametrize(
    "name",
    [
        "chelsea.jpg",
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ("astronaut.jpg", "coffee.jpg", "large.jpg")
        ),
        pytest.param("turned.png", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("thorough", [False, True], ids=["quick", "thorough"])
def test_the_verdict_is_the_same_either_way(ready, examples, tmp_path, name, thorough):
    photo = examples / name
    if not photo.exists():
        photo = tmp_path / name
        with Image.open(examples / "coffee.jpg") as picture:
            made = (
                picture.resize((2400, 1800))
                if name == "large.jpg"
                else ImageOps.mirror(picture).convert("RGBA")
            )
            made.save(photo)
    page = ready()
    page.locator(THOROUGH).set_checked(thorough)
    show(page, photo)
    page.get_by_role("button", name="Send this photo").wait_for()
    page.locator(f"{HERE}:not([aria-busy])").wait_for()  # the search mends the quick answer
    here = headline(page, HERE)
    page.get_by_role("button", name="Send this photo").click()
    answered(page, ":is(.cat, .other, .unsure)")
    there = headline(page, SERVER)
    assert there.split(" — ")[0] == here.split(" — ")[0]
    # Browsers round the colours of JPEGs a little differently.
    assert abs(percent(there) - percent(here)) <= (1 if name.endswith(".jpg") else 0)
    expect(page.locator(HERE)).to_have_count(0)


def test_the_thorough_search_is_made_here_when_its_box_is_ticked(ready, examples):
    page = ready()
    page.locator(THOROUGH).uncheck()
    show(page, examples / "astronaut.jpg")
    page.locator(f"{HERE}.other").wait_for()
    page.locator(THOROUGH).check()
    page.locator(f"{HERE}:not([aria-busy])").wait_for()
    verdict = cat_model.load().predict(examples / "astronaut.jpg", thorough=True)
    expect(page.locator(HERE)).to_contain_text(text.verdict_words(verdict)[1])
    # Gradio tells its server of the tick, and that there is no photo.
    assert all(
        json.loads(each.post_data or "null")["data"][0] is None for each in sent(page) if each.post_data
    )


@pytest.mark.slow
def test_what_the_browser_cannot_read_is_sent_only_when_asked(ready, examples, tmp_path):
    with Image.open(examples / "chelsea.jpg") as photo:
        scene = photo.convert("RGB")
    film = tmp_path / "fades-in.gif"
    blank = Image.new("RGB", scene.size)
    blank.save(film, save_all=True, append_images=[Image.blend(blank, scene, 0.5), scene])
    page = ready()
    show(page, film)
    expect(page.locator("#device")).to_contain_text(text.PHOTO_ON_DEVICE["unreadable"])
    expect(page.locator("#device")).to_contain_text("It was not sent.")
    assert sent(page) == []
    page.get_by_role("button", name="Send this photo").click()
    page.locator(f"{SERVER}.cat").wait_for()
    expect(page.locator(SERVER)).to_contain_text("The animation begins blank")


def test_a_file_that_is_no_photo_gets_the_servers_words_when_it_is_sent(ready, bad):
    page = ready()
    show(page, bad["text.jpg"])
    page.locator(f"{HERE}.wrong").wait_for()
    page.get_by_role("button", name="Send this photo").click()
    expect(page.locator(f"{SERVER}.wrong")).to_contain_text(text.CANNOT_LOOK)


def test_a_photo_that_is_sent_by_a_double_click_has_one_answer(ready, examples):
    page = ready()
    show(page, examples / "chelsea.jpg")
    page.locator(f"{HERE}.cat:not([aria-busy])").wait_for()
    page.get_by_role("button", name="Send this photo").dblclick()
    answered(page, ".cat")
    expect(page.locator(HERE)).to_have_count(0)


def test_with_the_switch_off_the_server_answers_and_the_page_says_so_before(ready, examples):
    page = ready()
    page.locator("#device-on").uncheck()
    expect(page.locator("#device-switch")).to_contain_text("New photos are sent to this page's server")
    show(page, examples / "chelsea.jpg")
    page.locator(f"{SERVER}.cat").wait_for()
    assert any("/upload" in each.url for each in sent(page))
    page.locator("#device-on").check()
    show(page, examples / "coffee.jpg")
    page.locator(f"{HERE}.other").wait_for()


@pytest.mark.slow
def test_who_saves_data_is_asked_before_the_model_is_loaded(built, visit, examples):
    page = visit(device=True, script=SAVES_DATA)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#device-on:enabled").wait_for()
    page.wait_for_timeout(1_000)
    expect(page.locator("#device-on")).not_to_be_checked()
    assert [url for url in asked if "/engine/" in url] == []
    page.locator("#device-on").check()
    show(page, examples / "chelsea.jpg")
    page.locator(f"{HERE}.cat").wait_for(timeout=60_000)


@pytest.mark.slow
def test_photos_and_examples_take_each_others_place(ready, examples):
    page = ready()
    example(page, "A cup of coffee")
    page.locator(f"{SERVER}{OTHER}").wait_for()
    page.evaluate(
        "async url => {"
        " const photo = await (await fetch(url)).blob();"
        " catLine.give(new File([photo], 'a.jpg', { type: 'image/jpeg' })); }",
        page.locator("#examples img").first.get_attribute("src"),
    )
    page.locator(f"{HERE}{CAT}").wait_for()
    expect(page.locator("#overlay .picture")).to_have_count(0)
    expect(page.get_by_label("Remove Image")).to_have_count(1)
    example(page, "An astronaut")
    page.locator("#overlay .picture").wait_for()
    page.locator(f"{SERVER}{OTHER}").wait_for()
    expect(page.locator("#device-photo .picture")).to_have_count(0)
    show(page, examples / "chelsea.jpg")
    page.locator(f"{HERE}{CAT}").wait_for()
    page.get_by_label("Remove Image").click()
    page.locator(f"{SERVER}.idle").wait_for()
    expect(page.locator("#device-photo .picture")).to_have_count(0)


@pytest.mark.slow
def test_the_strength_of_the_colours_is_that_of_the_slider(ready, examples):
    page = ready()
    show(page, examples / "chelsea.jpg")
    heat = page.locator("#device-photo .heat")
    heat.wait_for()
    page.locator("#strength").fill("40")
    expect(heat).to_have_css("opacity", "0.4")
    page.get_by_label("Why?").uncheck()
    expect(heat).to_be_hidden()


@pytest.mark.slow
def test_a_bundle_swapped_on_the_server_answers_the_next_photo(ready, tmp_path, examples):
    folder = shutil.copytree(SHIPPED_BUNDLE, tmp_path / "bundle")
    photo = examples / "coffee.jpg"
    before, after = (
        text.verdict_words(cat_model.load(each).predict(photo))[1] for each in (SHIPPED_BUNDLE, OLD)
    )
    assert before != after
    with running(tmp_path / "page", CAT_BUNDLE=folder) as own:
        page = ready(own.address)
        page.locator("#thorough").wait_for(state="attached")
        page.locator(THOROUGH).uncheck()
        show(page, photo)
        expect(page.locator(HERE)).to_contain_text(before)
        model = model_of(own)
        shutil.rmtree(folder)
        shutil.copytree(OLD, folder)
        while model_of(own) == model:
            page.wait_for_timeout(100)
        show(page, photo)
        expect(page.locator(HERE)).to_contain_text(after)


@pytest.mark.slow
def test_the_webcam_of_the_tab_is_answered_here_too(built, playwright, chromium, server, examples, tmp_path):
    film = film_of(examples / "chelsea.jpg", tmp_path / "cat.mjpeg")
    browser = playwright.chromium.launch(executable_path=chromium, args=camera_arguments(film))
    page = browser.new_context(permissions=["camera"]).new_page()
    page.goto(server.address)
    page.locator("#device-on:checked").wait_for(timeout=60_000)
    watched(page)
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.get_by_label("capture photo").click()
    page.locator(f"{HERE}.cat").wait_for()
    assert [each for each in sent(page) if each.method == "POST" and "upload" in each.url] == []
    browser.close()


@pytest.mark.parametrize("form", [{}, pytest.param(PHONE, marks=pytest.mark.slow)], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious(ready, examples, bad, form):
    script = axe.source()
    page = ready(**form)
    found = {}

    def check(state):
        for scheme in SCHEMES:
            switch(page, scheme)
            found[state, scheme] = axe.serious(page, script)

    show(page, examples / "chelsea.jpg")
    page.get_by_role("button", name="Send this photo").wait_for()
    check("answered")
    show(page, bad["text.jpg"])
    page.locator(f"{HERE}.wrong").wait_for()
    check("unreadable")
    page.get_by_role("tab", name="Live").click()
    page.locator("#device-live .start:enabled").wait_for()
    check("live")
    assert not any(found.values()), found
