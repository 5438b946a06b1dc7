"""The engine in a real browser gives Python's answers, under the policy that a page of ours would have."""

import json
import re
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import cat_model
from benchmarks import browser as bench
from cat_model import bundle
from cat_model.settings import SHIPPED_BUNDLE
from tests.web.test_browser import OLD
from web.build import BUILT

ROOT = Path(__file__).parents[2]
PHOTOS = 500


@contextmanager
def folder_served(folder):
    """Serve a folder as any static host would; give the address."""
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def site(built, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(SHIPPED_BUNDLE, folder)
    with bench.serving(folder) as served:
        yield served


@pytest.fixture
def python(site):
    return cat_model.load(site.bundle)


@pytest.fixture
def started(browser, site):
    """Open a page of the site and start the engine: `started(compat=True)` gives a Playwright page."""
    pages = []

    def start(**options):
        page, _ = bench.opened(browser, site, **options)
        pages.append(page)
        return page

    yield start
    for page in pages:
        page.close()


@pytest.mark.parametrize("compat", [False, True], ids=["normal", "compat"])
def test_the_examples_get_pythons_answers(started, site, python, examples, compat):
    page = started(compat=compat)
    pairs = list(bench.compare(page, site, python, sorted(examples.glob("*.jpg"))))
    assert len(pairs) == 3
    for pair in pairs:
        assert pair.apart <= bench.NEAR, pair
        assert pair.same
        assert pair.browser["isCat"] == pair.python.is_cat
        assert pair.browser["unsure"] == pair.python.unsure
        assert pair.browser["modelVersion"] == pair.python.model_version


def test_the_thorough_search_is_pythons(started, site, python, examples):
    (pair,) = bench.compare(started(), site, python, [examples / "coffee.jpg"], thorough=True)
    assert pair.apart <= bench.NEAR
    assert pair.same


@pytest.mark.slow
def test_files_that_the_browser_decodes_get_nearly_the_same(started, site, python, examples):
    pairs = list(bench.compare(started(), site, python, sorted(examples.glob("*.jpg")), files=True))
    assert all(pair.apart <= bench.FAR and pair.same for pair in pairs), pairs


@pytest.mark.slow
def test_a_photo_is_turned_upright(started, site, python, examples, tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.jpg"
    with Image.open(examples / "chelsea.jpg") as photo:
        photo.transpose(Image.Transpose.ROTATE_90).save(turned, quality=95, exif=exif)
    (pair,) = bench.compare(started(), site, python, [turned], files=True)
    assert pair.apart <= bench.FAR
    page = started()
    size = page.evaluate(
        "async url => { const { width, height } = await predictor.decode(await (await fetch(url)).blob());"
        " return [width, height]; }",
        site.put_file(turned.read_bytes()),
    )
    assert tuple(size) == python.decode(turned).size


def test_a_bundle_from_before_zooms_is_run_too(browser, built, examples):
    with bench.serving(OLD) as site:
        page, _ = bench.opened(browser, site)
        pairs = list(bench.compare(page, site, cat_model.load(OLD), sorted(examples.glob("*.jpg"))))
        page.close()
    assert all(pair.apart <= bench.NEAR for pair in pairs), pairs


def test_values_of_a_look_sum_to_the_logit(started, site, python, examples):
    url = site.put_file((examples / "chelsea.jpg").read_bytes())
    page = started()
    values = page.evaluate(
        "async url => [...(await predictor.look(await predictor.decode(await (await fetch(url)).blob())))"
        ".values]",
        url,
    )
    expected = python.explain(examples / "chelsea.jpg", budget=0).values
    assert values == pytest.approx(expected.ravel().tolist(), abs=0.05)


def test_a_look_asks_the_network_for_nothing(started, site, examples):
    page = started()
    url = site.put_file((examples / "chelsea.jpg").read_bytes())
    page.evaluate("async url => { window.file = await (await fetch(url)).blob(); }", url)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    said = page.evaluate("async () => predictor.predict(await predictor.decode(file))")
    assert said["label"] == "cat"
    assert asked == []


@pytest.mark.parametrize(("options", "asks"), [({}, 0), ({"accelerator": "auto"}, 1)], ids=["wasm", "auto"])
def test_the_graphics_processor_is_asked_for_only_where_that_is_wanted(built, site, browser, options, asks):
    page = browser.new_page()
    page.add_init_script(
        "window.asks = 0; Object.defineProperty(navigator, 'gpu',"
        " { value: { requestAdapter: async () => { window.asks++; return null; } } });"
    )
    page.goto(site.address)
    page.wait_for_function("window.ready")
    page.evaluate("options => start(options)", options)
    assert page.evaluate("asks") == asks
    page.close()


FRAMES = """async url => {
    const picture = await predictor.decode(await (await fetch(url)).blob());
    const { width, height, data } = picture;
    const size = { codedWidth: width, codedHeight: height };
    const frame = (format, shown) => new VideoFrame(data, { format, ...size, timestamp: 0, ...shown });
    const drawn = async shown => {
        const bitmap = await createImageBitmap(shown);
        return (await predictor.predict(bitmap)).probability;
    };
    const found = {};
    for (const [name, shown] of Object.entries({
        plain: frame("RGBX"),
        alpha: frame("RGBA"),
        stretched: frame("RGBX", { displayWidth: width, displayHeight: 2 * height }),
        turned: new VideoFrame(frame("RGBX"), { rotation: 90 }),
    })) found[name] = [(await predictor.predict(shown)).probability, await drawn(shown)];
    found.picture = [found.plain[0], (await predictor.predict(picture)).probability];
    return found;
}"""
"""Answers about frames of a video, as they are and as the browser draws them."""


def test_a_frame_of_a_video_is_seen_as_it_is_shown(started, site, examples):
    url = site.put_file((examples / "chelsea.jpg").read_bytes())
    found = started().evaluate(FRAMES, url)
    for name, (frame, expected) in found.items():
        assert frame == pytest.approx(expected, abs=bench.NEAR), name


@pytest.mark.slow
def test_looks_leave_no_memory_behind(started, site, examples):
    page = started()
    url = site.put_file((examples / "chelsea.jpg").read_bytes())
    grown = page.evaluate(
        """async url => {
            const photo = await predictor.decode(await (await fetch(url)).blob());
            const memory = () => engine.memory();
            for (let i = 0; i < 10; i++) await predictor.predict(photo);
            const before = memory();
            for (let i = 0; i < 200; i++) await predictor.predict(photo);
            return memory() - before;
        }""",
        url,
    )
    assert grown == 0


@pytest.mark.parametrize("damage", ["model", "manifest", "self-test", "none"])
def test_a_bundle_that_cannot_be_used_is_refused_with_a_sentence(started, site, damage):
    manifest = site.bundle / bundle.MANIFEST
    if damage == "model":
        content = bytearray((site.bundle / bundle.MODEL).read_bytes())
        content[5000] ^= 1
        (site.bundle / bundle.MODEL).write_bytes(content)
    elif damage == "manifest":
        manifest.write_text("{")
    elif damage == "none":
        shutil.rmtree(site.bundle)
    else:
        described = json.loads(manifest.read_text("utf-8"))
        described["golden"][0]["probability"] = 0.9
        manifest.write_text(json.dumps(described))
    says = {"model": "sha256", "manifest": "JSON", "self-test": "as recorded", "none": "HTTP 404"}[damage]
    with pytest.raises(Exception, match=says):
        started()


def test_a_bundle_swapped_on_the_server_is_taken_up(started, site, python):
    page = started()
    assert page.evaluate("predictor.renew()") is False
    shutil.rmtree(site.bundle)
    shutil.copytree(OLD, site.bundle)
    during = page.evaluate(
        """async () => {
            const photo = new ImageData(300, 200);
            const looks = [predictor.predict(photo), predictor.renew(), predictor.predict(photo)];
            return [...await Promise.all(looks), await predictor.predict(photo)];
        }"""
    )
    assert during[1] is True
    assert during[0]["modelVersion"] == python.bundle.version
    assert during[3]["modelVersion"] == cat_model.load(OLD).bundle.version


def test_a_damaged_bundle_on_the_server_leaves_the_old_one_in_place(started, site, python):
    page = started()
    shutil.rmtree(site.bundle)
    failed = page.evaluate("predictor.renew().then(() => '', error => error.message)")
    assert "HTTP 404" in failed
    said = page.evaluate("predictor.predict(new ImageData(64, 64))")
    assert said["modelVersion"] == python.bundle.version


def test_without_webassembly_the_engine_says_so(browser, site):
    page = browser.new_page()
    page.add_init_script("delete globalThis.WebAssembly")
    page.goto(site.address)
    page.wait_for_function("window.ready")
    said = page.evaluate("start({}).then(() => '', error => `${error.name}: ${error.message}`)")
    page.close()
    assert "does not run WebAssembly" in said


def test_five_hundred_photos_get_pythons_answers(started, site, python, shared_part, shared):
    photos = bench.files_of([shared_part("photos/people"), shared_part("photos/wild")])
    pairs = list(bench.compare(started(), site, python, bench.evenly(photos, PHOTOS)))
    assert len(pairs) >= 0.99 * PHOTOS
    assert max(pair.apart for pair in pairs) <= bench.NEAR
    assert [pair for pair in pairs if not pair.same] == []


def test_five_hundred_files_get_pythons_verdicts(started, site, python, shared_part, shared):
    photos = bench.files_of([shared_part("photos/people"), shared_part("photos/wild")])
    pairs = list(bench.compare(started(), site, python, bench.evenly(photos, PHOTOS), files=True))
    near = sum(pair.apart <= bench.FAR for pair in pairs) / len(pairs)
    same = sum(pair.same for pair in pairs) / len(pairs)
    assert near >= 0.99
    assert same >= 0.995


def test_the_page_of_the_documentation_answers(browser, built, examples, tmp_path):
    text = (ROOT / "docs" / "browser.md").read_text("utf-8")
    (example,) = re.findall(r"```html\n(.*?)```", text, re.DOTALL)
    assert len(example.splitlines()) <= 20
    for file in [*BUILT.iterdir(), *(SHIPPED_BUNDLE / name for name in (bundle.MANIFEST, bundle.MODEL))]:
        shutil.copy(file, tmp_path)
    (tmp_path / "index.html").write_text(example, "utf-8")
    page = browser.new_page()
    with folder_served(tmp_path) as address:
        page.goto(address)
        page.get_by_text("It stays on this device").wait_for()
        page.set_input_files("#photo", examples / "chelsea.jpg")
        page.get_by_text("cat (100 %)").wait_for()
        page.close()
