"""One instance of a program for a person: a second start asks the first one to show itself."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from pathlib import Path

from filelock import FileLock, Timeout

from cat_model.atomic import write_durably

LOCK, ADDRESS = "instance.lock", "instance.json"
SHOW, SHOWN = b"show", b"shown"
PATIENCE_S = 10
"""How long a second start waits for the answer of the first, which may itself be starting."""


class AlreadyRunningError(Exception):
    """There is a first instance; the message says whether it has shown itself."""

    def __init__(self, shown: bool) -> None:
        """Say whether it has shown itself."""
        super().__init__(
            "It runs already; its window is shown."
            if shown
            else "It runs already but does not answer. End that program first."
        )
        self.shown = shown


@contextmanager
def only_instance(folder: Path, show: Callable[[], None]) -> Iterator[None]:
    """Be the only instance until the block ends.

    Args:
        folder: the person's own, where lock and address are kept.
        show: is called, in another thread, whenever a second instance starts.

    Raises:
        AlreadyRunningError: there is a first one, which has been asked to show itself.
        OSError: the folder cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AlreadyRunningError(_ask_first(folder / ADDRESS)) from None
    key = secrets.token_bytes(32)
    try:
        with Listener(("127.0.0.1", 0), authkey=key) as listener:
            _, port = listener.address
            described = json.dumps({"port": port, "key": key.hex()})
            write_durably(folder / ADDRESS, described.encode(), mode=0o600)
            threading.Thread(target=_listen, args=(listener, show), daemon=True).start()
            yield
    finally:
        (folder / ADDRESS).unlink(missing_ok=True)
        lock.release()


def _listen(listener: Listener, show: Callable[[], None]) -> None:
    """Show the program to everybody who has the key, until the listener is closed."""
    while True:
        try:
            with listener.accept() as connection:
                if connection.recv_bytes(len(SHOW)) == SHOW:
                    show()
                    connection.send_bytes(SHOWN)
        except (AuthenticationError, EOFError, ConnectionError):  # somebody else's, or one that went away
            continue
        except OSError:
            return


def _ask_first(path: Path) -> bool:
    """Ask the first instance to show itself; return whether it has."""
    shown = threading.Event()
    # In a thread, because a connection to somebody who says nothing waits for ever.
    threading.Thread(target=_ask, args=(path, shown), daemon=True).start()
    return shown.wait(PATIENCE_S)


def _ask(path: Path, shown: threading.Event) -> None:
    """Ask until there is an answer, or patience ends."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        with suppress(OSError, ValueError, KeyError, AuthenticationError, EOFError):
            first = json.loads(path.read_text("utf-8"))
            with Client(("127.0.0.1", first["port"]), authkey=bytes.fromhex(first["key"])) as connection:
                connection.send_bytes(SHOW)
                if connection.recv_bytes(len(SHOWN)) == SHOWN:
                    shown.set()
                    return
        time.sleep(0.1)
