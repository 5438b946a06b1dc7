"""are-you-a-cat app: which windows are tried, what their end means, and the whole of it under Xvfb."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.app.conftest import environment, find_chromium, free_port
from web import desktop, windows
from web.desktop import Desktop
from web.settings import desktop_folder, for_desktop, has_screen
from web.windows import BrowserWindow

ROOT = Path(__file__).parents[2]


class FakeWindow:
    """A window whose process is a program of the test's."""

    def __init__(self, program):
        self.program, self.calls = program, []

    def open(self, address):
        self.calls.append(address)
        if self.program is None:
            raise FileNotFoundError
        self.process = subprocess.Popen([sys.executable, "-c", self.program])
        return self.process

    def show(self):
        self.calls.append("show")

    def close(self):
        self.process.kill()


CLOSED, BROKEN, OPEN = "pass", "raise SystemExit(1)", "import time; time.sleep(60)"


@pytest.fixture
def tabs(monkeypatch):
    """The addresses that were opened in a browser's tab."""
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    return opened


def wait_for(happened):
    ends = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_closing_the_window_stops_the_page(tabs):
    stops = []
    Desktop([FakeWindow(CLOSED)], stops).open("http://here")
    wait_for(lambda: stops)
    assert tabs == []


def test_what_cannot_be_opened_is_passed_over(tabs):
    stops, tried = [], [FakeWindow(None), FakeWindow(BROKEN), FakeWindow(CLOSED), FakeWindow(CLOSED)]
    Desktop(tried, stops).open("http://here")
    wait_for(lambda: stops)
    assert [each.calls for each in tried] == [["http://here"]] * 3 + [[]]
    assert tabs == []


def test_without_any_window_the_page_is_in_a_tab_and_goes_on(tabs, capsys):
    stops, broken = [], FakeWindow(BROKEN)
    shown = Desktop([broken], stops)
    shown.open("http://here")
    wait_for(lambda: tabs)
    shown.show()
    assert (tabs, stops) == (["http://here"] * 2, [])
    said = []
    wait_for(lambda: said.append(capsys.readouterr().out) or "in your browser" in "".join(said))


def test_the_open_window_is_the_one_that_is_shown_and_closed(tabs):
    stops, window, next_one = [], FakeWindow(OPEN), FakeWindow(OPEN)
    shown = Desktop([FakeWindow(BROKEN), window, next_one], stops)
    shown.show()  # before anything is open, nothing happens
    shown.open("http://here")
    wait_for(lambda: getattr(window, "process", None) and shown._shown is window)
    shown.show()
    assert window.calls == ["http://here", "show"]
    shown.close()
    assert window.process.wait(30) < 0
    wait_for(lambda: stops)
    assert (next_one.calls, tabs) == ([], [])


def test_pywebview_comes_first_and_then_the_browsers_that_are_there(tmp_path, monkeypatch):
    for name in ("microsoft-edge", "chromium"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert list(windows.find_browsers()) == [str(tmp_path / "chromium"), str(tmp_path / "microsoft-edge")]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "webview")
    assert [type(each).__name__ for each in windows.possible(tmp_path)] == [
        "PywebviewWindow", "BrowserWindow", "BrowserWindow",
    ]  # fmt: skip
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert [type(each).__name__ for each in windows.possible(tmp_path)] == ["BrowserWindow"] * 2


PIPED = """#!{python}
import json, os, sys
Path = sys.argv[1].partition("=")[2]
said = b""
while piece := os.read(3, 1 << 16):
    said += piece
    while b"\\0" in said:
        message, _, said = said.partition(b"\\0")
        asked = json.loads(message)
        with open(Path, "a") as log:
            log.write(asked["method"] + "\\n")
        answers = {{
            "Target.getTargets": {{"targetInfos": [{{"type": "page", "targetId": "T"}}]}},
            "Browser.getWindowForTarget": {{"windowId": 1, "bounds": {{"windowState": "minimized"}}}},
        }}
        answer = {{"id": asked["id"], "result": answers.get(asked["method"], {{}})}}
        os.write(4, json.dumps(answer).encode() + b"\\0")
"""


@pytest.mark.skipif(os.name != "posix", reason="Pipes are handed on where the system is a POSIX one.")
def test_a_browser_window_is_brought_to_the_front_through_its_pipe_and_ends_with_it(tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(PIPED.format(python=sys.executable))
    browser.chmod(0o755)
    window = BrowserWindow(str(browser), tmp_path / "log")
    kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(12)]  # so that the pipes' numbers have two digits
    process = window.open("http://here")
    window.show()
    assert (tmp_path / "log").read_text().split() == [
        "Target.getTargets", "Browser.getWindowForTarget", "Browser.setWindowBounds", "Target.activateTarget",
    ]  # fmt: skip
    window.close()
    assert process.returncode == 0
    window.show()  # of a window that is gone
    for each in kept:
        os.close(each)


def test_the_page_is_for_this_machine_alone_and_keeps_feedback_with_the_persons_data(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    port = free_port()
    environ = {"XDG_DATA_HOME": str(tmp_path), "CAT_HOST": "0.0.0.0", "CAT_PORT": str(port), "DISPLAY": ":0"}
    settings = for_desktop(environ)
    assert (settings.host, settings.port, settings.open_browser) == ("127.0.0.1", port, False)
    assert settings.model.feedback_dir == tmp_path / "are-you-a-cat" / "feedback"
    chosen = for_desktop(environ | {"CAT_FEEDBACK_DIR": "/mine"})
    assert chosen.model.feedback_dir == Path("/mine")


def test_a_taken_port_is_replaced_by_a_free_one(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert for_desktop({"CAT_PORT": str(port)}).port not in (0, port)


@pytest.mark.parametrize(
    ("platform", "environ", "folder"),
    [
        ("linux", {}, ".local/share"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data"),
        ("darwin", {}, "Library/Application Support"),
        ("win32", {}, "AppData/Local"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local"),
    ],
)
def test_each_system_has_its_place_for_a_persons_data(platform, environ, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", platform)
    assert desktop_folder(environ) == tmp_path / folder / "are-you-a-cat"


def test_a_screen_is_asked_for(monkeypatch, capsys):
    monkeypatch.setattr("sys.platform", "linux")
    assert [has_screen(each) for each in ({}, {"DISPLAY": ":0"}, {"WAYLAND_DISPLAY": "w"})] == [
        False,
        True,
        True,
    ]
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert desktop.main() == 1
    assert (
        capsys.readouterr().err
        == "There is no screen to open a window on; `are-you-a-cat serve` needs none.\n"
    )


@pytest.fixture
def screen(tmp_path):
    """A screen without a monitor: the variables that name it."""
    if not shutil.which("Xvfb"):
        pytest.skip("There is no Xvfb (Debian: apt-get install xvfb).")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as xvfb:
        os.close(write)
        with os.fdopen(read) as said:
            yield {"DISPLAY": f":{said.readline().strip()}"}
        xvfb.terminate()


def test_the_whole_of_it_opens_shows_itself_once_more_and_ends_with_its_window(screen, tmp_path):
    chromium = find_chromium() or pytest.skip("No browser: install Chromium or set CAT_CHROMIUM to its path.")
    commands = tmp_path / "bin"
    commands.mkdir()
    own = commands / "chromium"
    # As root there is no sandbox; what it is asked through its pipe is noted by the test, not by the program.
    own.write_text(f'#!/bin/sh\necho "$$" > {tmp_path}/pid\nexec {chromium} --no-sandbox "$@"\n')
    own.chmod(0o755)
    port = free_port()
    env = environment(
        **screen,
        PATH=f"{commands}:{os.environ['PATH']}",
        HOME=tmp_path,
        XDG_DATA_HOME=tmp_path / "data",
        CAT_PORT=port,
        GRADIO_TEMP_DIR=tmp_path / "uploads",
    )
    start = [sys.executable, "-m", "cat_model", "app"]
    log = tmp_path / "log.txt"
    with (
        log.open("w") as output,
        subprocess.Popen(start, cwd=ROOT, env=env, stdout=output, stderr=output) as app,
    ):
        try:
            # The page's script has run: only a browser asks for this.
            wait_long(lambda: '"route": "offline.js", "status": 200' in log.read_text(), app)
            ended = subprocess.run(start, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
            assert (ended.returncode, ended.stdout) == (0, "It runs already; its window is shown.\n")
            assert httpx.get(f"http://127.0.0.1:{port}/health").json()["ready"]
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)  # closes its windows
            assert app.wait(60) == 0
        finally:
            app.kill()
    assert not (tmp_path / "data/are-you-a-cat/instance.json").exists()


def wait_long(happened, process):
    """Wait for a page that starts on a busy machine."""
    ends = time.monotonic() + 150
    while not happened():
        assert process.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.2)
