"""SIGTERM, which engines and machines that are taken away send, ends a command line as Ctrl-C does."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM, which its children do not hear."""


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM raise Terminated in the main thread while the block runs; restore it afterwards."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
