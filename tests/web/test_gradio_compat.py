"""What Gradio would keep of each question is not kept, and the page works all the same."""

import copy
from contextlib import contextmanager

import gradio as gr
import httpx
from gradio.utils import LRUCache

from tests.app.conftest import free_port
from web import light
from web.light import LOOKS_S, LightBlocks


@contextmanager
def loud_page():
    """Open a small page whose one endpoint says a word louder, until the block ends."""
    with LightBlocks(analytics_enabled=False) as page:
        word, said = gr.Textbox(), gr.Textbox()
        word.submit(str.upper, word, said, api_name="loud")
    page.queue(max_size=5)
    page.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True)
    try:
        yield page
    finally:
        page.close(verbose=False)


def ask(page, times):
    call = f"{page.local_url}gradio_api/call/loud"
    for _ in range(times):
        event = httpx.post(call, json={"data": ["cat"]}).json()["event_id"]
        assert '"CAT"' in httpx.get(f"{call}/{event}").text


def test_of_sessions_that_are_long_gone_nothing_is_kept(monkeypatch):
    monkeypatch.setattr(light, "SESSIONS", 3)
    with loud_page() as page:
        page._queue.pending_messages_per_session = LRUCache(3)
        ask(page, 20)
        assert len(page._queue.pending_event_ids_session) <= 2 * 3 + 1


def test_a_question_leaves_no_copy_of_the_page_and_no_statistics():
    with loud_page() as page:
        ask(page, 3)
        sessions = page.state_holder.session_data.values()
        assert len(sessions) == 3
        assert all(not any(each.config_values.values()) for each in sessions)
        assert page._queue.sleep_when_free == LOOKS_S
        assert page._queue.cached_event_analytics_summary == {"functions": {}}
        assert len(page._queue.event_analytics) == 1
        kinds = [each["type"] for each in httpx.get(f"{page.local_url}config").json()["components"]]
        assert kinds.count("textbox") == 2
        assert copy.copy(page.default_config).blocks == page.default_config.blocks
