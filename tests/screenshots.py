"""README's pictures of the page, in headless Chromium: `python -m tests.screenshots OUT`.

Writes page-light.png, of a desktop's width, and page-dark.png, of a phone's.
"""

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.app.conftest import find_chromium, running
from tests.app.visiting import CAT, answered, example, settled

SHOTS = {"light": (1100, 900), "dark": (400, 1150)}
"""Width and height of the window by colour scheme, in CSS pixels."""


def shoot(browser: Browser, address: str, scheme: str, out: Path) -> None:
    """Let the page look at an example, and take its picture."""
    width, height = SHOTS[scheme]
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page.goto(address)
    example(page, "A cat")
    answered(page, CAT)
    settled(page)
    page.screenshot(path=out / f"page-{scheme}.png")


def main(out: Path) -> None:
    """Start the page, take its pictures and stop it."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server, sync_playwright() as made:
        browser = made.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        for scheme in SHOTS:
            shoot(browser, server.address, scheme, out)
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description="Pictures of the page.")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for the pictures")
    main(parser.parse_args().out)
