"""A window of its own for a page, by pywebview: `python -m web.window ADDRESS`, a process that ends with it.

A process, because windows must be made in the first thread of one, and because a toolkit that crashes takes
nothing with it. Each line on the standard input shows the window again; the end of that input closes it.
"""

import logging
import os
import sys
import threading

from web.settings import desktop_folder
from web.text import TITLE

SIZE, LEAST = (1100, 900), (360, 480)
"""Pixels, width and height: at first, and at least."""


def main(address: str) -> int:
    """Show a page until its window is closed; return the exit code: 1 where no window can be made."""
    import webview  # pyright: ignore[reportMissingImports] - the extra "desktop"
    from webview.errors import WebViewException  # pyright: ignore[reportMissingImports]

    logging.getLogger("pywebview").setLevel(logging.CRITICAL)  # each toolkit that is missing is a stack trace
    webview.settings["ALLOW_DOWNLOADS"] = True  # of the picture and the table that the page saves
    window = webview.create_window(TITLE, address, width=SIZE[0], height=SIZE[1], min_size=LEAST)

    def listen() -> None:
        while os.read(0, 1 << 10):  # sys.stdin would be locked when Python ends
            window.restore()
            window.show()
        window.destroy()

    # Local storage stays from one start to the next: the page keeps the visitor's choices there.
    folder = str(desktop_folder() / "webview")
    try:
        webview.start(
            threading.Thread(target=listen, daemon=True).start, private_mode=False, storage_path=folder
        )
    except WebViewException:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
