"""The page "Are you a cat?": `python app.py`, then http://127.0.0.1:7860. Settings: cat_model/settings.py.

This file only wires cat_model into Gradio; photos, verdicts and feedback are decided there.
"""

import signal
import sys
from pathlib import Path

import gradio as gr

from cat_model import BundleError, Predictor, load
from cat_model.delivery import open_outbox
from cat_model.photo import Limits
from cat_model.predict import EXPLAIN_BUDGET
from cat_model.serving import Serving
from cat_model.settings import Settings, SettingsError
from cat_model.traffic import Aggregate, Traffic
from web import browser, crowd, flags, live, owner, why, words
from web.light import LightBlocks
from web.metrics import Metrics
from web.page import Page
from web.photo_box import PhotoBox
from web.server import Site, run
from web.uploads import own_folder

HERE = Path(__file__).parent
EXAMPLES = {"A cat": "chelsea.jpg", "An astronaut": "astronaut.jpg", "A cup of coffee": "coffee.jpg"}
AT_ONCE = 2
"""Photos taken up for each worker: while Gradio hands over one's answer, the next is already here."""


def create_app(settings: Settings) -> Site:
    """Load the model and lay out the page.

    Raises:
        BundleError: the model is missing, damaged or cannot be served.
    """
    metrics = Metrics()
    serving = Serving(lambda: load_model(settings, metrics), settings.bundle)
    outbox, delivery = open_outbox(settings)
    stored = delivery.status.destination
    lasts = bool(stored) or not settings.on_space
    page, desk = Page(serving), flags.Desk(serving, outbox, lasts, delivery.wake)
    about = words.about(settings.feedback_days, stored, lasts)
    with LightBlocks(title=words.TITLE, analytics_enabled=False) as app:
        gr.Markdown(words.WELCOME)
        with gr.Tabs():
            with gr.Tab("Photo"):
                photo = photo_tab(page, desk, about)
            with gr.Tab("Live"):
                live.tab(serving)
        gr.Markdown(words.PRIVACY if lasts else f"{words.PRIVACY} {words.UNTIL_RESTART}", elem_id="privacy")
        if settings.owner_password:
            password, bundle = settings.owner_password, settings.bundle
            owner.lay_out(owner.Office(password, bundle, lambda: blocks(serving), delivery))
        add_endpoints(page, photo)
        flags.add_endpoints(desk, photo)
    outbox.recover()
    delivery.start()
    # Else /run/ would judge for programs beside the queue, as many photos at once as they like.
    app.queue(max_size=settings.queue, default_concurrency_limit=AT_ONCE * settings.workers, api_open=False)
    return Site(app, serving, metrics, lambda: delivery.status)


def on_load(settings: Settings) -> str:
    """Return what the browser runs when it has the page."""
    return browser.on_load(EXAMPLES, AT_ONCE * settings.workers)


def load_model(settings: Settings, metrics: Metrics) -> Predictor:
    """Load the bundle and count what its model sees: together for the operator, and by itself for drift.

    Raises:
        BundleError: it is missing, damaged or cannot be served.
    """
    limits = Limits(file_bytes=settings.upload_mb * 1_000_000)
    predictor = load(settings.bundle, settings.workers, limits, settings.bundle_public_key)
    traffic = Traffic(settings.feedback_dir, predictor.bundle.manifest["model"]["sha256"])
    predictor.observers = (metrics, traffic)
    return predictor


def blocks(serving: Serving) -> tuple[Aggregate, ...]:
    """Return what was counted of the photos that the model now served has judged."""
    _, traffic = serving.observers
    return traffic.blocks


def photo_tab(page: Page, desk: flags.Desk, about: str) -> PhotoBox:
    """Lay out and wire the tab for one photo; return its box."""
    judged = gr.State()
    with gr.Row():
        with gr.Column():
            photo = PhotoBox(
                label="Your photo",
                type="filepath",
                sources=["upload", "webcam", "clipboard"],
                webcam_options=gr.WebcamOptions(mirror=False),  # else the picture flips when it is taken
                buttons=["fullscreen"],
                height=320,
                elem_id="photo",
            )
            gr.Examples(
                [[str(HERE / "examples" / name)] for name in EXAMPLES.values()],
                photo,
                label="Or try one of these",
                cache_examples=False,
                api_visibility="private",
                elem_id="examples",
            )
        with gr.Column():
            answer = gr.HTML(words.IDLE, elem_id="answer")
            bars = gr.Label(show_label=False, show_heading=False, visible=False, elem_id="bars")
            section, figure, closer, stop, line = why.section()
            row = flags.lay_out(desk, judged, about)

    reasons = [section, figure, closer, stop, line]
    private = {"api_visibility": "private", "show_progress": "hidden"}
    looking = closer.click(page.look_closer, judged, reasons[1:], concurrency_id=crowd.MODEL, **private)
    stop.click(why.stopped, None, reasons[2:], cancels=looking, queue=False, **private)
    # The old verdict goes the moment the picture does, whatever becomes of the question to the server.
    photo.change(
        None, None, [answer, bars, section, *row[:5]], js=browser.SHOW_LOOKING, cancels=looking, **private
    )
    photo.change(
        page.judge,
        photo,
        [answer, bars, judged, *row, *reasons],
        trigger_mode="always_last",
        concurrency_id=crowd.MODEL,
        api_visibility="private",
        show_progress="minimal",  # page.css hides it: browser.on_load says it in words
        show_progress_on=answer,
    ).failure(None, None, answer, js=browser.SHOW_BUSY, **private)
    return photo


def add_endpoints(page: Page, photo: PhotoBox) -> None:
    """Add what programs may call, /predict and /explain, to the page that is being laid out."""
    with gr.Row(visible=False):
        trigger, result = gr.Button(), gr.JSON()
        budget = gr.Number(EXPLAIN_BUDGET, precision=0, label="budget")
    trigger.click(page.predict, photo, result, api_name="predict", concurrency_id=crowd.MODEL)
    trigger.click(page.explain, [photo, budget], result, api_name="explain", concurrency_id=crowd.MODEL)


def main() -> int:
    """Run the page until it is interrupted or terminated, at whatever moment; return the exit code."""
    stops: list[int] = []
    # Both by name: a parent that ignores SIGINT (a script's background job) hands that on. The handler only
    # notes the signal: an exception at an arbitrary line can be swallowed there.
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda number, _: stops.append(number))
    try:
        settings = Settings.from_env()
        with own_folder(settings.uploads_dir):
            return run(create_app(settings), settings, stops, on_load(settings))
    except (BundleError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
