"""Every touch of Gradio's private parts, each with the version it was seen in (6.31).

When Gradio changes, this is the file to look at: its tests say what broke.

In the browser, static/line.js stands between Gradio's page and `fetch`. It relies on these:

- Gradio calls `window.fetch`, with a Request for streams and else with an address. The address of an upload
  from the box for one photo has an `upload_id`. To an upload that is answered with `[]` it says nothing.
- `queue/join` answers with an `event_id`. `queue/data` streams the messages `estimation` (with `rank`),
  `process_starts`, `process_completed`, `unexpected_error` and `close_stream`, an empty line after each.
- When that stream breaks, Gradio never opens another: it asks for `app_id` every two seconds, and then loads
  the page anew. After `process_completed` and `close_stream` it goes on as usual; so it is given those.
- `window.gradio_config` holds `app_id`, another one for each start of the server, and `dependencies`.
- `#photo .upload-container` takes files that are dropped, whatever it shows. It and the input for files go by
  the file's MIME type, which line.js therefore sets.

static/camera.js relies on `getUserMedia` and `clipboard.read` being looked up when they are needed, and on
`#camera .capture-button` with the titles of its icons.
"""

import base64
import binascii
import sys
import time
from abc import ABCMeta
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import gradio as gr
from gradio import route_utils
from gradio.blocks import BlocksConfig
from gradio.context import LocalContext
from gradio.data_classes import ImageData
from pydantic import ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from web import text
from web.server.proxy import ORIGIN, ROOT

WEB = ("http:", "https:")
"""How web addresses begin."""
SESSIONS = 2_000
"""Visitors' pages that the server remembers; the one that was silent longest is forgotten first."""
CHECK_S = 0.005
"""How often Gradio checks an empty queue; its own 1 ms keeps a part of a core busy all day."""


class LightBlocks(gr.Blocks):
    """gr.Blocks without what Gradio remembers, counts and copies besides, which this page does not use.

    Gradio starts a session for every page that is opened and every question of a program, and copies the
    description of each component into it, for deep links: 100 kB and 5 ms. After each answer it makes a table
    of the last 10,000 in pandas, for its dashboard. Here are neither deep links nor that dashboard. And it
    keeps a list for each session that has ever asked.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - whatever gr.Blocks takes
        """Begin a page; the options are those of gr.Blocks."""
        super().__init__(**options)
        self.default_config = _Config(self)

    def get_config_file(self) -> Any:  # noqa: ANN401 - Gradio's dictionary
        """Return what the browser is told, without the limit of uploads.

        Gradio's page would hold a photo to it before line.js has made it smaller; the server keeps it.
        """
        return {**super().get_config_file(), "max_file_size": None}

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:  # noqa: ANN401 - Gradio's own
        """Refuse a request with too few values, in words for programs."""
        try:
            super().validate_inputs(block_fn, inputs)
        except ValueError:
            names = [getattr(each, "label", None) or "" for each in block_fn.inputs]
            raise gr.Error(text.too_few(names, len(inputs)), print_exception=False) from None

    def queue(self, *args: Any, **options: Any) -> Self:  # noqa: ANN401 - whatever gr.Blocks takes
        """Make the queue; the options are those of gr.Blocks."""
        super().queue(*args, **options)
        self._queue.sleep_when_free = CHECK_S
        self._queue.ANALYTICS_MAX_EVENTS = 1
        self._queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize  # it is spelt so
        EventQueue(self).before_each(lambda *_: EventQueue(self).forget())
        EventQueue(self).tell_places_only_to_who_waits()
        return self


class _Config(BlocksConfig):
    def __copy__(self) -> BlocksConfig:
        """Return a session's own list of components; of what they look like it is told nothing."""
        session = super().__copy__()
        setattr(session, "config_for_block", lambda *_: {})  # noqa: B010 - a method of this one session
        return session


class EventQueue:
    """Gradio's queue of questions that wait for an answer (`gradio.queueing.Queue`)."""

    def __init__(self, blocks: gr.Blocks) -> None:
        """Use the queue of a page; its `queue()` was called before."""
        self._queue: Any = blocks._queue

    def __len__(self) -> int:
        """Return how many questions wait."""
        return len(self._queue)

    def waiting(self, concurrency_id: str) -> tuple[int, int]:
        """Return how many questions of a kind wait, and how many are being answered."""
        found = self._queue.event_queue_per_concurrency_id.get(concurrency_id)
        return (len(found.queue), found.current_concurrency) if found else (0, 0)

    def open(self, concurrency_id: str | None = None) -> Iterator[Scope]:
        """Yield the requests of the questions that wait or are being answered, of one kind or of all."""
        events = [each for found in self._kinds() for each in list(found.queue)]
        events += [each for job in list(self._queue.active_jobs) for each in job or ()]
        for event in events:
            if concurrency_id in (None, event.concurrency_id):
                yield event.request.scope

    def unread(self, session: str) -> int:
        """Return how many answers of a session have not been fetched."""
        return len(self._queue.pending_event_ids_session.get(session, ()))

    def any_unread(self) -> bool:
        """Return whether any session has answers that were not fetched."""
        return any(self._queue.pending_event_ids_session.values())

    def before_each(self, check: Callable[[str, Scope], str | None]) -> None:
        """Check each question before it is queued, in the event loop; a sentence turns it away.

        Args:
            check: gets the session and the request's scope.
        """
        push = self._queue.push

        async def checked(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever Queue.push takes
            body = named["body"] if "body" in named else args[0]
            request = named["request"] if "request" in named else args[1]
            refusal = check(body.session_hash, request.scope)
            return (False, refusal, "queue_full") if refusal else await push(*args, **named)

        self._queue.push = checked

    def tell_places_only_to_who_waits(self) -> None:
        """Tell a question its rank only while as many as may be are being answered.

        Gradio tells it everybody, for they all pass through the queue. On a slow line the word that one is
        being served comes late, and who is alone would be told of others.
        """
        broadcast, found = self._queue.broadcast_estimations, self._queue.event_queue_per_concurrency_id

        def only_if_full(concurrency_id: str, after: int | None = None) -> None:
            kind = found[concurrency_id]
            if kind.concurrency_limit is not None and kind.current_concurrency >= kind.concurrency_limit:
                broadcast(concurrency_id, after)

        self._queue.broadcast_estimations = only_if_full

    def forget(self) -> None:
        """Drop the empty lists that Gradio keeps of every session, for ever, if they are many.

        Call it in the event loop, where no question is being put down meanwhile.
        """
        lists, messages = self._queue.pending_event_ids_session, self._queue.pending_messages_per_session
        if len(lists) > 2 * SESSIONS:
            for session in [each for each in lists if each not in messages]:
                del lists[session]

    def close(self, concurrency_id: str, answers_s: float, words_s: float) -> None:
        """Take no more questions; return when those of a kind are answered and fetched, or soon.

        Args:
            concurrency_id: the kind.
            answers_s: seconds to wait for the answers.
            words_s: seconds, within those, to wait until they are fetched.
        """
        self._queue.max_size = 0
        ends = time.monotonic() + answers_s
        while time.monotonic() < ends and any(self.open(concurrency_id)):
            time.sleep(0.05)
        ends = min(ends, time.monotonic() + words_s)
        while time.monotonic() < ends and self.any_unread():
            time.sleep(0.05)

    def _kinds(self) -> list[Any]:
        return list(self._queue.event_queue_per_concurrency_id.values())


def functions(blocks: gr.Blocks, concurrency_id: str) -> list[int]:
    """Return the numbers of the functions that wait in one queue, as the browser calls them by."""
    return [number for number, fn in blocks.fns.items() if fn.concurrency_id == concurrency_id]


def called_by(blocks: gr.Blocks, elem_id: str, event: str) -> list[int]:
    """Return the numbers of the Python functions that an event of a component calls."""
    owners = {number for number, each in blocks.blocks.items() if each.elem_id == elem_id}
    return [
        number
        for number, fn in blocks.fns.items()
        if fn.fn and any(owner in owners and name == event for owner, name in fn.targets)
    ]


def called_after(blocks: gr.Blocks, numbers: list[int]) -> list[int]:
    """Return the numbers of the Python functions that follow the success of others."""
    return [
        number
        for number, fn in blocks.fns.items()
        if fn.fn and fn.trigger_after in numbers and fn.trigger_only_on_success
    ]


def value_now(state: gr.State, request: gr.Request) -> Any:  # noqa: ANN401 - whatever the state holds
    """Return what a visitor's state holds now, which may be newer than what a function was given.

    Args:
        state: the component.
        request: what the function was asked by.
    """
    blocks = LocalContext.blocks.get()
    assert blocks is not None, "Only a function of the page knows its page."
    return blocks.state_holder[str(request.session_hash)][state._id]


def forget_uploads(blocks: gr.Blocks) -> None:
    """Drop the list in which Gradio notes every upload, for ever (`Blocks.temp_file_sets`)."""
    for names in blocks.temp_file_sets:
        names.clear()


def files_kept(blocks: gr.Blocks) -> set[Path]:
    """Return the files of the page itself that lie among the uploads, such as the examples."""
    return {Path(name) for each in blocks.blocks.values() for name in getattr(each, "keep_in_cache", ())}


def tell_relative_addresses() -> None:
    """Have Gradio name its addresses relative to the page's own, for requests through `ProxyMiddleware`.

    `route_utils.get_root_url` makes whole addresses from headers; behind a proxy those name hosts and paths
    that no visitor reaches. The page in the browser completes relative ones by its own address, and clients
    for programs go by the address that they were given. Only the examples of code need a whole address.
    """
    whole = getattr(route_utils, "whole_root_url", route_utils.get_root_url)

    def root_url(request: Request, route_path: str, root_path: str | None) -> str:
        scope = request.scope
        if ROOT not in scope:
            return whole(request, route_path, root_path)
        if route_path in ("/login", "/logout"):  # where to go next
            return "./"
        if route_path == "/config":
            return ""
        if "info" in route_path or "openapi" in route_path:
            return f"{scope[ORIGIN]}{scope[ROOT]}"
        return "."

    route: Any = route_utils
    route.whole_root_url, route.get_root_url = whole, root_url


class FreshApiInfo:
    """ASGI middleware that has Gradio describe the API anew for each request.

    `App.api_info` keeps the examples of code as they were made for who asked first, with the host that his
    request named.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Stand before an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        if scope["type"] == "http" and scope["path"].startswith("/gradio_api/info"):
            scope["app"].api_info = None
        await self._app(scope, receive, send)


def signed_in(request: Request) -> bool:
    """Return whether who asks may use the page (`App.get_current_user`): all may where there is no login."""
    app: Any = request.app
    if app.auth is None:
        return True
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(request.cookies.get(name) in app.tokens for name in names)


def stop_waiting_after(blocks: gr.Blocks, seconds: int) -> None:
    """Have the server, when it ends, wait so long for unfinished requests (`Blocks.server`)."""
    server: Any = blocks.server
    server.config.timeout_graceful_shutdown = seconds


class _WithoutStub(type(gr.Image)):
    """Makes a component class without what Gradio does besides: write a .pyi file beside this one."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
        return ABCMeta.__new__(cls, name, bases, body)


class PhotoData(ImageData):
    """An uploaded photo, or one in a data: address; as the page's API help describes it."""

    path: str | None = Field(default=None, description="What /gradio_api/upload answered for the photo")
    url: str | None = Field(default=None, description="Instead: the photo in a data: address, in base64")

    model_config = ConfigDict(json_schema_extra={"description": "An uploaded photo, or a data: address."})

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:  # noqa: ANN401 - whatever a program sends
        """Read what a program sends; tell in words what is wrong, where Gradio would give no reason at all.

        Raises:
            gr.Error: it does not describe a photo.
        """
        if isinstance(obj, str) and obj.lower().startswith(WEB):
            raise gr.Error(text.NOT_ITS_ADDRESS, print_exception=False)
        try:
            return super().model_validate(obj, **options)
        except ValidationError:
            raise gr.Error(text.HOW_TO_SEND, print_exception=False) from None


class PhotoBox(gr.Image, metaclass=_WithoutStub):
    """gr.Image, except that the app gets the visitor's very file, and only a file that was uploaded.

    gr.Image opens every file with Pillow, without our limits, before the app sees it; it downloads any web
    address it is sent, of any size; and it takes the path of any file on the server from a request that
    leaves out `meta`.
    """

    data_model = PhotoData
    is_template = True  # the browser shows it as what it derives from, gr.Image

    def preprocess(self, payload: ImageData | None) -> str | bytes | None:  # type: ignore[override]
        """Return the path of the uploaded file, or the bytes of a data: address; None without a photo."""
        if payload is None:
            return None
        if payload.url and payload.url.startswith("data:"):
            try:
                return base64.b64decode(payload.url.partition(",")[2], validate=True)
            except binascii.Error:
                raise gr.Error(text.NOT_BASE64, print_exception=False) from None
        if not payload.path and (payload.url or "").lower().startswith(WEB):
            raise gr.Error(text.NOT_ITS_ADDRESS, print_exception=False)
        path = Path(payload.path or "/").resolve()
        if not path.is_relative_to(Path(self.GRADIO_CACHE).resolve()):
            raise gr.Error(text.UPLOAD_FIRST, print_exception=False)
        return str(path)

    def example_payload(self) -> dict[str, Any]:
        """Return what the page's API help shows as an example: a file of one's own."""
        return {"path": "photo.jpg", "url": "photo.jpg", "meta": {"_type": "gradio.FileData"}}

    def example_value(self) -> dict[str, Any]:
        """Return the same, for gr.load."""
        return self.example_payload()

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """Refuse web addresses: the app fetches nothing for a stranger."""
        if str(url_or_file_path).lower().startswith(WEB):
            raise gr.Error(text.NOT_ITS_ADDRESS, print_exception=False)
        return await super().async_move_resource_to_block_cache(url_or_file_path)
