"""Where the page is shown on a desktop: by pywebview, else by a browser's app mode, else in a browser's tab.

Each window is a process; when it ends by itself, the window was closed.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from web.window import SIZE

ENDS_S = 5
"""How long a window that is told to close may take, in seconds."""
BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "chrome",
    "msedge",
)  # fmt: skip
"""Names on the path."""
MAC = ("Google Chrome", "Microsoft Edge", "Chromium")
ROOTS = ("C:/Program Files", "C:/Program Files (x86)")
WINDOWS = ("Google/Chrome/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe")
FROZEN_WORD = "--window"
"""In a built program, which cannot run modules: the argument before the address."""


class Window(Protocol):
    """A way to show the page."""

    def open(self, address: str) -> subprocess.Popen[bytes]:
        """Open a window on an address; the process ends with it."""
        ...

    def show(self) -> None:
        """Bring it before the others."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class PywebviewWindow:
    """A window of the system's own web view."""

    def open(self, address: str) -> subprocess.Popen[bytes]:
        """Open it."""
        program = [FROZEN_WORD] if getattr(sys, "frozen", False) else ["-m", "web.window"]
        self._process = subprocess.Popen([sys.executable, *program, address], stdin=subprocess.PIPE)
        return self._process

    def show(self) -> None:
        """Bring it before the others."""
        with suppress(OSError):
            assert self._process.stdin
            self._process.stdin.write(b"show\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """Close it."""
        with suppress(OSError):
            assert self._process.stdin
            self._process.stdin.close()
        _end(self._process)


class BrowserWindow:
    """A window of a browser of Chromium's family, without tabs and address, and with a profile of its own.

    It is steered through a pipe, as browsers are by their developers' tools; no port is opened. Windows
    hands no pipes on: there the browser is started once more, and opens a second window in front.
    """

    def __init__(self, browser: str, profile: Path) -> None:
        """Choose a browser and the folder of its profile."""
        self._command = [
            browser,
            f"--user-data-dir={profile}",
            "--no-first-run",
            "--no-default-browser-check",
        ]

    def open(self, address: str) -> subprocess.Popen[bytes]:
        """Open it."""
        self._address = address
        size = ",".join(map(str, SIZE))
        command = [*self._command, f"--app={address}", f"--window-size={size}"]
        if os.name != "posix":
            self._process = subprocess.Popen(command)
            return self._process
        theirs, self._ask = os.pipe()
        self._said, answers = os.pipe()
        # The browser reads from 3 and writes to 4. A shell puts the pipes there: Python's threads forbid it.
        shell = ["/bin/sh", "-c", f'exec "$@" 3</dev/fd/{theirs} 4>/dev/fd/{answers}', "sh"]
        self._process = subprocess.Popen(
            [*shell, *command, "--remote-debugging-pipe"],
            pass_fds=(theirs, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(answers)
        return self._process

    def show(self) -> None:
        """Bring it before the others."""
        if os.name != "posix":
            subprocess.Popen([*self._command, f"--app={self._address}"])
            return
        with suppress(OSError, LookupError, ValueError):
            targets = self._call("Target.getTargets")["targetInfos"]
            (target,) = [each["targetId"] for each in targets if each["type"] == "page"][:1]
            found = self._call("Browser.getWindowForTarget", targetId=target)
            if found["bounds"].get("windowState") == "minimized":
                bounds = {"windowState": "normal"}
                self._call("Browser.setWindowBounds", windowId=found["windowId"], bounds=bounds)
            self._call("Target.activateTarget", targetId=target)

    def close(self) -> None:
        """Close it."""
        if os.name == "posix":
            for pipe in (self._ask, self._said):
                os.close(pipe)
        _end(self._process)

    def _call(self, method: str, **params: object) -> dict:
        """Have the browser do something; return its answer."""
        message = json.dumps({"id": 1, "method": method, "params": params}).encode() + b"\0"
        os.write(self._ask, message)
        said = b""
        while not said.endswith(b"\0"):
            piece = os.read(self._said, 1 << 16)
            if not piece:
                raise BrokenPipeError
            said += piece
        return json.loads(said.rstrip(b"\0"))["result"]


def possible(folder: Path) -> Iterator[Window]:
    """Yield the ways to show the page here, the best first.

    Args:
        folder: where a browser keeps its profile.
    """
    if importlib.util.find_spec("webview"):
        yield PywebviewWindow()
    for browser in find_browsers():
        yield BrowserWindow(browser, folder / "browser")


def find_browsers() -> Iterator[str]:
    """Yield the browsers of Chromium's family that are installed."""
    if sys.platform == "darwin":
        paths = [Path(f"/Applications/{name}.app/Contents/MacOS/{name}") for name in MAC]
        yield from (str(path) for path in paths if path.exists())
    if sys.platform == "win32":
        paths = [Path(root) / name for name in WINDOWS for root in ROOTS]
        yield from (str(path) for path in paths if path.exists())
    yield from filter(None, map(shutil.which, BROWSERS))


def _end(process: subprocess.Popen[bytes]) -> None:
    """See to it that a process ends, kindly at first."""
    for end in (lambda: None, process.terminate, process.kill):
        end()
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDS_S)
            return
