"""A window of its own for a page, by pywebview: `python -m web.window ADDRESS`, a process that ends with it.

A process, because windows must be made in the first thread of one, and because a toolkit that crashes takes
nothing with it. Each line on the standard input shows the window again; the end of that input closes it.
"""

import sys
import threading

from web.settings import desktop_folder
from web.text import TITLE

SIZE, LEAST = (1100, 900), (360, 480)
"""Pixels, width and height: at first, and at least."""


def main(address: str) -> None:
    """Show a page until its window is closed."""
    import webview  # pyright: ignore[reportMissingImports] - the extra "desktop"

    webview.settings["ALLOW_DOWNLOADS"] = True  # of the picture and the table that the page saves
    window = webview.create_window(TITLE, address, width=SIZE[0], height=SIZE[1], min_size=LEAST)

    def listen() -> None:
        for _ in sys.stdin:
            window.restore()
            window.show()
        window.destroy()

    # Local storage stays from one start to the next: the page keeps the visitor's choices there.
    folder = str(desktop_folder() / "webview")
    webview.start(threading.Thread(target=listen, daemon=True).start, private_mode=False, storage_path=folder)


if __name__ == "__main__":
    main(sys.argv[1])
