"""The page "Are you a cat?": `python app.py`, then http://127.0.0.1:7860. Settings: cat_model/settings.py.

This file only wires cat_model into Gradio; photos, verdicts and feedback are decided there.
"""

import json
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from cat_model import BundleError, PhotoError, Predictor, Verdict, load
from cat_model.feedback import PHOTO_SIDE, FeedbackError, Outbox
from cat_model.photo import Limits, decode
from cat_model.predict import CAT, NOT_A_CAT
from cat_model.settings import Settings, SettingsError
from web import words
from web.photo_box import PhotoBox

HERE = Path(__file__).parent
EXAMPLES = {"A cat": "chelsea.jpg", "An astronaut": "astronaut.jpg", "A cup of coffee": "coffee.jpg"}
SWEEP_S, PHOTO_LIFE_S = 60, 15 * 60
"""How often uploaded photos are deleted, and how old they are then."""
TICK_S, LAST_REQUESTS_S = 0.2, 2
"""How often the page looks whether it is to stop, and how long it waits for unfinished requests then."""

FONTS = ["system-ui", "sans-serif"]  # the device's own: nothing is fetched
# What the browser does by itself: no word to the server.
OFF = "{__type__: 'update', interactive: false}"
SHOW_LOOKING = (
    f"() => [{json.dumps(words.LOOKING)}, {{__type__: 'update', visible: false}}, {OFF}, {OFF}, {OFF}]"
)
SHOW_BUSY = f"() => {json.dumps(words.BUSY)}"
ON_LOAD = f"""() => {{
    for (const name of ["answer", "thanks"]) document.getElementById(name).setAttribute("role", "status");
    const names = {json.dumps(list(EXAMPLES))};
    document.querySelectorAll("#examples button").forEach((b, i) => b.setAttribute("aria-label", names[i]));
}}"""


@dataclass(frozen=True)
class Judged:
    """A verdict that was shown, kept on the server until its visitor says whether it is right.

    Attributes:
        verdict: what was shown.
        photo: where the photo lies for a few minutes; its name holds a hash of its content.
        token: random; two clicks on one verdict are one record.
    """

    verdict: Verdict
    photo: str
    token: str


class Page:
    """What the page does, for one predictor and one outbox."""

    def __init__(self, predictor: Predictor, outbox: Outbox) -> None:
        """Remember who judges and where feedback goes."""
        self._predictor = predictor
        self._outbox = outbox

    def predict(self, photo: str | bytes | None) -> dict[str, float | bool | str]:
        """Say whether a photo shows a cat: probability, is_cat, unsure, label, model_version.

        Args:
            photo: a JPEG, PNG, WebP, GIF, BMP or AVIF file.

        Returns:
            probability: that it shows a cat, 0 to 1; is_cat: whether that reaches the model's threshold;
            unsure: whether the model is often wrong at this probability; label: "cat", "not a cat" or
            "not sure"; model_version: which model said so.
        """
        return asdict(self._verdict_or_error(photo))

    def feedback(
        self, photo: str | bytes | None, it_is: str | None, keep_photo: bool = False
    ) -> dict[str, str]:
        """Say what a photo really shows. It is judged once more, and your answer is stored with the verdict.

        Args:
            photo: as for /predict.
            it_is: "cat" or "not a cat".
            keep_photo: whether the photo may be kept to improve the model.

        Returns:
            id: the name of the stored record.
        """
        if it_is is None:
            raise gr.Error(words.NO_ANSWER, print_exception=False)
        verdict = self._verdict_or_error(photo)
        kept = decode(photo, self._predictor.limits, PHOTO_SIDE) if keep_photo else None
        try:
            record = self._outbox.add(verdict, it_is == CAT, secrets.token_hex(8), kept)
        except FeedbackError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {"id": record.id}

    def judge(self, photo: str | None) -> tuple[Any, ...]:
        """Answer the photo now on the page: panel, probabilities, state, then the flag row made fresh."""
        if photo is None:
            return words.IDLE, gr.update(visible=False), None, *flag_row(None)
        try:
            verdict = self._predictor.predict(photo)
        except PhotoError as error:
            return words.refused(str(error)), gr.update(visible=False), None, *flag_row(None)
        judged = Judged(verdict, photo, secrets.token_hex(8))
        bars = gr.update(value=words.shares(verdict), visible=True)
        return words.verdict_panel(verdict), bars, judged, *flag_row(verdict)

    def flag(self, agrees: bool, judged: Judged | None, keep: bool) -> tuple[Any, ...]:
        """Store what the visitor says of the verdict; return the flag row with thanks or with what failed."""
        if judged is None:
            return *flag_row(None)[:-1], words.note(words.FORGOTTEN, failed=True)
        photo, thanks = None, words.THANKS
        if keep:
            try:
                photo = decode(judged.photo, self._predictor.limits, PHOTO_SIDE)
                thanks = words.THANKS_WITH_PHOTO
            except PhotoError:
                thanks = words.THANKS_PHOTO_GONE
        claims_cat = judged.verdict.unsure or judged.verdict.is_cat
        try:
            self._outbox.add(judged.verdict, claims_cat == agrees, judged.token, photo)
        except FeedbackError as error:
            return gr.skip(), gr.skip(), gr.skip(), words.note(f"{error} {words.PRESS_AGAIN}", failed=True)
        return *[gr.update(interactive=False)] * 3, words.note(thanks)

    def _verdict_or_error(self, photo: str | bytes | None) -> Verdict:
        if photo is None:
            raise gr.Error(words.NO_PHOTO, print_exception=False)
        try:
            return self._predictor.predict(photo)
        except PhotoError as error:
            raise gr.Error(str(error), print_exception=False) from error


def flag_row(verdict: Verdict | None) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]:
    """Return the two buttons, the box (never ticked) and the line below, for a new verdict or for none."""
    names = (words.IT_IS, words.IT_IS_NOT) if verdict and verdict.unsure else (words.RIGHT, words.WRONG)
    on = verdict is not None
    right, wrong = (gr.update(value=name, interactive=on) for name in names)
    return right, wrong, gr.update(value=False, interactive=on), words.note()


def create_app(settings: Settings) -> gr.Blocks:
    """Load the model and lay out the page.

    Raises:
        BundleError: the model is missing, damaged or cannot be served.
    """
    limits = Limits(file_bytes=settings.upload_mb * 1_000_000)
    page = Page(load(settings.bundle, settings.workers, limits), Outbox(settings.feedback_dir))
    with gr.Blocks(title=words.TITLE, analytics_enabled=False, delete_cache=(SWEEP_S, PHOTO_LIFE_S)) as app:
        gr.Markdown(words.WELCOME)
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
                with gr.Column(elem_id="flags"):
                    gr.Markdown("### Is that right?")
                    keep = gr.Checkbox(
                        label=words.KEEP,
                        container=False,
                        interactive=False,
                        elem_id="keep",
                    )
                    with gr.Row():
                        right = gr.Button(words.RIGHT, interactive=False, min_width=100, elem_id="right")
                        wrong = gr.Button(words.WRONG, interactive=False, min_width=100, elem_id="wrong")
                    thanks = gr.HTML(words.note(), elem_id="thanks")
        gr.Markdown(words.PRIVACY, elem_id="privacy")

        flags = [right, wrong, keep, thanks]
        outputs = [answer, bars, judged, *flags]
        private = {"api_visibility": "private", "show_progress": "hidden"}
        # The old verdict goes the moment the picture does, whatever becomes of the question to the server.
        photo.change(None, None, [answer, bars, *flags[:3]], js=SHOW_LOOKING, **private)
        photo.change(
            page.judge, photo, outputs, trigger_mode="always_last", concurrency_id="model", **private
        ).failure(None, None, answer, js=SHOW_BUSY, **private)
        # Not queued: what a visitor tells us is taken even when the page is too busy to judge photos.
        for button, agrees in ((right, True), (wrong, False)):
            button.click(partial(page.flag, agrees), [judged, keep], flags, queue=False, **private)
        add_endpoints(page, photo)
    return app.queue(max_size=settings.queue, default_concurrency_limit=settings.workers)


def add_endpoints(page: Page, photo: PhotoBox) -> None:
    """Add what programs may call, /predict and /feedback, to the page that is being laid out."""
    with gr.Row(visible=False):
        trigger, result = gr.Button(), gr.JSON()
        it_is = gr.Radio([CAT, NOT_A_CAT], label="it_is")
        keep_photo = gr.Checkbox(label="keep_photo")
    trigger.click(page.predict, photo, result, api_name="predict", concurrency_id="model")
    trigger.click(
        page.feedback, [photo, it_is, keep_photo], result, api_name="feedback", concurrency_id="model"
    )


def serve(app: gr.Blocks, settings: Settings) -> str:
    """Open the page to visitors in the background; return its address.

    Raises:
        OSError: the port is taken or may not be used.
    """
    _, address, _ = app.launch(
        server_name=settings.host,
        server_port=settings.port,
        inbrowser=settings.open_browser,
        prevent_thread_lock=True,
        quiet=True,
        max_file_size=settings.upload_mb * 1_000_000,
        run_history=False,
        share=False,
        show_error=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        ssr_mode=False,
        footer_links=["api"],
        theme=gr.themes.Soft(primary_hue="blue", secondary_hue="blue", font=FONTS, font_mono=FONTS),
        css_paths=HERE / "web" / "page.css",
        js=ON_LOAD,
    )
    # Without it one stalled upload outlasts Gradio's patience with the server, which deletes the photos last.
    app.server.config.timeout_graceful_shutdown = LAST_REQUESTS_S
    return address


def main() -> int:
    """Run the page until it is interrupted or terminated, at whatever moment; return the exit code."""
    stops: list[int] = []
    # Both by name: a parent that ignores SIGINT (a script's background job) hands that on. The handler only
    # notes the signal: an exception at an arbitrary line can be swallowed there.
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda number, _: stops.append(number))
    try:
        settings = Settings.from_env()
        return run(create_app(settings), settings, stops)
    except (BundleError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1


def run(app: gr.Blocks, settings: Settings, stops: Sequence[int]) -> int:
    """Serve the page until `stops` is no longer empty; return 0, or 1 when the page cannot open."""
    try:
        address = serve(app, settings)
    except OSError:
        where = f"{settings.host}:{settings.port}"
        print(
            f"The page cannot open on {where}: taken, or not allowed. Set CAT_PORT to another port.",
            file=sys.stderr,
        )
        return 1
    print(f"{words.TITLE} {address} (stop with Ctrl+C)", flush=True)
    while not stops:  # a wait without an end would sleep through a signal that comes just before it
        time.sleep(TICK_S)
    app.close(verbose=False)  # also deletes the photos uploaded so far
    return 0


if __name__ == "__main__":
    sys.exit(main())
