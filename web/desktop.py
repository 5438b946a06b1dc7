"""The page in a window of its own: `are-you-a-cat app`. Closing the window ends the page.

A second start shows the window of the first. Where there is neither pywebview nor a browser with windows for
apps, the page opens in a tab, and ends with Ctrl+C. Settings: docs/configuration.md.
"""

import sys
import threading
import time
import webbrowser
from collections.abc import Sequence

from cat_model import extras
from cat_model.extras import MissingExtraError
from web.__main__ import serve
from web.settings import desktop_folder, for_desktop, has_screen
from web.windows import Window, possible

OPENED_S = 10
"""A window that fails within this many seconds never opened; another kind is tried."""


class Desktop:
    """Shows the page, in a window if there can be one."""

    def __init__(self, windows: Sequence[Window], stops: list[int]) -> None:
        """Nothing is shown yet.

        Args:
            windows: the ways to show the page, the best first.
            stops: is added to when the window was closed.
        """
        self._windows = windows
        self._stops = stops
        self._shown: Window | None = None
        self._closing = False
        self._address = ""

    def open(self, address: str) -> None:
        """Show the page; return at once."""
        self._address = address
        threading.Thread(target=self._keep_open, daemon=True).start()

    def show(self) -> None:
        """Bring the page before everything else; before it was opened this does nothing."""
        if self._shown:
            self._shown.show()
        elif self._address:
            webbrowser.open(self._address)

    def close(self) -> None:
        """Close the window."""
        self._closing = True
        if self._shown:
            self._shown.close()

    def _keep_open(self) -> None:
        """Try one window after another; note when the one that opened was closed."""
        for window in self._windows:
            began = time.monotonic()
            try:
                process = window.open(self._address)
            except OSError:
                continue
            self._shown = window
            if process.wait() == 0 or self._closing or time.monotonic() - began > OPENED_S:
                self._stops.append(0)
                return
            self._shown = None
        webbrowser.open(self._address)
        print("There is no window for apps here; the page is in your browser (stop with Ctrl+C).", flush=True)


def main() -> int:
    """Show the page until its window is closed; return the exit code."""
    if not has_screen():
        print("There is no screen to open a window on; `are-you-a-cat serve` needs none.", file=sys.stderr)
        return 1
    try:
        extras.require("filelock", "desktop", "The window")
    except MissingExtraError as error:
        print(error, file=sys.stderr)
        return 1
    from web.instance import AlreadyRunningError, only_instance

    folder, stops = desktop_folder(), []
    desktop = Desktop(list(possible(folder)), stops)
    try:
        with only_instance(folder, desktop.show):
            code = serve(for_desktop, stops, desktop.open)
            desktop.close()
            return code
    except AlreadyRunningError as error:
        print(error, file=sys.stdout if error.shown else sys.stderr)
        return 0 if error.shown else 1
    except OSError as error:
        print(f"{folder} cannot be used: {error.strerror or error}.", file=sys.stderr)
        return 1
