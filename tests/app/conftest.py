"""The page as its visitors meet it: the real server in a process of its own, and a real browser."""

import io
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.bad_photos import bad_photos
from web.engine import Engine

ROOT = Path(__file__).parents[2]
QUIET = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


WITHOUT_ENGINE = "delete globalThis.WebAssembly;"
"""Makes a page in which the engine for browsers cannot run, so that the server is asked."""


@dataclass(frozen=True)
class Server:
    """A running page."""

    address: str
    feedback: Path
    uploads: Path
    process: subprocess.Popen

    def records(self) -> list[Path]:
        return sorted(self.feedback.glob("records/*.json"))

    def photos(self) -> list[Path]:
        return sorted(self.feedback.glob("photos/*"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**settings: object) -> dict[str, str]:
    """This process's environment with settings; no screen, so that no test opens a browser tab."""
    screenless = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "SPACE_ID")}
    return screenless | {name: str(value) for name, value in settings.items()}


@contextmanager
def running(folder: Path, port: int | None = None, **settings: object) -> Iterator[Server]:
    """Run `python app.py` with a folder of its own until the block ends, on this port or a free one."""
    port = port or free_port()
    feedback, uploads = folder / "feedback", folder / "uploads"
    folder.mkdir(exist_ok=True)
    own = {"CAT_PORT": port, "CAT_FEEDBACK_DIR": feedback, "GRADIO_TEMP_DIR": uploads}
    env = environment(**own | settings)
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=env, stdout=output, stderr=output
        )
    try:
        address = f"http://127.0.0.1:{port}"
        while not _answers(address):
            assert process.poll() is None, log.read_text("utf-8")
            time.sleep(0.1)
        yield Server(address, feedback, uploads, process)
    finally:
        process.terminate()
        process.wait(30)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("page")) as page:
        yield page


@pytest.fixture(scope="session")
def bad(tmp_path_factory) -> dict[str, Path]:
    return bad_photos(tmp_path_factory.mktemp("bad"))


def find_chromium() -> str | None:
    """The path of the browser that tests and screenshots use; None where there is none."""
    names = (os.environ.get("CAT_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    return find_chromium() or pytest.skip(
        "No browser: install Chromium (Debian: apt-get install chromium) or set CAT_CHROMIUM to its path."
    )


@pytest.fixture(scope="session")
def playwright():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # as long as Playwright waits elsewhere: the machine may be busy
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright, chromium):
    launched = playwright.chromium.launch(executable_path=chromium, args=QUIET)
    yield launched
    launched.close()


def film_of(photo: Path, film: Path, size: tuple[int, int] = (640, 480)) -> Path:
    """Write what a camera would show that is held before a photo; return its path."""
    file = io.BytesIO()
    with Image.open(photo) as picture:
        picture.convert("RGB").resize(size).save(file, "JPEG", quality=95)
    film.write_bytes(file.getvalue() * 30)
    return film


def camera_arguments(film: Path) -> tuple[str, ...]:
    """The arguments of a browser whose camera shows a film."""
    return (
        *QUIET,
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )


@pytest.fixture(scope="module")
def camera(playwright, chromium, examples, tmp_path_factory):
    """A browser whose camera shows the cat."""
    film = film_of(examples / "chelsea.jpg", tmp_path_factory.mktemp("camera") / "cat.mjpeg")
    launched = playwright.chromium.launch(executable_path=chromium, args=camera_arguments(film))
    yield launched
    launched.close()


@pytest.fixture(scope="session")
def built() -> Engine:
    """The engine for browsers; the test is skipped where it was not built."""
    return Engine.find() or pytest.skip("The engine for browsers is not built: run `python -m web.build`.")


class KeptPage:
    """A Playwright page that one test after another visits with.

    Loading the app again into the same page takes less than half the work of loading it in a new context.
    """

    def __init__(self, browser):
        self._browser, self._page = browser, None

    def lend(self):
        """Return the page; a new one where there is none that can be used."""
        if self._page is None:
            self._page = self._browser.new_context().new_page()
        return self._page

    def clean(self, address):
        """Take away what a test has left: open streams, stored data, a cut line, routes, dark colours."""
        page = self.lend()
        page.unroute_all()
        page.context.set_offline(False)
        page.set_default_timeout(30_000)
        page.emulate_media(color_scheme="light")
        line = page.context.new_cdp_session(page)
        # What belongs to the tab is not among what the browser clears by origin; an empty tab has no storage.
        origin = page.evaluate("() => { if (origin !== 'null') sessionStorage.clear(); return origin; }")
        where = {"origin": origin, "storageTypes": "all"}
        page.goto(f"{address}/health")
        line.send("Storage.clearDataForOrigin", where)
        line.detach()

    def drop(self):
        """Close the page; the next test gets a new one."""
        if self._page is not None:
            self._page.context.close()
            self._page = None


@pytest.fixture(scope="session")
def kept_page(browser):
    kept = KeptPage(browser)
    yield kept
    kept.drop()


@pytest.fixture
def visit(browser, server, kept_page):
    """Open the page of the app: `visit(color_scheme="dark")` gives a Playwright page in a context of its own.

    Without options, the first visit of a test is in the kept page, unless `own` asks for another. A script,
    if one is given, runs before any of the page's. The browser has no WebAssembly, so that the server
    answers, unless `device` says otherwise.
    """
    with ExitStack() as scripts:
        contexts, lent = [], []

        def opened(address: str = server.address, script="", device=False, own=False, **options):
            if own or options or lent:
                contexts.append(browser.new_context(**options))
                page = contexts[-1].new_page()
            else:
                page = kept_page.lend()
                lent.append(page)
            scripts.enter_context(page.add_init_script(script if device else f"{WITHOUT_ENGINE}\n{script}"))
            page.goto(address)
            page.locator("#answer .verdict.idle").wait_for()
            page.wait_for_function("window.catLine")  # the page's scripts have run
            return page

        yield opened
    for context in contexts:
        context.close()
    if lent:
        try:
            kept_page.clean(server.address)
        except Exception:
            kept_page.drop()
            raise
