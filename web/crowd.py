"""Many visitors at once: who is before whom, that nobody takes all places, that who waits is answered."""

import time
from collections.abc import Iterable
from typing import Any

from gradio.queueing import Event, Queue
from starlette.types import Scope

from web import words
from web.shield import visitor

MODEL = "model"
"""What Gradio calls the queue of those who wait for the model: photos, not cameras."""
MOST_OPEN = 12
"""Questions of one visitor that may be open at once: cameras, photos, closer looks."""
LAST_ANSWERS_S, LAST_WORDS_S = 5.0, 1.0
"""How long the page, when it is to end, still answers who waits, and then lets the answers leave."""


def before(queue: Queue) -> int:
    """Return how many come before a visitor whose photo would have to wait now; 0 if it would not."""
    waiting = queue.event_queue_per_concurrency_id.get(MODEL)
    return len(waiting.queue) + waiting.current_concurrency if waiting and waiting.queue else 0


def be_fair(queue: Queue, behind_proxy: bool) -> None:
    """Have a queue turn away who has `MOST_OPEN` open questions, or that many answers not fetched.

    Args:
        queue: of the page.
        behind_proxy: as for `shield.visitor`.
    """
    push = queue.push

    async def fair(body: Any, request: Any, username: str | None) -> tuple[bool, Any, str]:  # noqa: ANN401
        unread = queue.pending_event_ids_session.get(body.session_hash, ())
        if len(unread) >= MOST_OPEN or takes_too_much(queue, request.scope, behind_proxy):
            return False, words.TOO_MANY, "queue_full"
        return await push(body, request, username)

    queue.push = fair


def takes_too_much(queue: Queue, scope: Scope, behind_proxy: bool) -> bool:
    """Say whether whom a request comes from has `MOST_OPEN` open questions."""
    address = visitor(scope, behind_proxy)
    return sum(visitor(each.request.scope, behind_proxy) == address for each in _open(queue)) >= MOST_OPEN


def finish(queue: Queue) -> None:
    """Take no more questions; return when those who wait for the model have their answers, or soon."""
    queue.max_size = 0
    ends = time.monotonic() + LAST_ANSWERS_S
    while time.monotonic() < ends and any(each.concurrency_id == MODEL for each in _open(queue)):
        time.sleep(0.05)
    ends = min(ends, time.monotonic() + LAST_WORDS_S)
    while time.monotonic() < ends and any(queue.pending_event_ids_session.values()):
        time.sleep(0.05)


def _open(queue: Queue) -> Iterable[Event]:
    """Yield the questions that wait or are being answered."""
    for waiting in list(queue.event_queue_per_concurrency_id.values()):
        yield from list(waiting.queue)
    for job in list(queue.active_jobs):
        yield from job or ()
