"""What stands between strangers and the page: which requests are taken, how many, how big, with what headers.

ASGI middleware around everything Gradio serves. Gradio 6.31 offers more than this page needs (files written
at a visitor's request, a proxy, developers' routes); only what is needed is let through.
"""

import hashlib
import json
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web import text
from web.server import pwa
from web.server.metrics import Metrics
from web.server.proxy import ROOT

LOG = logging.getLogger(__name__)
PAGES = {
    "", "assets", "bundle", "busy", "config", "engine", "favicon.ico", "health", "login", "login_check",
    "logout", "metrics", "model-card", "robots.txt", "static", "svelte", "theme.css", *pwa.NAMES,
}  # fmt: skip
API = {
    "app_id", "call", "cancel", "heartbeat", "info", "login_check", "openapi.json", "queue", "reset", "run",
    "startup-events", "stream", "theme.css", "upload", "upload_progress", "user",
}  # fmt: skip
"""The first names of paths that are let through: at the root, and below /gradio_api/."""
PROGRAMS = {
    "/v1/predict": "v1_predict", "/v2": "v2", "/ping": "ping", "/invocations": "invocations",
}  # fmt: skip
INFER, BELOW = "v2_infer", "/v2/"
"""What programs ask, where it is not switched off: whole paths, and those below /v2."""
FOR_PROGRAMS = {*PROGRAMS.values(), INFER}
QUESTIONS = {"queue", "call", "run", "upload", "login"}
"""What counts towards a visitor's rate when it is posted."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
POLICY = {
    "default-src": "'self'",
    # Gradio writes its configuration into the page and makes functions of the js=… texts.
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",  # the camera's picture
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
ENGINE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""For the engine's files: its worker goes by the policy that it came with, not by the page's."""
VISITORS = 10_000
PIECE = 1 << 18
"""Bytes of an upload that are handed on at once; so many are held for each upload under way."""


def kind(path: str) -> str:
    """Return what a request is for, without anything that a visitor chose: "upload", "v1_predict" …"""
    if path in PROGRAMS:
        return PROGRAMS[path]
    if path.startswith(BELOW):
        return INFER if path.endswith("/infer") else PROGRAMS["/v2"]
    first, _, rest = path.lstrip("/").partition("/")
    if first != "gradio_api":
        return (first or "page") if first in PAGES else "other"
    name = rest.partition("/")[0]
    if name.startswith("file="):
        return "file"
    return name if name in API else "other"


@dataclass
class Rate:
    """How many questions each visitor may ask: a bucket of tokens that fills as time goes by.

    Addresses are not kept: a visitor is the hash of one with a salt that is made at start and never leaves
    the memory. Time is monotonic: a clock that jumps changes nothing.

    Attributes:
        a_minute: questions a visitor may ask in a minute, and at once after a minute of silence; 0 for any.
    """

    a_minute: int
    _salt: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _left: OrderedDict[bytes, tuple[float, float]] = field(default_factory=OrderedDict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def ask(self, address: str, photos: int = 1) -> float:
        """Take a token for each photo; return 0, or the seconds until there is one again.

        Who has one may ask about several photos; the next question then waits until all of them are paid.
        """
        return self._take(address, photos)

    def wait(self, address: str) -> float:
        """Return the seconds until this visitor may ask, and take nothing."""
        return self._take(address, 0)

    def _take(self, address: str, tokens: int) -> float:
        if not self.a_minute:
            return 0
        visitor, now = self._hash(address), time.monotonic()
        with self._lock:
            left, then = self._left.pop(visitor, (float(self.a_minute), now))
            left = min(self.a_minute, left + (now - then) * self.a_minute / 60)
            enough = left >= 1
            self._left[visitor] = (left - tokens if enough else left, now)
            if len(self._left) > VISITORS:
                self._left.popitem(last=False)  # who was silent longest has a full bucket anyway
        return 0 if enough else (1 - left) * 60 / self.a_minute

    def _hash(self, address: str) -> bytes:
        return hashlib.blake2b(address.encode(), key=self._salt, digest_size=16).digest()


class SecurityMiddleware:
    """The ASGI middleware."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, rate: Rate, most_bytes: int, on_space: bool, api: bool = True
    ) -> None:
        """Stand before an application.

        Args:
            app: whatever serves the page.
            metrics: counts what is refused here.
            rate: how many questions a visitor may ask.
            most_bytes: of the body of a request.
            on_space: whether the page is shown in a frame of huggingface.co.
            api: whether programs may ask at /v1, /v2 and /invocations.
        """
        self._app = app
        self._metrics = metrics
        self._rate = rate
        self._most_bytes = most_bytes
        self._hidden = {"other"} if api else {"other", *FOR_PROGRAMS}
        frames = "'self' https://huggingface.co https://*.hf.space" if on_space else "'self'"
        policy = "; ".join(
            f"{name} {value}" for name, value in (POLICY | {"frame-ancestors": frames}).items()
        )
        self._headers, self._engine_headers = encoded(policy), encoded(ENGINE_POLICY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # the page uses no web sockets

        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                ours = self._engine_headers if kind(scope["path"]) == "engine" else self._headers
                message["headers"] = [*message["headers"], *ours, *unbuffered(message["headers"])]
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, with_headers)
            return
        piece = PIECE if kind(scope["path"]) == "upload" else 1  # others see that something comes
        bounded = _Bounded(receive, self._most_bytes, piece)
        try:
            await self._app(scope, bounded, with_headers)
            if bounded.exceeded:
                self._metrics.refused("size")
        except ClientDisconnect:
            if not bounded.exceeded or begun:
                raise
            self._metrics.refused("size")
            await refusal(kind(scope["path"]), text.TOO_BIG, 413)(scope, receive, with_headers)
        except OSError as error:
            if kind(scope["path"]) != "upload" or begun:
                raise
            LOG.error("A photo could not be put down: %s", error.strerror or type(error).__name__)
            self._metrics.refused("disk")
            await refusal("upload", text.NO_PLACE, 507)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        what = kind(scope["path"])
        if what in self._hidden:
            return PlainTextResponse("Not found", 404)
        if not scope["path"]:  # the page's addresses are relative to one that ends with a slash
            query = scope.get("query_string", b"").decode("latin-1")
            return RedirectResponse(f"{scope[ROOT]}/{query and '?'}{query}", 308)
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._most_bytes:
            self._metrics.refused("size")
            return refusal(what, text.TOO_BIG, 413)
        if what in QUESTIONS and scope["method"] == "POST":
            seconds = self._rate.ask(visitor(scope))
            if seconds:
                self._metrics.refused("rate")
                after = {"Retry-After": str(int(seconds) + 1)}
                return refusal(what, text.too_fast(seconds), 429, after)
        return None


class _Bounded:
    """Receives a request whose body may have so many bytes, and ends it there, whatever its head announced.

    The body is handed on in pieces of so many bytes at least: Gradio goes through a thread with each.
    """

    def __init__(self, receive: Receive, most_bytes: int, piece: int) -> None:
        self._receive = receive
        self._most_bytes, self._piece = most_bytes, piece
        self._total = 0

    @property
    def exceeded(self) -> bool:
        return self._total > self._most_bytes

    async def __call__(self) -> Message:
        parts, size = [], 0
        while True:
            message = await self._receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if self._total + size > self._most_bytes:
                self._total += size
                return {"type": "http.disconnect"}
            if not message.get("more_body") or size >= self._piece:
                self._total += size
                return {**message, "body": b"".join(parts)} if size else message


def refusal(what: str, said: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that Gradio's page shows well: of an upload's it shows all, of others' the detail.

    Programs go by `error`, as the Open Inference Protocol has it.
    """
    if what == "upload":
        return PlainTextResponse(said, status, headers)
    return JSONResponse({"error" if what in FOR_PROGRAMS else "detail": said}, status, headers)


def encoded(policy: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of every answer, with this content security policy, as ASGI has them."""
    headers = HEADERS | {"Content-Security-Policy": policy}
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def unbuffered(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the header that keeps nginx from holding back a stream of events; nothing for other answers."""
    types = [value for name, value in headers if name.lower() == b"content-type"]
    return [(b"x-accel-buffering", b"no")] if types and types[0].startswith(b"text/event-stream") else []


def visitor(scope: Scope) -> str:
    """Return the address that a request comes from, as `ProxyMiddleware` has found it."""
    return scope["client"][0] if scope.get("client") else ""


class LogMiddleware:
    """ASGI middleware that counts each request and writes a line of JSON on it, without personal data."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Stand before an application."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, then write its line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 499  # the visitor went away before an answer

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnect:  # an upload that its visitor broke off; else uvicorn prints a stack trace
            pass
        finally:
            seconds = time.perf_counter() - began
            what = kind(scope["path"])
            method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "OPTIONS"} else "other"
            self._metrics.requested(what, status, seconds)
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            line = {"at": at, "method": method, "route": what, "status": status, "ms": round(1000 * seconds)}
            print(json.dumps(line), flush=True)
