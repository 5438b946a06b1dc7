"""What the engine says in Chromium, beside Python: `python -m benchmarks.browser PHOTO… [--limit 500]`.

A page of this module's own server loads the engine under the content security policy that it is made for, and
looks at photos as Python decoded them (the same pixels) or, with `--files`, as files that the browser decodes
itself; with `--jpeg 1500` these are made JPEGs of so many pixels along the shorter side. Prints the photos
whose answers differ, and how many milliseconds loading and looking take. Needs `python -m web.build`.
"""

import io
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks._command_line import parser
from cat_model.photo import PhotoError
from cat_model.predictor import Predictor, load
from cat_model.settings import SHIPPED_BUNDLE
from cat_model.verdict import Verdict
from web.build import BUILT, ENGINE

NEAR, FAR = 0.004, 0.01
"""How far apart the probabilities may be: on the same pixels, and where the browser decodes the file."""
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src 'self' blob:; "
    "worker-src 'self'"
)
TYPES = {
    ".js": "text/javascript",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".html": "text/html",
}
PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>engine</title><body>
<script type="module" src="page.js"></script>"""
SCRIPT = b"""import * as engine from "./engine/are-you-a-cat.js";
let predictor;
window.start = async options => {
    const began = performance.now();
    predictor = window.predictor = await engine.load("bundle", options);
    return performance.now() - began;
};
const looked = async (bitmap, thorough) => {
    const began = performance.now();
    const verdict = await predictor.predict(bitmap, { thorough });
    bitmap.close?.();
    return { ...verdict, milliseconds: performance.now() - began };
};
const plain = { premultiplyAlpha: "none", colorSpaceConversion: "none" };
window.lookAtPixels = async (url, thorough = false) => {
    const answer = await fetch(url);
    const [width, height] = ["width", "height"].map(name => Number(answer.headers.get(name)));
    const data = new Uint8ClampedArray(await answer.arrayBuffer());
    return looked(await createImageBitmap(new ImageData(data, width, height), plain), thorough);
};
window.lookAtFile = async (url, thorough = false) =>
    looked(await predictor.decode(await (await fetch(url)).blob()), thorough);
window.engine = engine;
window.ready = true;
"""


@dataclass
class Site:
    """A server for the engine.

    Attributes:
        address: without a slash at the end.
        bundle: folder of the bundle that it serves; may be changed.
        contents: what else it serves: media type, content and headers by path.
        asked: the paths that were asked for.
    """

    address: str
    bundle: Path
    contents: dict[str, tuple[str, bytes, dict[str, str]]]
    asked: list[str]

    def put_pixels(self, image: Image.Image) -> str:
        """Serve a picture's pixels as RGBA; return the address."""
        rgba = np.asarray(image.convert("RGBA")).tobytes()
        headers = {"width": str(image.width), "height": str(image.height)}
        return self._put("application/octet-stream", rgba, headers)

    def put_file(self, content: bytes) -> str:
        """Serve a photo's file; return the address."""
        return self._put("image/jpeg", content, {})

    def _put(self, kind: str, content: bytes, headers: dict[str, str]) -> str:
        self.contents.clear()
        path = f"/photo-{time.monotonic_ns()}"
        self.contents[path] = kind, content, headers
        return path


@contextmanager
def serving(bundle: Path = SHIPPED_BUNDLE, built: Path = BUILT) -> Iterator[Site]:
    """Serve the engine, a bundle and a page until the block ends."""
    site = Site("", bundle, {}, [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            site.asked.append(path)
            kind, content, headers = _content(site, built, path)
            self.send_response(200 if kind else 404)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _content(site: Site, built: Path, path: str) -> tuple[str, bytes, dict[str, str]]:
    if path in site.contents:
        return site.contents[path]
    if path in ("/", "/page.js"):
        return ("text/html", PAGE, {}) if path == "/" else ("text/javascript", SCRIPT, {})
    folders: dict[str, Path] = {"engine": built, "bundle": site.bundle}
    _, _, rest = path.partition("/")
    part, _, name = rest.partition("/")
    file = folders.get(part, built) / Path(name or "none").name
    if part in folders and file.is_file():
        return TYPES.get(file.suffix, "application/octet-stream"), file.read_bytes(), {}
    return "", b"", {}


@dataclass(frozen=True)
class Pair:
    """What both said of a photo.

    Attributes:
        name: of the photo.
        python: Python's verdict.
        browser: the fields of the browser's, and `milliseconds`.
    """

    name: str
    python: Verdict
    browser: dict[str, Any]

    @property
    def apart(self) -> float:
        """How far apart the probabilities are, 0 to 1."""
        return abs(self.python.probability - self.browser["probability"])

    @property
    def same(self) -> bool:
        """Whether the verdicts are the same in words."""
        return self.python.label == self.browser["label"]


def compare(
    page: Any,
    site: Site,
    predictor: Predictor,
    photos: Iterable[Path],
    *,
    files: bool = False,
    thorough: bool = False,
    jpeg: int | None = None,
) -> Iterator[Pair]:
    """Yield what Python and the browser say of photos; those that Python refuses are passed over.

    Args:
        page: a Playwright page of the site, in which the engine was started.
        site: that serves it.
        predictor: Python's.
        photos: the files.
        files: whether the browser decodes the files itself; else it gets Python's pixels.
        thorough: as for `Predictor.predict`.
        jpeg: pixels of the shorter side of the JPEGs that are made of the photos; None to take them as they
            are.
    """
    for photo in photos:
        content = photo.read_bytes()
        try:
            image = predictor.decode(content)
            if jpeg:
                content = as_jpeg(image, jpeg)
                image = predictor.decode(content)
        except PhotoError:
            continue
        address = site.put_file(content) if files else site.put_pixels(image)
        function = "lookAtFile" if files else "lookAtPixels"
        said = page.evaluate(f"([url, thorough]) => {function}(url, thorough)", [address, thorough])
        yield Pair(photo.name, predictor.predict(image, thorough), said)


def as_jpeg(image: Image.Image, shorter: int) -> bytes:
    """Return a picture as a JPEG of so many pixels along the shorter side, as phones save them."""
    scale = shorter / min(image.size)
    size = round(image.width * scale), round(image.height * scale)
    file = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=90, subsampling=2)
    return file.getvalue()


def find_chromium() -> str | None:
    """Return the path of a browser; None where there is none."""
    names = (os.environ.get("CAT_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def opened(browser: Any, site: Site, **options: object) -> tuple[Any, float]:
    """Return a page in which the engine was started, and how many milliseconds that took."""
    page = browser.new_page()
    page.goto(site.address)
    page.wait_for_function("window.ready")
    return page, page.evaluate("options => start(options)", options)


def main(arguments: Sequence[str] | None = None, say: Callable[[str], None] = print) -> int:
    """Compare both over photos; return the exit code."""
    command = parser(__doc__)
    command.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="files, or folders of files")
    command.add_argument("--limit", type=int, help="so many photos at most, evenly spread")
    command.add_argument("--files", action="store_true", help="the browser decodes the files itself")
    command.add_argument("--jpeg", type=int, metavar="PIXELS", help="of the shorter side of made JPEGs")
    command.add_argument("--thorough", action="store_true", help="every part is searched")
    command.add_argument("--compat", action="store_true", help="without relaxed SIMD")
    given = command.parse_args(arguments)
    chromium = find_chromium()
    if not (BUILT / ENGINE).exists() or not chromium:
        say("There is no engine or no Chromium: run `python -m web.build`, set CAT_CHROMIUM.")
        return 1
    photos = evenly(files_of(given.photos), given.limit)
    from playwright.sync_api import sync_playwright

    with serving() as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page, milliseconds = opened(browser, site, compat=given.compat)
        how = {"files": given.files, "thorough": given.thorough, "jpeg": given.jpeg}
        pairs = list(compare(page, site, load(), photos, **how))
        browser.close()
    for pair in pairs:
        if pair.apart > FAR or not pair.same:
            say(
                f"{pair.name}: {pair.python.probability:.6f} {pair.python.label} / "
                f"{pair.browser['probability']:.6f} {pair.browser['label']}"
            )
    say(json.dumps(summary(pairs, milliseconds), indent=1))
    return 0


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Return files, and those in folders, in the order of their names."""
    return [
        file
        for path in paths
        for file in (sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path])
    ]


def evenly(photos: Sequence[Path], most: int | None) -> list[Path]:
    """Return so many of some photos at most, evenly spread."""
    if most is None or len(photos) <= most:
        return list(photos)
    return [photos[round(place)] for place in np.linspace(0, len(photos) - 1, most)]


def summary(pairs: Sequence[Pair], milliseconds: float) -> dict[str, float]:
    """Return the figures of a comparison, by their names."""
    apart = np.array([pair.apart for pair in pairs])
    looks = np.array([pair.browser["milliseconds"] for pair in pairs])
    return {
        "photos": len(pairs),
        "largest difference": float(apart.max()),
        f"within {NEAR}": float((apart <= NEAR).mean()),
        f"within {FAR}": float((apart <= FAR).mean()),
        "same verdict": float(np.mean([pair.same for pair in pairs])),
        "milliseconds to load": round(milliseconds),
        "milliseconds a photo, median": round(float(np.median(looks)), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
