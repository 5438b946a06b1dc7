"""The site without a server, in a real browser: under a sub-path of a host that only sends files."""

import json
import re
import shutil
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

import cat_model
from benchmarks.browser import BUILT, ENGINE
from cat_model.bundle import Bundle, sha256
from cat_model.settings import SHIPPED_BUNDLE
from deploy import static
from tests.app.conftest import camera_arguments, film_of

MOST_BYTES = 7_000_000
KEPT = "It works without a network now, too."


class Host:
    """A static host: its address, the bytes it sent and what was asked for."""

    def __init__(self, folder):
        self.folder, self.asked, self.sent = folder, [], 0
        host = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self):
                host.asked.append(self.path)
                super().do_GET()

            def copyfile(self, source, outputfile):
                content = source.read()
                host.sent += len(content)
                outputfile.write(content)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        self.address = f"{self.origin}/some/path/"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if not (BUILT / ENGINE).exists():
        pytest.skip("The engine for browsers is not built: run `python -m web.build`.")
    root = tmp_path_factory.mktemp("host")
    static.write(root / "some" / "path", static.site())
    return root


@pytest.fixture
def host(folder):
    started = Host(folder)
    yield started
    started.stop()


@contextmanager
def visited(browser, host, script="", **options):
    """Open the site in a context of its own; everything that goes wrong in it ends the test."""
    context = browser.new_context(**options)
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asked: None if own(asked.url, host) else wrong.append(asked.url))
    page.add_init_script(script)
    page.goto(host.address)
    page.get_by_text("The model is here").wait_for()
    yield page
    context.close()
    assert wrong == []


def own(url, host):
    return url.startswith((host.address, "blob:", "data:"))


def test_a_photo_is_answered_as_python_answers_it(browser, host, examples):
    with visited(browser, host) as page:
        page.set_input_files("#photo-file", examples / "chelsea.jpg")
        page.get_by_text("Yes, I see a cat").wait_for()
        page.locator("#photo-canvas").wait_for()
        page.set_input_files("#photo-file", examples / "coffee.jpg")
        page.get_by_text("No cat here").wait_for()
        probability = cat_model.load().predict(examples / "coffee.jpg").probability
        percent = min(max(round(100 * probability), 1), 99)
        assert page.locator("#photo-verdict .detail").inner_text().startswith(f"{percent} %")


def test_a_file_that_is_no_photo_gets_a_sentence(browser, host, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    with visited(browser, host) as page:
        page.set_input_files("#photo-file", broken)
        page.get_by_text("cannot read this file as a photo").wait_for()


def test_the_first_visit_is_small_and_the_second_one_downloads_nothing(browser, host, examples):
    with visited(browser, host) as page:
        page.get_by_role("button", name="a cat", exact=True).click()
        page.get_by_text("Yes, I see a cat").wait_for()
        page.get_by_text(KEPT).wait_for()
        first = host.sent
        assert first <= MOST_BYTES
        page.reload()
        page.get_by_text("The model is here").wait_for()
        page.get_by_role("button", name="a cat", exact=True).click()
        page.get_by_text("Yes, I see a cat").wait_for()
        assert host.sent - first <= 10_000  # the browser asks whether the service worker has changed


def test_the_model_is_asked_for_before_what_keeps_it(browser, host):
    with visited(browser, host) as page:
        page.get_by_text(KEPT).wait_for()
        asked = [path.partition("?")[0].removeprefix("/some/path/") for path in host.asked]
        (model,) = {path for path in asked if path.startswith("model.")}
        assert asked.index(model) < asked.index(static.SERVICE_WORKER)
        assert asked.count(model) == 1


@pytest.mark.slow
def test_it_works_when_the_host_is_gone(browser, folder, examples):
    host = Host(folder)
    with visited(browser, host) as page:
        page.get_by_text(KEPT).wait_for()
        host.stop()
        page.reload()
        page.get_by_text("The model is here").wait_for()
        page.set_input_files("#photo-file", examples / "chelsea.jpg")
        page.get_by_text("Yes, I see a cat").wait_for()
        page.get_by_role("tab", name="About").click()
        page.locator("#figures tr").first.wait_for()


@pytest.fixture
def changing(folder, tmp_path):
    """A host of its own, and the folder of its site, which may be changed."""
    host, site = Host(tmp_path / "host"), tmp_path / "host" / "some" / "path"
    shutil.copytree(folder / "some" / "path", site)
    yield host, site
    host.stop()


def newer(folder):
    """Write a bundle like the shipped one with another version and other bytes."""
    shutil.copytree(SHIPPED_BUNDLE, folder)
    model, manifest = folder / "model.tflite", folder / "manifest.json"
    model.write_bytes(model.read_bytes() + bytes(16))
    told = json.loads(manifest.read_text("utf-8"))
    described = {**told["model"], "bytes": model.stat().st_size, "sha256": sha256(model.read_bytes())}
    manifest.write_text(json.dumps({**told, "version": "newer", "model": described}), "utf-8")
    return folder


@pytest.mark.slow
def test_a_host_in_the_middle_of_a_change_does_not_spoil_what_is_kept(browser, changing, tmp_path):
    host, site = changing
    with visited(browser, host) as page:
        page.get_by_text(KEPT).wait_for()
        files = static.site(newer(tmp_path / "newer"))
        (site / static.SERVICE_WORKER).write_bytes(files[static.SERVICE_WORKER])  # it alone is there yet
        page.reload()
        page.get_by_text(KEPT).wait_for()
        worker = page.evaluate(
            """async () => {
                const { installing } = await (await navigator.serviceWorker.ready).update();
                if (!installing) return null;
                return new Promise(done => installing.onstatechange = () => done(installing.state));
            }"""
        )
        assert worker in (None, "redundant")  # it was refused, perhaps before
        host.stop()
        page.reload()
        page.get_by_text("The model is here").wait_for()
        expect(page.locator("#version")).to_have_text(Bundle.read().version)


@pytest.mark.slow
def test_a_new_version_waits_while_two_pages_are_open(browser, changing, tmp_path):
    host, site = changing
    with visited(browser, host) as page:
        page.get_by_text(KEPT).wait_for()
        other = page.context.new_page()
        other.goto(host.address)
        other.get_by_text(KEPT).wait_for()
        static.write(site, static.site(newer(tmp_path / "newer")))
        page.reload()
        page.get_by_text(KEPT).wait_for()
        waiting = "navigator.serviceWorker.ready.then(({ waiting }) => waiting !== null)"
        until = time.monotonic() + 30
        while not page.evaluate(waiting):
            assert time.monotonic() < until
            page.wait_for_timeout(100)
        for each in (page, other):
            each.reload()
            each.get_by_text("The model is here").wait_for()
            expect(each.locator("#version")).to_have_text(Bundle.read().version)


@pytest.mark.slow
def test_what_is_kept_in_part_is_not_used(browser, changing):
    host, site = changing
    left = "ServiceWorker.prototype.postMessage = () => {}"  # as if the page were left before all is kept
    with visited(browser, host, left) as page:
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        index = site / "index.html"
        index.write_text(
            index.read_text("utf-8").replace("Show me a photo", "Show me a newer photo"), "utf-8"
        )
        page.reload()
        page.get_by_text("Show me a newer photo").wait_for()
        page.get_by_text("The model is here").wait_for()


def test_a_new_version_is_taken_up_whole_and_works_without_the_host_as_well(browser, changing, tmp_path):
    host, site = changing
    taken_up = "navigator.serviceWorker.oncontrollerchange = () => { document.body.dataset.took = 'over' }"
    with visited(browser, host, taken_up) as page:
        version = page.locator("#version")
        page.get_by_text(KEPT).wait_for()
        expect(version).to_have_text(Bundle.read().version)
        static.write(site, static.site(newer(tmp_path / "newer")))
        page.reload()
        page.get_by_text(KEPT).wait_for()  # the version before, which is kept until the new one is
        expect(version).to_have_text(Bundle.read().version)
        page.locator("body[data-took]").wait_for()
        host.stop()
        page.reload()
        page.get_by_text("The model is here").wait_for()
        expect(version).to_have_text("newer")


@pytest.mark.slow
def test_no_photo_is_kept_anywhere(browser, host, examples):
    with visited(browser, host) as page:
        page.set_input_files("#photo-file", examples / "coffee.jpg")
        page.get_by_text("No cat here").wait_for()
        page.get_by_text(KEPT).wait_for()
        kept = page.evaluate(
            "async () => (await Promise.all((await caches.keys()).map(async name =>"
            " (await (await caches.open(name)).keys()).map(({ url }) => url)))).flat()"
        )
        paths = {url.removeprefix(host.address).partition("?")[0] for url in kept}
        assert paths <= set(static.site())
        assert {"index.html", "manifest.json", "examples/coffee.jpg"} < paths
        stored = "[localStorage.length, sessionStorage.length, document.cookie]"
        assert page.evaluate(stored) == [0, 0, ""]
        databases = page.evaluate("indexedDB.databases().then(all => all.length)")
        assert databases == 0


@pytest.mark.parametrize(
    "script",
    [
        "Object.defineProperty(navigator, 'serviceWorker', "
        "{ get() { throw new DOMException('', 'SecurityError') } })",
        "navigator.serviceWorker.register = () => Promise.reject(new DOMException('', 'SecurityError'))",
    ],
    ids=["frame", "private"],
)
@pytest.mark.slow
def test_without_a_service_worker_it_goes_on(browser, host, examples, script):
    with visited(browser, host, script) as page:
        page.set_input_files("#photo-file", examples / "chelsea.jpg")
        page.get_by_text("Yes, I see a cat").wait_for()
        page.get_by_role("tab", name="About").click()
        page.locator("#figures tr").first.wait_for()  # all of the page has run
        expect(page.get_by_text(KEPT)).to_be_hidden()


def test_several_photos_get_tiles_and_a_list(browser, host, examples):
    with visited(browser, host) as page:
        page.get_by_role("tab", name="Several photos").click()
        page.set_input_files("#several-files", sorted(examples.glob("*.jpg")))
        page.get_by_text("1 of 3 show a cat.").wait_for()
        expect(page.locator("#tiles li")).to_have_count(3)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save the list").click()
        lines = saved.value.path().read_text("utf-8").splitlines()
        assert lines[0] == '"file","label","probability"'
        assert len(lines) == 4


def test_feedback_is_a_file_without_the_photo(browser, host, examples):
    with visited(browser, host) as page:
        page.set_input_files("#photo-file", examples / "chelsea.jpg")
        page.get_by_text("Yes, I see a cat").wait_for()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Right", exact=True).click()
        text = saved.value.path().read_text("utf-8")
        assert '"answer": "right"' in text
        assert len(text) < 500


@pytest.fixture
def camera(playwright, chromium, examples, tmp_path):
    """A browser whose camera shows the cat."""
    film = film_of(examples / "chelsea.jpg", tmp_path / "cat.mjpeg")
    launched = playwright.chromium.launch(executable_path=chromium, args=camera_arguments(film))
    yield launched
    launched.close()


def test_the_camera_is_answered_and_nothing_is_asked_of_the_network(camera, host):
    with visited(camera, host, permissions=["camera"]) as page:
        page.get_by_role("tab", name="Live").click()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.get_by_role("button", name="Start the camera").click()
        page.locator("#live-verdict").get_by_text("Yes, I see a cat").wait_for()
        page.get_by_text("looks a second").wait_for()
        host.stop()
        before = page.locator(".rate").inner_text()
        time.sleep(1.5)
        assert "looks a second" in before
        video = page.locator("video")
        assert video.evaluate("video => video.muted && video.playsInline && !video.paused")
        assert asked == []
        video.evaluate("video => video.srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
        page.get_by_text("The camera has stopped").wait_for()
        page.get_by_role("button", name="Start the camera").wait_for()


@pytest.mark.slow
def test_a_camera_that_is_denied_gets_a_sentence(browser, host):
    script = (
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'))"
    )
    with visited(browser, host, script) as page:
        page.get_by_role("tab", name="Live").click()
        page.get_by_role("button", name="Start the camera").click()
        page.get_by_text("You can allow it beside the page's address").wait_for()


def test_the_tabs_follow_the_arrow_keys(browser, host):
    with visited(browser, host) as page:
        page.get_by_role("tab", name="Photo", exact=True).focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Several photos")).to_have_attribute("aria-selected", "true")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#about")).to_be_visible()


@pytest.mark.slow
def test_where_the_model_cannot_run_the_page_says_so(browser, folder, tmp_path):
    root = tmp_path / "host"
    shutil.copytree(folder, root)
    (root / "some" / "path" / "worker.js").write_text("throw new Error('broken');")
    host = Host(root)
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.goto(host.address)
    page.locator("#state").get_by_text("I cannot look at photos here").wait_for()
    page.locator("#photo-verdict.wrong").get_by_text("This browser cannot run the model.").wait_for()
    context.close()
    host.stop()


def test_without_javascript_the_page_says_what_it_needs(browser, host):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(host.address)
    assert page.locator("noscript p").is_visible()
    assert not page.get_by_text("being loaded").is_visible()
    context.close()


SLOW_CAMERA = """
const asked = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.tracks = [];
navigator.mediaDevices.getUserMedia = async wanted => {
    await new Promise(resolve => setTimeout(resolve, 300));
    const stream = await asked(wanted);
    tracks.push(...stream.getTracks());
    return stream;
};
"""


def test_a_camera_that_is_started_twice_is_on_once_and_goes_off(camera, host):
    with visited(camera, host, SLOW_CAMERA, permissions=["camera"]) as page:
        page.get_by_role("tab", name="Live").click()
        page.get_by_role("button", name="Start the camera").dblclick()
        page.get_by_text("looks a second").wait_for()
        assert sorted(page.evaluate("tracks.map(each => each.readyState)")) == ["ended", "live"]
        page.get_by_role("button", name="Stop the camera").click()
        assert page.evaluate("tracks.map(each => each.readyState)") == ["ended", "ended"]
        page.get_by_role("button", name="Start the camera").click()
        page.get_by_role("button", name="Stop the camera").click()  # before it plays
        expect(page.locator("#live .problem")).to_be_empty()
        assert set(page.evaluate("tracks.map(each => each.readyState)")) == {"ended"}


BROKEN = """addEventListener("message", event => {
    if (!event.data.file) return;
    event.stopImmediatePropagation();
    setTimeout(() => { throw new Error("broken"); });
});
"""
MUTE = "addEventListener('message', event => { if (event.data.file) event.stopImmediatePropagation(); });"


@pytest.mark.parametrize(
    ("worker", "sentence"),
    [(BROKEN, "This browser cannot run the model."), (MUTE, "This browser no longer answers.")],
)
def test_a_worker_that_ends_in_the_middle_is_not_waited_for(
    browser, folder, tmp_path, examples, worker, sentence
):
    shutil.copytree(folder, tmp_path / "host")
    script = tmp_path / "host" / "some" / "path" / "worker.js"
    script.write_text(worker + script.read_text("utf-8"), "utf-8")
    host = Host(tmp_path / "host")
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.clock.install()
    page.goto(host.address)
    page.get_by_text("The model is here").wait_for()
    page.set_input_files("#photo-file", examples / "chelsea.jpg")
    page.locator("#photo-verdict").filter(has_text=re.compile(f"Looking|{sentence}")).wait_for()
    page.clock.fast_forward("05:00")
    page.locator("#photo-verdict.wrong").get_by_text(sentence).wait_for()
    context.close()
    host.stop()


def test_an_example_that_cannot_be_fetched_is_said(browser, folder):
    host = Host(folder)
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.goto(host.address)
    page.get_by_text("The model is here").wait_for()
    host.stop()
    page.get_by_role("button", name="a cat", exact=True).click()
    page.locator("#photo-verdict.wrong").get_by_text("This photo cannot be fetched.").wait_for()
    context.close()
