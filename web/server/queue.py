"""Many visitors at once: who is before whom, that nobody takes all places, that who waits is answered."""

from starlette.types import Scope

from web import text
from web.gradio_compat import EventQueue
from web.server.middleware import visitor

MODEL = "model"
"""What Gradio calls the queue of those who wait for the model: photos, not cameras."""
MOST_OPEN = 12
"""Questions of one visitor that may be open at once: cameras, photos, explanations."""
LAST_ANSWERS_S, LAST_WORDS_S = 5.0, 1.0
"""How long the page, when it is to end, still answers who waits, and then lets the answers leave."""


def before(queue: EventQueue) -> int:
    """Return how many come before a visitor whose photo would have to wait now; 0 if it would not."""
    waiting, running = queue.waiting(MODEL)
    return waiting + running if waiting else 0


def limit_each_visitor(queue: EventQueue) -> None:
    """Have a queue turn away who has `MOST_OPEN` open questions, or that many answers not fetched."""

    def check(session: str, scope: Scope) -> str | None:
        full = queue.unread(session) >= MOST_OPEN or takes_too_much(queue, scope)
        return text.TOO_MANY if full else None

    queue.before_each(check)


def takes_too_much(queue: EventQueue, scope: Scope) -> bool:
    """Say whether whom a request comes from has `MOST_OPEN` open questions."""
    address = visitor(scope)
    return sum(visitor(each) == address for each in queue.open()) >= MOST_OPEN


def finish(queue: EventQueue) -> None:
    """Take no more questions; return when those who wait for the model have their answers, or soon."""
    queue.close(MODEL, LAST_ANSWERS_S, LAST_WORDS_S)
