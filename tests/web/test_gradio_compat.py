"""What Gradio would keep of each question is not kept, and the page works all the same."""

import copy
import re
import threading
import time
from contextlib import contextmanager

import gradio as gr
import httpx
from gradio.utils import LRUCache

from tests.app.conftest import free_port
from web import gradio_compat
from web.gradio_compat import CHECK_S, EventQueue, LightBlocks


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
    monkeypatch.setattr(gradio_compat, "SESSIONS", 3)
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
        assert page._queue.sleep_when_free == CHECK_S
        assert page._queue.cached_event_analytics_summary == {"functions": {}}
        assert len(page._queue.event_analytics) == 1
        kinds = [each["type"] for each in httpx.get(f"{page.local_url}config").json()["components"]]
        assert kinds.count("textbox") == 2
        assert copy.copy(page.default_config).blocks == page.default_config.blocks


def test_places_are_told_only_to_questions_that_wait():
    """Everybody passes through the queue; one that is served at once is told of no place in it."""
    opened = threading.Event()

    def slow(word):
        opened.wait(30)
        return word

    with LightBlocks(analytics_enabled=False) as page:
        word, said = gr.Textbox(), gr.Textbox()
        word.submit(slow, word, said, api_name="slow", concurrency_id="model", concurrency_limit=1)
    page.queue(max_size=5)
    page.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True)
    try:
        api = f"{page.local_url}gradio_api/queue"
        for session in "abc":
            httpx.post(f"{api}/join", json={"data": ["cat"], "fn_index": 0, "session_hash": session})
            while session == "a" and EventQueue(page).waiting("model")[1] == 0:
                time.sleep(0.01)
        opened.set()
        streams = [httpx.get(f"{api}/data?session_hash={session}", timeout=30).text for session in "abc"]
    finally:
        page.close(verbose=False)
    ranks = [re.findall(r'"rank": ?(\d+)', stream) for stream in streams]
    assert ranks[0] == []
    assert ranks[1][0] == "0"
    assert ranks[2][0] == "1"
