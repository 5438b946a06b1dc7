"""gr.Blocks without what Gradio 6.31 remembers, counts and copies besides, which this page does not use."""

import sys
from typing import Any, Self

import gradio as gr
from gradio.blocks import BlocksConfig
from gradio.queueing import Queue

SESSIONS = 2_000
"""Visitors' pages that the server remembers; the one that was silent longest is forgotten first."""
LOOKS_S = 0.005
"""How often Gradio looks into an empty queue; its own 1 ms keeps a part of a core busy all day."""


class LightBlocks(gr.Blocks):
    """gr.Blocks that costs less for each question.

    Gradio starts a session for every page that is opened and every question of a program, and copies the
    description of each component into it, for deep links: 100 kB and 5 ms. After each answer it makes a table
    of the last 10,000 in pandas, for its dashboard. Here are neither deep links nor that dashboard. And it
    keeps a list for each session that has ever asked.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - whatever gr.Blocks takes
        """Begin a page; the options are those of gr.Blocks."""
        super().__init__(**options)
        self.default_config = _Config(self)

    def queue(self, **options: Any) -> Self:  # noqa: ANN401 - whatever gr.Blocks takes
        """Make the queue; the options are those of gr.Blocks."""
        super().queue(**options)
        self._queue.sleep_when_free = LOOKS_S
        self._queue.ANALYTICS_MAX_EVENTS = 1
        self._queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize  # it is spelt so
        push = self._queue.push

        async def forgetful(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever Queue.push takes
            forget(self._queue)
            return await push(*given, **named)

        self._queue.push = forgetful
        return self


def forget(queue: Queue) -> None:
    """Drop the empty lists of open questions that Gradio keeps of every session, for ever, if they are many.

    Call it in the event loop, where no question is being put down meanwhile.
    """
    open_questions = queue.pending_event_ids_session
    if len(open_questions) > 2 * SESSIONS:
        for session in [each for each in open_questions if each not in queue.pending_messages_per_session]:
            del open_questions[session]


class _Config(BlocksConfig):
    def __copy__(self) -> BlocksConfig:
        """Return a session's own list of components; of what they look like it is told nothing."""
        session = super().__copy__()
        session.config_for_block = lambda *_: {}
        return session
