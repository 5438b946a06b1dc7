"""How soon the static site answers: `python -m benchmarks.static [--rate 20] [--slower 4]`.

A host that sends so many Mbit a second serves what `python -m deploy.static` writes to headless Chromium,
whose processor is slowed so many times. Prints the bytes of a first visit, and the milliseconds from opening
the page to the first answer, of a second answer, and of the first answer of a second visit. An example is
clicked as soon as the site says that the model is here. The page's own clock counts: to be asked by a slowed
page whether it has answered takes some tenths of a second. DevTools slow a page but not its workers: so the
engine is also measured in the page itself; the site runs it in a worker. Needs `python -m web.build`.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks._command_line import parser
from benchmarks.browser import find_chromium
from deploy.static import StaticError, site, write

CHUNK = 16_384
LATENCY_S = 0.02
"""Seconds before each response: a line's delay."""
ANSWER = """async () => {
    const began = performance.now();
    window.engine ??= await import("./are-you-a-cat.js");
    window.predictor ??= await engine.load(".");
    const file = await (await fetch("examples/chelsea.jpg")).blob();
    const { label } = await predictor.predict(await predictor.decode(file));
    const ended = performance.now();
    return [label, ended, ended - began];
}"""

VISIT = """(() => {
    const text = each => document.querySelector(each)?.textContent ?? "";
    let clicked = false;
    new MutationObserver(() => {
        if (!clicked && text("#state").startsWith("The model is here")) {
            clicked = true;
            document.querySelector("[data-photo*=chelsea]").click();
        }
        if (text("#photo-verdict").includes("Yes, I see a cat")) window.answered ??= performance.now();
    }).observe(document, { subtree: true, childList: true, characterData: true });
})()"""


class Line:
    """Shares one rate among all responses, and counts what was sent."""

    def __init__(self, megabits: float) -> None:
        """Begin with an idle line.

        Args:
            megabits: a second.
        """
        self.sent = 0
        self._rate = megabits * 1e6 / 8
        self._free = 0.0
        self._lock = threading.Lock()

    def wait(self, size: int) -> None:
        """Return when so many bytes have passed."""
        with self._lock:
            self._free = max(self._free, time.monotonic()) + size / self._rate
            until = self._free
            self.sent += size
        time.sleep(max(until - time.monotonic(), 0))


def host(folder: Path, line: Line) -> ThreadingHTTPServer:
    """Serve a folder over a line; the server runs in threads of its own."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(LATENCY_S)
            super().do_GET()

        def copyfile(self, source: Any, outputfile: Any) -> None:
            while content := source.read(CHUNK):
                line.wait(len(content))
                outputfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def measure(browser: Any, address: str, line: Line, slower: float) -> dict[str, float]:
    """Return the figures by their names.

    Args:
        browser: Playwright's.
        address: of the site.
        line: that it is sent over.
        slower: how many times slower the page's processor is.
    """
    context = browser.new_context()
    page = context.new_page()
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
    page.goto(f"{address}/site.webmanifest")  # a page of the same place, without the site's own worker
    label, first, _ = page.evaluate(ANSWER)
    if label != "cat":
        raise RuntimeError(f"The site answered {label!r} of a cat.")
    _, _, second = page.evaluate(ANSWER)
    engine = line.sent
    context.close()

    context = browser.new_context()
    page = context.new_page()
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
    page.add_init_script(VISIT)
    visits = []
    for _ in range(2):
        page.goto(address)
        page.get_by_text("Yes, I see a cat").wait_for()
        page.get_by_text("works without a network now").wait_for()  # the second visit is from what is kept
        visits.append((page.evaluate("window.answered"), line.sent))
    context.close()
    return {
        "engine in the page: first answer, ms": round(first),
        "engine in the page: second answer, ms": round(second),
        "site: first answer, ms": round(visits[0][0]),
        "site: first visit, bytes": visits[0][1] - engine,
        "site: first answer of the second visit, ms": round(visits[1][0]),
        "site: second visit, bytes": visits[1][1] - visits[0][1],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    command = parser(__doc__)
    command.add_argument("--rate", type=float, default=20, help="Mbit a second (20)")
    command.add_argument("--slower", type=float, default=4, help="times that the processor is slowed (4)")
    given = command.parse_args(arguments)
    try:
        files = site()
    except StaticError as error:
        print(error, file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    line = Line(given.rate)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        write(Path(folder) / "site", files)
        server = host(Path(folder) / "site", line)
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        found = measure(browser, f"http://127.0.0.1:{server.server_port}", line, given.slower)
        browser.close()
        server.shutdown()
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
