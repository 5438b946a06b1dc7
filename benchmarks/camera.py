"""Looks a second that the tab "Live" makes in the browser: `python -m benchmarks.camera [--seconds 60]`.

Starts `app.py` and headless Chromium with a camera that shows the example of a cat, and watches it for so
long. Prints the looks a second, the processor time that the page and its worker take for a look (which also
means something on a busy machine), the longest time that the page was not responsive, and the memory of its
process at the beginning, after each tenth of the time and at the end, garbage collected. Needs
`python -m web.build` and Linux.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks._command_line import parser
from benchmarks._process import resident_mb
from benchmarks._server import CAT, opened
from benchmarks.browser import find_chromium
from web.engine import Engine

CAMERA = 640, 480
WARM_UP = 1000
"""Looks before anything is measured: by then the browser's memory has the size that it keeps."""
COUNTED = """
window.looks = 0;
window.longest = 0;
const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (...given) {
    if (given[0].frame) window.looks++;
    return post.apply(this, given);
};
new PerformanceObserver(list => {
    for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
}).observe({ type: "longtask" });
"""
"""Counts the frames that the page gives to the worker, and notes the longest task of the page's own thread,
in milliseconds, of those above 50."""


def film(folder: Path) -> Path:
    """Write what a camera shows that is held before the cat; return its path."""
    still, made = folder / "frame.jpg", folder / "cat.mjpeg"
    with Image.open(CAT) as photo:
        photo.convert("RGB").resize(CAMERA).save(still, "JPEG", quality=92)
    made.write_bytes(still.read_bytes() * 30)
    return made


def page_process(session: Any) -> tuple[int, float]:
    """Return the number and the processor seconds of the busiest of the processes that show pages."""
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return max(
        ((each["id"], each["cpuTime"]) for each in found if each["type"] == "renderer"), key=lambda it: it[1]
    )


def memory_mb(page: Any, pid: int) -> int:
    """Return the memory of a page's process without what is only not collected yet, in MB."""
    for thread in (page, *page.workers):
        thread.evaluate("gc()")
    return resident_mb(pid)


def watch(browser: Any, address: str, seconds: float) -> dict[str, object]:
    """Return the figures by their names."""
    page = browser.new_context(permissions=["camera"]).new_page()
    page.add_init_script(COUNTED)
    page.goto(address)
    page.get_by_role("tab", name="Live").click()
    page.locator("#device-live .start:enabled").click()
    page.locator("#device-live .verdict.cat").wait_for()
    page.wait_for_function("most => looks > most", arg=WARM_UP, timeout=0)
    session = browser.new_browser_cdp_session()
    pid, spent = page_process(session)
    memory = [memory_mb(page, pid)]
    page.evaluate("longest = 0")
    looks, began = page.evaluate("looks"), time.perf_counter()
    for _ in range(10):
        time.sleep(seconds / 10)
        memory.append(memory_mb(page, pid))
    made, took = page.evaluate("looks") - looks, time.perf_counter() - began
    return {
        "looks a second": round(made / took, 1),
        "processor milliseconds a look": round(1000 * (page_process(session)[1] - spent) / made, 1),
        "longest task of the page, ms": round(page.evaluate("longest")),
        "memory, MB": memory,
        "grown, MB": memory[-1] - memory[0],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    command = parser(__doc__)
    command.add_argument("--seconds", type=float, default=60, help="to watch, after the warm-up (60)")
    given = command.parse_args(arguments)
    chromium = find_chromium()
    if Engine.find() is None or chromium is None:
        print(
            "There is no engine or no Chromium: run `python -m web.build`, set CAT_CHROMIUM.", file=sys.stderr
        )
        return 1
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, opened() as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--js-flags=--expose-gc",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={film(Path(folder))}",
            ],
        )
        print(json.dumps(watch(browser, address, given.seconds), indent=1))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
