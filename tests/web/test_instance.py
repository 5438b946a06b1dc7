"""One instance: a second start shows the first one, whoever has no key gets nothing."""

import json
import socket
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path

import pytest

from web import instance
from web.instance import AlreadyRunningError, only_instance

ROOT = Path(__file__).parents[2]
SECOND = """if True:
    import sys
    from pathlib import Path
    from web.instance import AlreadyRunningError, only_instance
    try:
        with only_instance(Path(sys.argv[1]), lambda: None):
            print("first")
    except AlreadyRunningError as error:
        print(error.shown, error)
"""


def start_second(folder):
    """What another process says that starts now."""
    ended = subprocess.run(
        [sys.executable, "-c", SECOND, folder], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ended.stdout.strip()


@contextmanager
def first(folder):
    shown = []
    with only_instance(folder, lambda: shown.append(True)):
        yield shown


def test_a_second_start_shows_the_first_and_a_later_one_is_a_first(tmp_path):
    with first(tmp_path / "data") as shown:
        assert start_second(tmp_path / "data") == "True It runs already; its window is shown."
        assert start_second(tmp_path / "data").startswith("True")
        assert len(shown) == 2
    assert start_second(tmp_path / "data") == "first"


def test_what_a_crash_leaves_behind_is_in_nobodys_way(tmp_path):
    (tmp_path / "instance.json").write_text('{"port": 9, "key": "00"}')
    (tmp_path / "instance.lock").write_text("")
    with first(tmp_path):
        assert start_second(tmp_path).startswith("True")


@pytest.fixture
def silent():
    """What describes a first instance that takes up a connection and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield json.dumps({"port": listener.getsockname()[1], "key": "00"})


@pytest.mark.parametrize("answers", ["not at all", "with silence"])
def test_a_first_that_does_not_answer_is_said(answers, silent, tmp_path, monkeypatch):
    monkeypatch.setattr(instance, "PATIENCE_S", 0.3)
    with first(tmp_path):
        (tmp_path / "instance.json").write_text(silent if answers == "with silence" else "")
        caught = []

        def second():
            with pytest.raises(AlreadyRunningError) as error, only_instance(tmp_path, lambda: None):
                pass
            caught.append(error.value)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert (caught[0].shown, str(caught[0])) == (
            False,
            "It runs already but does not answer. End that program first.",
        )


def test_only_the_person_has_the_key_and_nothing_is_shown_without_it(tmp_path):
    with first(tmp_path) as shown:
        assert stat.S_IMODE((tmp_path / "instance.json").stat().st_mode) == 0o600
        port = json.loads((tmp_path / "instance.json").read_text())["port"]
        with pytest.raises(AuthenticationError):
            Client(("127.0.0.1", port), authkey=b"guessed")
        assert shown == []
        assert start_second(tmp_path).startswith("True")  # it listens still
