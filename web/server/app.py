"""Opens the page to visitors, watches over it and closes it: everything between Gradio and the network."""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from cat_model.delivery import Status
from cat_model.regularly import regularly
from cat_model.serving import Serving
from cat_model.settings import Settings
from web import crowd, light, words
from web.metrics import Metrics
from web.shield import BODY_OVERHEAD, Log, Rate, Shield, visitor
from web.uploads import SWEEP_S, Sweeper

TICK_S, LAST_REQUESTS_S = 0.2, 3
"""How often the page looks whether it is to stop, and how long it waits for unfinished requests then."""
FONTS = ["system-ui", "sans-serif"]  # the device's own: nothing is fetched


@dataclass(frozen=True)
class Site:
    """A page that is ready to be opened.

    Attributes:
        blocks: what visitors see.
        serving: the model that answers.
        metrics: what is counted.
        feedback: tells how the delivery of feedback stands.
    """

    blocks: gr.Blocks
    serving: Serving
    metrics: Metrics
    feedback: Callable[[], Status]


def serve(site: Site, settings: Settings, js: str) -> str:
    """Open the page to visitors in the background; return its address.

    Args:
        site: the page.
        settings: of the app.
        js: what the browser runs when it has loaded the page.

    Raises:
        OSError: the port is taken or may not be used.
    """
    rate = Rate(settings.rate)
    most_bytes = 4 * (settings.upload_mb * 1_000_000) // 3 + BODY_OVERHEAD  # a photo in base64, or as it is
    _watch(site)
    if settings.rate:
        crowd.be_fair(site.blocks._queue, settings.on_space)
    _, address, _ = site.blocks.launch(
        server_name=settings.host,
        server_port=settings.port,
        inbrowser=settings.open_browser,
        prevent_thread_lock=True,
        quiet=True,
        state_session_capacity=light.SESSIONS,
        max_file_size=settings.upload_mb * 1_000_000,
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
        theme=gr.themes.Soft(primary_hue="blue", secondary_hue="blue", font=FONTS, font_mono=FONTS),
        css_paths=Path(__file__).parent / "page.css",
        js=js,
        app_kwargs={
            "routes": _routes(site, rate, settings),
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
            "middleware": [
                Middleware(Log, metrics=site.metrics),
                Middleware(
                    Shield,
                    metrics=site.metrics,
                    rate=rate,
                    most_bytes=most_bytes,
                    behind_proxy=settings.on_space,
                ),
            ],
        },
    )
    # Without it one stalled upload outlasts Gradio's patience with the server, which deletes the photos last.
    site.blocks.server.config.timeout_graceful_shutdown = LAST_REQUESTS_S
    return address


def run(site: Site, settings: Settings, stops: Sequence[int], js: str) -> int:
    """Serve the page until `stops` is no longer empty; return 0, or 1 when the page cannot open."""
    try:
        address = serve(site, settings, js)
    except OSError:
        where = f"{settings.host}:{settings.port}"
        print(
            f"The page cannot open on {where}: taken, or not allowed. Set CAT_PORT to another port.",
            file=sys.stderr,
        )
        return 1
    print(f"{words.TITLE} {address} (stop with Ctrl+C)", flush=True)
    if reason := unwritable(settings.feedback_dir):
        print(f"Feedback is off: {settings.feedback_dir} cannot be written ({reason}).", flush=True)
    sweeper = Sweeper(Path(site.blocks.GRADIO_CACHE), site.blocks)
    end_sweeping = regularly(sweeper.sweep, SWEEP_S, "uploads")
    site.serving.watch()
    while not stops:  # a wait without an end would sleep through a signal that comes just before it
        time.sleep(TICK_S)
    crowd.finish(site.blocks._queue)
    site.serving.stop()
    end_sweeping()
    site.blocks.close(verbose=False)
    return 0


def unwritable(folder: Path) -> str | None:
    """Return why nothing can be written to a folder, or to where it would be made; None when it can."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _login(settings: Settings) -> tuple[str, str] | None:
    if settings.login is None:
        return None
    name, _, password = settings.login.partition(":")
    return name, password


def _watch(site: Site) -> None:
    site.metrics.watch("cat_waiting", "Visitors whose photo waits.", lambda: len(site.blocks._queue))
    site.metrics.watch("cat_feedback_backlog", "Answers not yet delivered.", lambda: site.feedback().backlog)
    site.metrics.watch(
        "cat_bundle_refused", "1 while a newer bundle cannot be served.", lambda: bool(site.serving.problem)
    )
    site.metrics.watch_model(lambda: site.serving.bundle.version)


def _routes(site: Site, rate: Rate, settings: Settings) -> list[Route]:
    """Return what operators ask: /health and /metrics; and /busy, which a turned-away page asks for words."""

    def health(_: Request) -> JSONResponse:
        return JSONResponse(
            {
                "ready": True,
                "model": site.serving.bundle.version,
                "model_problem": site.serving.problem,
                "waiting": len(site.blocks._queue),
                "feedback": asdict(site.feedback()) | {"off": unwritable(settings.feedback_dir)},
            }
        )

    def busy(request: Request) -> PlainTextResponse:
        queue, seconds = site.blocks._queue, rate.wait(visitor(request.scope, settings.on_space))
        said = words.too_fast(seconds) if seconds else words.busy(crowd.before(queue))
        if settings.rate and crowd.takes_too_much(queue, request.scope, settings.on_space):
            said = words.TOO_MANY
        return PlainTextResponse(said, headers={"Cache-Control": "no-store"})

    def metrics(_: Request) -> PlainTextResponse:
        return PlainTextResponse(site.metrics.text(), media_type="text/plain; version=0.0.4")

    return [Route("/health", health), Route("/busy", busy), Route("/metrics", metrics)]
