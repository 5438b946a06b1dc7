"""Opens the page to visitors, watches over it and closes it: everything between Gradio and the network."""

import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes import Soft
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from cat_model.bundle import CARD
from cat_model.feedback.delivery import Status
from cat_model.memory import keep_freed
from web import gradio_compat, text
from web.engine import Engine
from web.server import engine, pwa
from web.server.http_api import HttpApi
from web.server.metrics import Metrics
from web.server.middleware import LogMiddleware, Rate, SecurityMiddleware, visitor
from web.server.periodic import regularly
from web.server.proxy import Proxies, ProxyMiddleware
from web.server.queue import ModelQueue
from web.server.reload import ReloadingPredictor
from web.server.uploads import SWEEP_S, Sweeper
from web.settings import ServerSettings, without_proxies

TICK_S, LAST_REQUESTS_S = 0.2, 3
"""How often the page looks whether it is to stop, and how long it waits for unfinished requests then."""
KEPT_BYTES = 64 << 20
"""Freed memory that is kept for the next photo: twice the largest block, as glibc itself would have it."""
FONTS = ["system-ui", "sans-serif"]  # the device's own: nothing is fetched
STYLE = Path(__file__).parents[1] / "static" / "page.css"


@dataclass(frozen=True)
class Site:
    """A page that is ready to be opened.

    Attributes:
        blocks: what visitors see.
        queue: who waits for the model.
        predictor: the model that answers.
        metrics: what is counted.
        feedback: tells how the delivery of feedback stands.
        script: JavaScript that the browser runs when it has loaded the page.
        engine: what answers in visitors' browsers; None where it was not built.
    """

    blocks: gr.Blocks
    queue: ModelQueue
    predictor: ReloadingPredictor
    metrics: Metrics
    feedback: Callable[[], Status]
    script: str
    engine: Engine | None = None


def serve(site: Site, settings: ServerSettings) -> str:
    """Open the page to visitors in the background; return its address.

    Raises:
        OSError: the port is taken or may not be used.
    """
    rate = Rate(settings.rate)
    keep_freed(KEPT_BYTES)
    _watch(site)
    if settings.rate:
        site.queue.limit_each_visitor()
    gradio_compat.tell_relative_addresses()
    with without_proxies():
        address = _launch(site, settings, _application(site, rate, settings))
    # Without it one stalled upload outlasts Gradio's patience with the server, which deletes the photos last.
    gradio_compat.stop_waiting_after(site.blocks, LAST_REQUESTS_S)
    return address


def _launch(site: Site, settings: ServerSettings, application: dict[str, Any]) -> str:
    ipv6 = ":" in settings.host  # brackets, as in an address: Gradio asks for that
    _, address, _ = site.blocks.launch(
        server_name=f"[{settings.host.strip('[]')}]" if ipv6 else settings.host,
        server_port=settings.port,
        root_path="",  # ProxyMiddleware sees to it
        inbrowser=settings.open_browser,
        prevent_thread_lock=True,
        quiet=True,
        state_session_capacity=gradio_compat.SESSIONS,
        max_file_size=settings.upload_bytes,
        auth=_login(settings),
        run_history=False,
        share=False,
        show_error=False,
        strict_cors=True,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        ssr_mode=False,
        allowed_paths=[],
        blocked_paths=[],
        footer_links=["api"],
        theme=Soft(primary_hue="blue", secondary_hue="blue", font=FONTS, font_mono=FONTS),
        css_paths=STYLE,
        head=pwa.HEAD,
        js=site.script,
        app_kwargs=application,
    )
    return address


def _application(site: Site, rate: Rate, settings: ServerSettings) -> dict[str, Any]:
    """Return what the web application is made with: routes, middleware, no pages for developers."""
    security = Middleware(
        SecurityMiddleware,
        metrics=site.metrics,
        rate=rate,
        most_bytes=settings.most_bytes,
        on_space=settings.on_space,
        api=settings.api,
    )
    trusted = settings.trusted_proxies
    proxies = Proxies(trusted, settings.on_space and not trusted, settings.root_path)
    return {
        "routes": _routes(site, rate, settings),
        "docs_url": None,
        "redoc_url": None,
        "openapi_url": None,
        "middleware": [
            Middleware(ProxyMiddleware, proxies=proxies),
            Middleware(LogMiddleware, metrics=site.metrics),
            security,
            Middleware(gradio_compat.FreshApiInfo),
        ],
    }


def run(
    site: Site,
    settings: ServerSettings,
    stops: Sequence[int],
    opened: Callable[[str], None] = lambda _: None,
) -> int:
    """Serve the page until `stops` is no longer empty; return 0, or 1 when the page cannot open.

    Args:
        site: the page.
        settings: how it is served.
        stops: signals that came, and other reasons to stop.
        opened: is called with the page's address once visitors may come.
    """
    if not is_of_this_machine(settings.host):
        print(
            f"The page cannot open on {settings.host}: this machine has no such address or name. Set "
            "CAT_HOST to one that it has: 127.0.0.1 for this machine alone, 0.0.0.0 or :: for every "
            "network it is in.",
            file=sys.stderr,
        )
        return 1
    try:
        address = serve(site, settings)
    except OSError:
        where = f"{settings.host}:{settings.port}"
        print(
            f"The page cannot open on {where}: taken, or not allowed. Set CAT_PORT to another port.",
            file=sys.stderr,
        )
        return 1
    print(f"{text.TITLE} {address} (stop with Ctrl+C)", flush=True)
    if reason := unwritable(settings.model.feedback_dir):
        print(f"Feedback is off: {settings.model.feedback_dir} cannot be written ({reason}).", flush=True)
    sweeper = Sweeper(Path(site.blocks.GRADIO_CACHE), site.blocks)
    end_sweeping = regularly(sweeper.sweep, SWEEP_S, "uploads")
    site.predictor.watch()
    opened(address)
    while not stops:  # a wait without an end would sleep through a signal that comes just before it
        time.sleep(TICK_S)
    site.queue.finish()
    site.predictor.stop()
    end_sweeping()
    site.blocks.close(verbose=False)
    return 0


def is_of_this_machine(host: str) -> bool:
    """Return whether a name or address is one that this machine can listen on."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.bind(address)
    except (
        OSError,
        UnicodeError,
    ):  # no such name or one too long, no such address, no such family of addresses
        return False
    return True


def unwritable(folder: Path) -> str | None:
    """Return why nothing can be written to a folder, or to where it would be made; None when it can."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _login(settings: ServerSettings) -> tuple[str, str] | None:
    if settings.login is None:
        return None
    name, _, password = settings.login.partition(":")
    return name, password


def _watch(site: Site) -> None:
    site.metrics.watch("cat_waiting", "Photos that wait, of visitors and programs.", lambda: len(site.queue))
    site.metrics.watch("cat_feedback_backlog", "Answers not yet delivered.", lambda: site.feedback().backlog)
    site.metrics.watch(
        "cat_bundle_refused", "1 while a newer bundle cannot be served.", lambda: bool(site.predictor.problem)
    )
    site.metrics.watch_model(lambda: site.predictor.bundle.version)


def _routes(site: Site, rate: Rate, settings: ServerSettings) -> list[Route]:
    """Return what operators ask: /health and /metrics; and /busy, which a turned-away page asks for words;
    the model card, which the page links to; what programs ask, and what the engine in the browser loads."""

    def health(_: Request) -> JSONResponse:
        return JSONResponse(
            {
                "ready": True,
                "model": site.predictor.bundle.version,
                "model_problem": site.predictor.problem,
                "waiting": len(site.queue),
                "feedback": asdict(site.feedback()) | {"off": unwritable(settings.model.feedback_dir)},
            }
        )

    def busy(request: Request) -> PlainTextResponse:
        seconds = rate.wait(visitor(request.scope))
        said = text.too_fast(seconds) if seconds else text.busy(site.queue.before())
        if settings.rate and site.queue.takes_too_much(request.scope):
            said = text.TOO_MANY
        return PlainTextResponse(said, headers={"Cache-Control": "no-store"})

    def card(_: Request) -> PlainTextResponse:
        try:
            return PlainTextResponse((site.predictor.bundle.folder / CARD).read_text("utf-8"))
        except OSError:
            return PlainTextResponse("Not found", 404)

    def metrics(_: Request) -> PlainTextResponse:
        return PlainTextResponse(site.metrics.text(), media_type="text/plain; version=0.0.4")

    programs = HttpApi(site.predictor, site.queue, rate, site.metrics, settings)
    return [
        Route("/health", health),
        Route("/busy", busy),
        Route("/metrics", metrics),
        Route(f"/{text.CARD_ADDRESS}", card),
        *(programs.routes() if settings.api else ()),
        *pwa.routes(),
        *engine.routes(site.engine, lambda: site.predictor.bundle, bool(settings.login)),
    ]
