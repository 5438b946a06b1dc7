"""Many visitors at once: who is before whom, that nobody takes all places, that who waits is answered."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from web import text
from web.gradio_compat import EventQueue
from web.server.middleware import visitor

MODEL = "model"
"""What Gradio calls the queue of those who wait for the model: photos, not cameras."""
AT_ONCE = 2
"""Photos taken up for each worker: while one's answer is handed over, the next is already here."""
MOST_OPEN = 12
"""Questions of one visitor that may be open at once: cameras, photos, explanations."""
LAST_ANSWERS_S, LAST_WORDS_S = 5.0, 1.0
"""How long the page, when it is to end, still answers who waits, and then lets the answers leave."""
HELD_BYTES = 256_000_000
"""Of programs' requests that may be in memory at once, unless a single one may be nearly as big."""

T = TypeVar("T")


class Full(Exception):
    """No more can wait; the message says so to who asks."""


class ModelQueue:
    """Who waits for the model: visitors of the page in Gradio's queue, and programs here. One limit for all.

    But for `len` and `finish` it is used in the event loop alone.
    """

    def __init__(self, gradio: EventQueue, most: int, workers: int, most_bytes: int) -> None:
        """Stand beside Gradio's queue.

        Args:
            gradio: the queue of the page's visitors.
            most: how many may wait, visitors and programs together.
            workers: photos that are judged at the same time.
            most_bytes: of one program's request.

        `ended` is true when no more questions are taken.
        """
        self.gradio = gradio
        self.ended = False
        self._most = most
        self._most_bytes = max(HELD_BYTES, 2 * most_bytes)
        self._slots, self._threads = asyncio.Semaphore(AT_ONCE * workers), CapacityLimiter(AT_ONCE * workers)
        self._open: Counter[str] = Counter()  # questions of programs, by the address that they come from
        self._waiting = self._held = 0
        gradio.before_each(lambda *_: text.busy(self.before()) if len(self) >= most else None)

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self.gradio) + self._waiting

    def before(self) -> int:
        """Return how many come before a visitor whose photo would have to wait now; 0 if it would not."""
        waiting, running = self.gradio.waiting(MODEL)
        return waiting + running + self._open.total() if waiting + self._waiting else 0

    def takes_too_much(self, scope: Scope) -> bool:
        """Say whether whom a request comes from has `MOST_OPEN` open questions."""
        address = visitor(scope)
        open_here = sum(visitor(each) == address for each in self.gradio.open())
        return open_here + self._open[address] >= MOST_OPEN

    def limit_each_visitor(self) -> None:
        """Turn away visitors of the page with `MOST_OPEN` open questions, or as many answers not fetched."""

        def check(session: str, scope: Scope) -> str | None:
            full = self.gradio.unread(session) >= MOST_OPEN or self.takes_too_much(scope)
            return text.TOO_MANY if full else None

        self.gradio.before_each(check)

    def require_place(self) -> None:
        """Turn away whom nobody could answer soon.

        Raises:
            Full: as many wait as may, or the page is about to end.
        """
        if self.ended:
            raise Full(text.ENDS)
        if len(self) >= self._most:
            raise Full(text.busy(self.before()))

    @contextmanager
    def memory(self) -> Iterator[Callable[[int], None]]:
        """Yield what is to be told of each piece of a request that is kept in memory until the block ends.

        Raises:
            Full: when it is told of more than there is memory for.
        """
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            if self._held + size > self._most_bytes:
                raise Full(text.busy(self.before()))
            self._held += size
            mine += size

        try:
            yield take
        finally:
            self._held -= mine

    async def run(self, work: Callable[[], T], request: Request) -> T:
        """Wait, then work in a thread; in the order of asking.

        Args:
            work: what needs the model.
            request: what it is for, and whose body was read.

        Raises:
            Full: no more can wait.
            ClientDisconnect: who asked has hung up, so nothing was done.
        """
        self.require_place()
        address = visitor(request.scope)
        self._open[address] += 1
        try:
            await self._slot(request)
            try:
                return await to_thread.run_sync(work, limiter=self._threads)
            finally:
                self._slots.release()
        finally:
            self._open -= Counter({address: 1})  # what is at 0 is forgotten

    async def _slot(self, request: Request) -> None:
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        if await request.is_disconnected():
            self._slots.release()
            raise ClientDisconnect

    def finish(self) -> None:
        """Take no more questions; return when those who wait for the model have their answers, or soon."""
        self.ended = True
        ends = time.monotonic() + LAST_ANSWERS_S
        self.gradio.close(MODEL, LAST_ANSWERS_S, LAST_WORDS_S)
        while time.monotonic() < ends and self._open:
            time.sleep(0.05)
