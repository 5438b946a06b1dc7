"""The whole page: its tabs, the words below, the owner's part, the endpoints for programs."""

import threading
import time
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from cat_model import Bundle, Predictor
from cat_model.feedback.delivery import open_outbox
from cat_model.monitoring.traffic import Traffic
from cat_model.origin.follow import follower
from cat_model.photo import Limits
from web import text
from web.gradio_compat import EventQueue, LightBlocks, called_after, called_by, functions
from web.server import api
from web.server.app import Site
from web.server.metrics import Metrics
from web.server.queue import AT_ONCE, MODEL, ModelQueue
from web.server.reload import ReloadingPredictor
from web.settings import ServerSettings
from web.ui import about as about_model
from web.ui import admin, gallery, live
from web.ui.feedback import FeedbackHandlers
from web.ui.photo import EXAMPLES, PhotoTab

STATIC = Path(__file__).parents[1] / "static"
SCRIPTS = [STATIC / name for name in ("line.js", "camera.js", "page.js", "gallery.js")]
MOMENT_MS = 500
"""How long somebody is in the queue before he is said to wait."""
SENT_SIDE, SENT_QUALITY = 1024, 0.9
"""Pixels of the shorter side that the browser sends of a photo, and the quality of its JPEG."""
CHEAP_S = 0.15
"""The thorough search is on by default where it costs less."""


def create_app(settings: ServerSettings) -> Site:
    """Load the model and lay out the page.

    Raises:
        BundleError: the model is missing, damaged or cannot be served.
        SettingsError: a package is missing that the model's origin needs.
    """
    metrics = Metrics()
    traffic: list[Traffic] = []

    def load() -> Predictor:
        predictor, counts = load_model(settings, metrics)
        traffic[:] = [counts]
        return predictor

    predictor = ReloadingPredictor(load, settings.model.bundle, follower(settings.model))
    outbox, delivery = open_outbox(settings.model)
    stored = delivery.status.destination
    lasts = bool(stored) or not settings.on_space
    handlers = FeedbackHandlers(
        predictor, outbox, lasts, delivery.wake, lambda: delivery.status.deletion_problem is None
    )

    def about() -> str:
        return text.about(settings.model.feedback_days, stored, lasts, handlers.deletes())

    cost = SearchCost(predictor)
    with LightBlocks(title=text.TITLE, analytics_enabled=False) as blocks:
        gr.Markdown(text.WELCOME)
        with gr.Tabs():
            with gr.Tab("Photo"):
                tab = PhotoTab.lay_out(predictor, handlers, about())
            with gr.Tab("Live"):
                live.lay_out(predictor)
            with gr.Tab(text.SEVERAL):
                gallery.lay_out(predictor, tab.thorough)
            with gr.Tab(text.ABOUT_MODEL) as model:
                about_model.lay_out(predictor, model)
        gr.Markdown(text.PRIVACY if lasts else f"{text.PRIVACY} {text.UNTIL_RESTART}", elem_id="privacy")
        if settings.owner_password:
            counted = lambda: traffic[0].blocks  # noqa: E731 - the model, and so its counts, may change
            admin.lay_out(admin.AdminPanel(settings.owner_password, settings.model.bundle, counted, delivery))
        api.add(predictor, handlers, tab.photo)
        blocks.load(cost.box, None, tab.thorough, queue=False, api_visibility="private")
        if stored:  # whether deletion is complete there turns out after the start
            blocks.load(about, None, tab.row.about, queue=False, api_visibility="private")
    outbox.recover()
    delivery.start()
    # Else /run/ would judge for programs beside the queue, as many photos at once as they like.
    at_once = AT_ONCE * settings.model.workers
    blocks.queue(max_size=settings.queue, default_concurrency_limit=at_once, api_open=False)
    cost.measure_soon()
    answers = called_by(blocks, "photo", "change")
    options = {
        "atOnce": at_once,
        "uploadBytes": settings.upload_bytes,
        "model": functions(blocks, MODEL),
        "answers": answers,
        "searches": called_by(blocks, "thorough", "input") + called_after(blocks, answers),
        "examples": called_by(blocks, "examples", "click"),
    }
    waiting = ModelQueue(EventQueue(blocks), settings.queue, settings.model.workers, settings.most_bytes)
    return Site(blocks, waiting, predictor, metrics, lambda: delivery.status, script(options))


def load_model(settings: ServerSettings, metrics: Metrics) -> tuple[Predictor, Traffic]:
    """Load the bundle; what its model sees is counted for the operator, and by itself for drift.

    Raises:
        BundleError: it is missing, damaged or cannot be served.
    """
    bundle = Bundle.read(settings.model.bundle, settings.model.bundle_public_key)
    traffic = Traffic(settings.model.feedback_dir, bundle.manifest["model"]["sha256"])
    limits = Limits(file_bytes=settings.upload_bytes)
    return Predictor(bundle, settings.model.workers, limits, (metrics, traffic)), traffic


def script(options: dict[str, Any]) -> str:
    """Return what the browser runs when it has the page: the scripts, each called with the same options.

    Args:
        options: what is known of this very page, beside its words.
    """
    told = {
        "names": list(EXAMPLES),
        "before": text.BEFORE,
        "momentMs": MOMENT_MS,
        "side": SENT_SIDE,
        "quality": SENT_QUALITY,
        "words": {
            "headline": text.COULD_NOT,
            "again": text.TRY_AGAIN,
            "kept": text.KEPT,
            "notReached": text.NOT_REACHED,
            "still": text.STILL_NOT_REACHED,
            "broke": text.BROKE,
            "gone": text.NOT_KEPT,
            "tooBig": text.FILE_TOO_BIG,
            "start": text.START,
            "stop": text.STOP,
        },
        "camera": text.CAMERA,
        "paste": text.PASTE,
        **options,
    }
    called = "".join(f"({path.read_text('utf-8')}\n)(options);" for path in SCRIPTS)
    return f"() => {{ const options = {text.as_json(told)}; {called} }}"


class SearchCost:
    """What a thorough search takes here, measured once on the model itself, after the start."""

    def __init__(self, predictor: ReloadingPredictor) -> None:
        """Remember the model."""
        self._predictor = predictor
        self._seconds: float | None = None

    def measure_soon(self) -> None:
        """Measure in a thread of its own; the start does not wait for it."""
        threading.Thread(target=self.measure, name="search", daemon=True).start()

    def measure(self) -> None:
        """Search a picture of noise, twice: the first time the interpreter warms up."""
        noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
        picture, cascade = Image.fromarray(noise), self._predictor.predictor.cascade
        if cascade.search:
            cascade.answer([picture], thorough=True)
            began = time.perf_counter()
            cascade.answer([picture], thorough=True)
            self._seconds = time.perf_counter() - began

    def box(self) -> dict[str, object]:
        """Return the page's box: shown where the model has a search, ticked where that costs little."""
        search = self._predictor.predictor.cascade.search is not None
        cheap = self._seconds is not None and self._seconds < CHEAP_S
        return gr.update(visible=search, value=search and cheap)
