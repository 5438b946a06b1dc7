"""The tab for one photo: the box, the answer, its reasons, what the visitor says of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from cat_model import Explanation, PhotoError
from web import text
from web.gradio_compat import PhotoBox, value_now
from web.server.queue import MODEL
from web.server.reload import ReloadingPredictor
from web.ui import explanation
from web.ui.explanation import PRIVATE, ExplanationSection, Updates
from web.ui.feedback import FeedbackHandlers, FeedbackRow, Shown, model_of, shown

FOLDERS = Path(__file__).parents[1] / "examples", Path(__file__).parents[2] / "examples"
FOLDER = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[-1])
"""Where the examples lie: within the package when it is installed, beside it in a checkout."""
EXAMPLES = {"A cat": "chelsea.jpg", "An astronaut": "astronaut.jpg", "A cup of coffee": "coffee.jpg"}
SWITCH = (
    f'<label><input type="checkbox" id="device-on" disabled>{text.ON_DEVICE}</label>'
    f'<span role="status">{text.PHOTO_ON_DEVICE["sent"]}</span>'
)
"""Whether the model answers in the visitor's browser; device.js shows it where the browser can run that."""
OFF, ON = ({"__type__": "update", "interactive": on} for on in (False, True))
HIDE = {"__type__": "update", "visible": False}
"""Updates as the browser itself gives them to components."""


@dataclass(frozen=True)
class PhotoTab:
    """The tab's parts.

    Attributes:
        photo: takes the photo.
        thorough: box for the thorough search; hidden where the model has none.
        answer: the panel with the verdict.
        bars: both probabilities.
        why: the section of reasons.
        row: the row for feedback.
    """

    photo: PhotoBox
    thorough: gr.Checkbox
    answer: gr.HTML
    bars: gr.Label
    why: ExplanationSection
    row: FeedbackRow

    @classmethod
    def lay_out(cls, predictor: ReloadingPredictor, handlers: FeedbackHandlers, about: str) -> "PhotoTab":
        """Lay out the tab and wire it.

        Args:
            predictor: answers.
            handlers: take feedback.
            about: the privacy text in Markdown.
        """
        with gr.Row(elem_id="look"):
            with gr.Column(elem_id="photo-side"):
                with gr.Column(elem_id="stage"):
                    photo = PhotoBox(
                        label="Your photo",
                        type="filepath",
                        sources=["upload", "webcam", "clipboard"],
                        webcam_options=gr.WebcamOptions(mirror=False),  # else it flips when it is taken
                        buttons=[],
                        elem_id="photo",
                    )
                    overlay = gr.HTML(apply_default_css=False, elem_id="overlay")
                    gr.HTML(apply_default_css=False, elem_id="device-photo")  # device.js fills it
                gr.HTML(explanation.switch(), apply_default_css=False, elem_id="colours")
                gr.HTML(SWITCH, apply_default_css=False, elem_id="device-switch")
                thorough = gr.Checkbox(
                    label=text.THOROUGH, visible=False, container=False, elem_id="thorough"
                )
                gr.Examples(
                    [[str(FOLDER / name)] for name in EXAMPLES.values()],
                    photo,
                    label="Or try one of these",
                    cache_examples=False,
                    api_visibility="private",
                    elem_id="examples",
                )
            with gr.Column(elem_id="answer-side"):
                gr.HTML(apply_default_css=False, elem_id="lost")  # line.js fills it
                gr.HTML(apply_default_css=False, elem_id="device")  # device.js fills it
                answer = gr.HTML(text.IDLE, elem_id="answer")
                bars = gr.Label(show_label=False, show_heading=False, visible=False, elem_id="bars")
                why = ExplanationSection.lay_out(overlay)
                row = FeedbackRow.lay_out(handlers, about)
        tab = cls(photo, thorough, answer, bars, why, row)
        tab._wire(predictor)
        return tab

    @property
    def components(self) -> list[Any]:
        """Everything that an answer updates."""
        return [self.answer, self.bars, *self.why.components, *self.row.components]

    def _wire(self, predictor: ReloadingPredictor) -> None:
        def answer(photo: str | bytes | None, wanted: bool) -> Updates:
            return self.answer_photo(predictor, photo, wanted)

        def answer_again(
            photo: str | bytes | None, wanted: bool, about: Shown | None, request: gr.Request
        ) -> Updates:
            updates = self.search(predictor, photo, wanted, about)
            # Meanwhile the next photo may have been answered: what is said then must be about that one.
            now = value_now(self.row.shown, request)
            return updates if now is about else self._unchanged

        def look_closer(about: Shown | None) -> Iterator[Updates]:
            yield from self.look_closer(predictor, about)

        closer = self.why.closer.click(
            look_closer, self.row.shown, self.why.components, concurrency_id=MODEL, **PRIVATE
        )
        closer.failure(
            None,
            None,
            [self.why.closer, self.why.stop, self.why.line],
            js=f"() => {text.as_json([ON, HIDE, explanation.note(text.CLOSER_BROKE)])}",
            **PRIVATE,
        )
        self.why.stop.click(
            self.why.stopped, None, self.why.components, cancels=closer, queue=False, **PRIVATE
        )
        # The old verdict goes the moment the picture does, whatever becomes of the question to the server.
        looking, idle = (
            text.as_json([said, HIDE, "", HIDE, *[OFF] * len(self.row.inputs)])
            for said in (text.LOOKING, text.IDLE)
        )
        self.photo.change(
            None,
            self.photo,
            [self.answer, self.bars, self.why.overlay, self.why.section, *self.row.inputs],
            js=f"photo => {{ catPage.scroll(); return photo ? {looking} : {idle}; }}",
            cancels=closer,
            **PRIVATE,
        )
        answered = self.photo.change(
            answer,
            [self.photo, self.thorough],
            self.components,
            trigger_mode="always_last",
            concurrency_id=MODEL,
            api_visibility="private",
            show_progress="minimal",  # page.css hides it: line.js says it in words
            show_progress_on=self.answer,
        )
        answered.failure(None, None, None, js="() => catLine.failed()", **PRIVATE)
        # The quick answer is there at once; the search mends it when it ends.
        given = [self.photo, self.thorough, self.row.shown]
        searched = answered.success(
            answer_again, given, self.components, trigger_mode="always_last", concurrency_id=MODEL, **PRIVATE
        )
        ready = text.as_json([ON] * len(self.row.inputs))
        searched.failure(None, None, self.row.inputs, js=f"() => {ready}", **PRIVATE)
        self.thorough.input(
            answer_again, given, self.components, trigger_mode="always_last", concurrency_id=MODEL, **PRIVATE
        )

    def answer_photo(
        self, predictor: ReloadingPredictor, photo: str | bytes | None, wanted: bool = False
    ) -> Updates:
        """Answer the photo now on the page.

        Args:
            predictor: answers.
            photo: an uploaded file, or its bytes; None for none.
            wanted: whether a thorough search follows. What visitors say is taken when that has ended: they
                judge its answer, and their thanks do not go with the quick one.
        """
        if photo is None:
            return self._nothing(text.IDLE)
        try:
            with predictor.room:
                model = predictor.predictor
                explained = model.explain(photo, budget=0)
        except PhotoError as error:
            return self._nothing(text.refused(str(error)))
        # What came inside a message, not as a file, is not kept in the memory for later questions.
        about = shown(explained.verdict, photo if isinstance(photo, str) else "", model_of(model))
        follows = wanted and model.cascade.search is not None
        return self._answer(explained, about, ready=not follows)

    def search(
        self, predictor: ReloadingPredictor, photo: str | bytes | None, wanted: bool, about: Shown | None
    ) -> Updates:
        """Answer the photo now on the page by the thorough search, or quickly again without it."""
        if photo is None or about is None or wanted == about.thorough:
            return self._unchanged
        try:
            with predictor.room:
                model = predictor.predictor
                if model.cascade.search is None:
                    return self.row.ready()
                explained = model.explain(photo, budget=0, counted=False, thorough=wanted)
        except PhotoError:
            return self.row.ready()  # it was answered just now, and is gone meanwhile: the quick answer stays
        lies = photo if isinstance(photo, str) else ""
        return self._answer(explained, shown(explained.verdict, lies, model_of(model), wanted))

    def look_closer(self, predictor: ReloadingPredictor, about: Shown | None) -> Iterator[Updates]:
        """Explain the photo now on the page by SHAP, with the progress."""
        if about is None:
            yield self.why.finished(None, text.FORGOTTEN)
            return
        try:
            for step in explanation.steps(predictor, str(about.photo), about.thorough):
                yield self.why.finished(step) if isinstance(step, Explanation) else self.why.busy(step)
        except PhotoError as error:
            yield self.why.finished(None, str(error))

    @property
    def _unchanged(self) -> Updates:
        return {self.answer: gr.skip()}

    def _answer(self, explained: Explanation, about: Shown, *, ready: bool = True) -> Updates:
        return {
            self.answer: text.verdict_panel(explained.verdict),
            self.bars: gr.update(value=text.shares(explained.verdict), visible=True),
            **self.why.show(explained),
            **self.row.fresh(about, ready=ready),
        }

    def _nothing(self, panel: str) -> Updates:
        return {
            self.answer: panel,
            self.bars: gr.update(visible=False),
            **self.why.show(None),
            **self.row.fresh(None),
        }
