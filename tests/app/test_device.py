"""The camera in the visitor's own browser: what leaves the device, and what broke other pages of the kind."""

import re
from base64 import b64decode, b64encode
from contextlib import contextmanager

import httpx
import pytest
from PIL import Image
from playwright.sync_api import expect

from cat_model.settings import SHIPPED_BUNDLE
from tests.app.conftest import QUIET, WITHOUT_ENGINE, camera_arguments, film_of, running
from web import text
from web.engine import Engine
from web.settings import ServerSettings
from web.ui import page as page_module

COUNTED = """
window.frames_looked_at = 0;
const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (...given) {
    if (given[0].frame) window.frames_looked_at++;
    return post.apply(this, given);
};
"""
"""Counts the camera's frames that are looked at."""
SLOW_CAMERA = """
navigator.mediaDevices.getUserMedia = async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
    const pen = canvas.getContext("2d"), photo = new Image();
    photo.src = "{photo}";
    await photo.decode();
    window.frames_shown = 0;
    const draw = () => {
        pen.drawImage(photo, 0, 0, 640, 480);
        window.frames_shown++;
    };
    draw();
    setInterval(draw, 700);
    return canvas.captureStream();
};
"""
"""A camera that shows a photo, anew every 700 milliseconds; counts its frames."""
HIDDEN = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
REFUSED = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', '{error}'); };"
SETTINGS_SAY_FRONT = """
const settings = MediaStreamTrack.prototype.getSettings;
MediaStreamTrack.prototype.getSettings = function () {
    return { ...settings.call(this), facingMode: window.wanted.at(-1) };
};
"""
WANTED = """
window.wanted = [];
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = given => {
    window.constraints = given;
    window.wanted.push(given.video.facingMode.ideal);
    return open(given);
};
navigator.mediaDevices.enumerateDevices = async () => [{ kind: "videoinput" }, { kind: "videoinput" }];
"""
"""Notes which cameras are asked for, and lists two of them."""
SMALL = 100
"""Pixels of the width of a cat that the model finds only in a zoom."""
FRAME = """video => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    return canvas.toDataURL();
}"""
"""What a video shows now, as a PNG file."""
THROWS = """
for (const name of ["localStorage", "sessionStorage", "caches", "indexedDB"])
    Object.defineProperty(window, name, { get() { throw new DOMException("", "SecurityError"); } });
"""


class Live:
    """The tab "Live" of a page, as a visitor sees it."""

    def __init__(self, page, address):
        self.page, self.wrong, self.asked = page, [], []
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(address)
        page.get_by_role("tab", name="Live").click()
        self.part = page.locator("#device-live")
        self.start = self.part.locator(".start:enabled")
        self.verdict, self.rate = self.part.locator(".verdict"), self.part.locator(".rate")
        self.film, self.problem = self.part.locator(".film"), self.part.locator(".problem")

    def watch(self):
        self.start.click()
        self.part.locator(".verdict.cat").wait_for()
        return self

    def looks(self):
        return self.page.evaluate("frames_looked_at")

    def looks_on(self):
        self.page.wait_for_function("before => frames_looked_at > before + 2", arg=self.looks())


@contextmanager
def opened(browser, address, *scripts, **options):
    context = browser.new_context(**{"permissions": ["camera"]} | options)
    page = context.new_page()
    page.add_init_script("\n".join(scripts))
    live = Live(page, address)
    yield live
    context.close()
    assert live.wrong == []


@pytest.fixture
def live(built, camera, server):
    with opened(camera, server.address, COUNTED, WANTED, SETTINGS_SAY_FRONT) as watched:
        yield watched


def test_the_camera_is_answered_without_a_request(live):
    expect(live.part).to_contain_text("Your camera's pictures stay on this device.")
    expect(live.page.locator("#server-live")).to_be_hidden()
    live.watch()
    live.asked.clear()
    live.looks_on()
    expect(live.rate).to_have_text(re.compile(r"^\d+ looks a second$"))
    assert live.asked == []
    assert live.film.locator("canvas").evaluate(
        "it => it.getContext('2d').getImageData(0, 0, it.width, it.height).data.some(value => value)"
    )


@pytest.mark.slow
def test_the_camera_goes_on_without_the_server(built, camera, tmp_path):
    with running(tmp_path) as page_server, opened(camera, page_server.address, COUNTED) as live:
        live.watch()
        live.asked.clear()
        page_server.process.terminate()
        page_server.process.wait(30)
        live.looks_on()
        live.page.wait_for_timeout(3_000)  # Gradio's page may ask for its server, about no picture
        live.looks_on()
        expect(live.verdict).to_contain_text("It's a cat")
        assert [url for url in live.asked if "app_id" not in url] == []


def test_no_frame_is_looked_at_twice(built, camera, server, examples):
    photo = b64encode((examples / "chelsea.jpg").read_bytes()).decode()
    slow = SLOW_CAMERA.replace("{photo}", f"data:image/jpeg;base64,{photo}")
    with opened(camera, server.address, COUNTED, slow) as live:
        live.watch()
        live.page.wait_for_function("frames_shown >= 10")
        looks, shown = live.page.evaluate("[frames_looked_at, frames_shown]")
        assert 2 < looks <= shown


@pytest.mark.slow
def test_a_browser_without_frames_of_videos_copies_them(built, camera, server):
    with opened(camera, server.address, COUNTED, "delete window.VideoFrame;") as live:
        live.watch().looks_on()


@pytest.mark.slow
def test_a_browser_whose_workers_cannot_read_such_frames_copies_them(built, camera, server):
    worker = (built.folder / "worker.js").read_text("utf-8")
    refusing = (
        "VideoFrame.prototype.copyTo = async () => { throw new TypeError('no'); };"
        "const draw = OffscreenCanvasRenderingContext2D.prototype.drawImage;"
        "OffscreenCanvasRenderingContext2D.prototype.drawImage = function (shown, ...where) {"
        " if (shown instanceof VideoFrame) throw new TypeError('no');"
        " return draw.call(this, shown, ...where); };"
    )
    context = camera.new_context(permissions=["camera"])
    context.route(
        "**/worker.js", lambda route: route.fulfill(body=refusing + worker, content_type="text/javascript")
    )
    page = context.new_page()
    page.add_init_script(COUNTED)
    live = Live(page, server.address)
    live.watch().looks_on()
    expect(live.problem).to_be_empty()
    context.close()


@pytest.mark.slow
def test_a_still_picture_gets_the_answer_of_the_photo_tab(
    built, playwright, chromium, server, examples, tmp_path
):
    """A cat so small that the quick answer needs every zoom: nothing is left out for the camera."""
    with Image.open(examples / "coffee.jpg") as cup, Image.open(examples / "chelsea.jpg") as cat:
        scene = cup.convert("RGB").resize((640, 480))
        scene.paste(cat.resize((SMALL, SMALL * 2 // 3)), (400, 250))
    scene.save(tmp_path / "scene.png")
    film = film_of(tmp_path / "scene.png", tmp_path / "scene.mjpeg")
    launched = playwright.chromium.launch(executable_path=chromium, args=camera_arguments(film))
    with opened(launched, server.address) as live:
        live.start.click()
        expect(live.rate).to_have_text(re.compile(r"^\d+ looks a second$"))
        frame = live.film.locator("video").evaluate(FRAME)
        watched = live.verdict.locator("p").first.inner_text()
        live.page.get_by_role("tab", name="Photo", exact=True).click()
        live.page.locator("#device-on:checked").wait_for()
        live.page.locator("#photo input[type=file]").set_input_files(
            {"name": "frame.png", "mimeType": "image/png", "buffer": b64decode(frame.partition(",")[2])}
        )
        answer = live.page.locator("#device .verdict:not(.idle) p").first
        expect(answer).to_have_text(watched)
    launched.close()


@pytest.mark.slow
def test_the_video_is_muted_in_the_page_and_plays_inline(live):
    video = live.watch().film.locator("video")
    assert video.evaluate("it => [it.muted, it.playsInline, it.isConnected, it.paused]") == [
        True,
        True,
        True,
        False,
    ]
    attributes = "it => [it.hasAttribute('muted'), it.hasAttribute('playsinline')]"
    assert video.evaluate(attributes) == [True, True]


def test_the_rear_camera_comes_first_and_only_a_front_one_is_mirrored(live):
    live.watch()
    assert live.page.evaluate("constraints.video.facingMode") == {"ideal": "environment"}
    expect(live.film).not_to_contain_class("mirrored")
    live.part.get_by_role("button", name=text.OTHER_CAMERA).click()
    live.page.wait_for_function("wanted.length == 2")
    expect(live.film).to_contain_class("mirrored")
    live.part.locator(".verdict.cat").wait_for()
    assert live.page.evaluate("wanted") == ["environment", "user"]


def test_a_hidden_tab_stops_looking_and_goes_on_when_shown(live):
    live.watch().looks_on()
    live.page.evaluate(HIDDEN, True)
    live.page.wait_for_timeout(500)  # a look that was begun ends
    before = live.looks()
    live.page.wait_for_timeout(700)
    assert live.looks() == before
    live.page.evaluate(HIDDEN, False)
    live.looks_on()


@pytest.mark.slow
def test_a_camera_that_is_muted_for_a_while_is_waited_for(live):
    live.watch().looks_on()
    mute = """muted => {
        const track = document.querySelector(".film video").srcObject.getTracks()[0];
        Object.defineProperty(track, "muted", { value: muted, configurable: true });
        if (!muted) track.dispatchEvent(new Event("unmute"));
    }"""
    live.page.evaluate(mute, True)
    live.page.wait_for_timeout(500)
    before = live.looks()
    live.page.wait_for_timeout(700)
    assert live.looks() == before
    live.page.evaluate(mute, False)
    live.looks_on()


@pytest.mark.slow
def test_another_tab_of_the_page_ends_the_camera(live):
    live.watch()
    live.page.evaluate("window.track = document.querySelector('.film video').srcObject.getTracks()[0]")
    live.page.get_by_role("tab", name="Photo", exact=True).click()
    live.page.wait_for_function("track.readyState == 'ended'")
    live.page.get_by_role("tab", name="Live").click()
    live.watch()


@pytest.mark.slow
def test_a_camera_that_is_taken_away_offers_to_start_again(live):
    live.watch()
    live.page.evaluate(
        "document.querySelector('.film video').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))"
    )
    expect(live.problem).to_have_text(text.DEVICE_LIVE["ended"])
    expect(live.start).to_have_text(text.DEVICE_LIVE["start"])
    expect(live.film).to_be_hidden()
    live.watch()
    expect(live.problem).to_be_empty()


@pytest.mark.parametrize(
    ("error", "why"),
    [
        ("NotAllowedError", "denied"),
        pytest.param("NotFoundError", "none", marks=pytest.mark.slow),
        pytest.param("NotReadableError", "used", marks=pytest.mark.slow),
        pytest.param("Odd", "other", marks=pytest.mark.slow),
    ],
)
def test_why_there_is_no_camera_is_said(built, camera, server, error, why):
    with opened(camera, server.address, REFUSED.replace("{error}", error)) as live:
        live.start.click()
        expect(live.problem).to_contain_text(text.CAMERA[why])
        expect(live.start).to_have_text(text.DEVICE_LIVE["start"])


@pytest.mark.slow
def test_a_permission_denied_long_ago_gets_the_sentence_that_says_where_to_allow_it(
    built, playwright, chromium, server
):
    # A browser without a head, and without the flag that allows all, denies what nobody allowed.
    launched = playwright.chromium.launch(
        executable_path=chromium, args=(*QUIET, "--use-fake-device-for-media-stream")
    )
    with opened(launched, server.address, permissions=[]) as live:
        live.start.click()
        expect(live.problem).to_contain_text("You can allow it beside the page's address")
    launched.close()


@pytest.mark.slow
def test_without_https_the_page_says_why_there_is_no_camera(built, camera, server):
    insecure = "Object.defineProperty(window, 'isSecureContext', { value: false });"
    with opened(camera, server.address, insecure) as live:
        live.start.click()
        expect(live.problem).to_have_text(text.CAMERA["insecure"])


@pytest.mark.slow
def test_a_low_battery_halves_the_rate_and_the_page_says_so(built, camera, server):
    battery = "navigator.getBattery = async () => ({ charging: false, level: 0.1 });"
    with opened(camera, server.address, battery) as live:
        live.watch()
        expect(live.rate).to_contain_text("your battery is low")


@pytest.mark.slow
def test_storage_that_throws_is_done_without(built, camera, server):
    with opened(camera, server.address, THROWS) as live:
        live.watch()


def test_the_worker_goes_by_its_own_policy_and_only_the_hosts_own_is_asked(live, server):
    live.watch()
    assert all(url.startswith((server.address, "blob:", "data:")) for url in live.asked), live.asked
    (worker,) = [url for url in live.asked if url.endswith("worker.js")]
    policy = httpx.get(worker).headers["content-security-policy"]
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy


@pytest.mark.slow
def test_a_second_visit_downloads_nothing_again(built, camera, tmp_path):
    with running(tmp_path) as page_server:
        context = camera.new_context(permissions=["camera"])
        for visit in range(2):
            if visit:
                before = (tmp_path / "log.txt").read_text("utf-8")
            Live(context.new_page(), page_server.address).watch()
        context.close()
        said = (tmp_path / "log.txt").read_text("utf-8").removeprefix(before)
    lines = [line for line in said.splitlines() if '"engine"' in line or '"bundle"' in line]
    assert lines
    assert all('"status": 304' in line and '"bundle"' in line for line in lines), lines


@pytest.mark.slow
def test_below_a_path_it_works_too(built, camera, tmp_path):
    with running(tmp_path, CAT_ROOT_PATH="/cats") as below:
        address = f"{below.address}/cats/"
        with opened(camera, address) as live:
            live.watch()
            ours = [url for url in live.asked if "/engine/" in url or "/bundle/" in url]
    assert ours
    assert all(url.startswith(address) for url in ours)


@pytest.mark.parametrize(
    "script",
    [
        WITHOUT_ENGINE,
        pytest.param(
            "window.Worker = class { constructor() { throw new Error('broken'); } };", marks=pytest.mark.slow
        ),
        pytest.param("delete window.OffscreenCanvas;", marks=pytest.mark.slow),
    ],
    ids=["no WebAssembly", "no worker", "no canvas"],
)
def test_where_the_engine_cannot_run_the_servers_camera_is_there(built, camera, server, script):
    with opened(camera, server.address, script) as live:
        expect(live.page.locator("#server-live")).to_contain_text("This browser cannot run the model")
        expect(live.part).to_be_hidden()
        live.page.get_by_text("Click to Access Webcam").locator("visible=true").click()
        live.page.locator("#live .verdict.cat").wait_for()


@pytest.mark.slow
def test_a_model_that_fails_its_self_test_leaves_all_to_the_server(built, camera, server):
    context = camera.new_context(permissions=["camera"])
    context.route("**/bundle/manifest.json", lambda route: route.fulfill(json={"schema": 99}))
    live = Live(context.new_page(), server.address)
    expect(live.page.locator("#server-live")).to_contain_text("This browser cannot run the model")
    context.close()


@pytest.mark.slow
def test_a_browser_that_changes_what_is_drawn_leaves_all_to_the_server(built, camera, server):
    noise = (
        "const read = OffscreenCanvasRenderingContext2D.prototype.getImageData;"
        "OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...where) {"
        " const found = read.apply(this, where); found.data[0] ^= 1; return found; };"
    )
    worker = (built.folder / "worker.js").read_text("utf-8")
    context = camera.new_context(permissions=["camera"])
    context.route(
        "**/worker.js", lambda route: route.fulfill(body=noise + worker, content_type="text/javascript")
    )
    live = Live(context.new_page(), server.address)
    expect(live.page.locator("#server-live")).to_contain_text("This browser cannot run the model")
    context.close()


def test_without_a_build_the_live_tab_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(Engine, "find", classmethod(lambda cls: None))
    settings = ServerSettings.from_env({"CAT_BUNDLE": str(SHIPPED_BUNDLE), "CAT_FEEDBACK_DIR": str(tmp_path)})
    site = page_module.create_app(settings)
    config = str(site.blocks.get_config_file())
    assert text.NOT_BUILT in config
    assert "python -m web.build" in text.NOT_BUILT
    assert "device-live" not in config
    assert site.engine is None
