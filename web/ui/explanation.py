"""Why the answer is what it is: colours on the photo itself, a sentence, "Look closer", the saved picture."""

import base64
import html
import io
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from cat_model import Explanation, extras
from cat_model.cascade import Part
from cat_model.explain import LEAST_BUDGET
from cat_model.explain.render import MEANING, STRENGTH, caption, heat
from web import text
from web.server.reload import ReloadingPredictor

Updates = dict[Any, Any]
"""New values of components, by the components."""

BUDGETS = range(LEAST_BUDGET, 513)
BUDGET_REFUSED = f"The budget is 0, or a whole number from {LEAST_BUDGET} to {BUDGETS[-1]}."
LONGEST = 800
"""Pixels of the longer side of the photo under the colours; it covers the box's own picture."""
TICK_S = 0.1
"""How often the progress bar moves."""
LEGEND = '<p class="legend"><span class="for"></span>{} <span class="against"></span>{}</p>'.format(
    *MEANING.values()
)
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


class Stopped(Exception):
    """The visitor no longer wants the explanation."""


@dataclass(frozen=True)
class ExplanationSection:
    """The colours on the photo, and the section of reasons; hidden until there is a verdict.

    Attributes:
        overlay: the photo as the model saw it, under its colours; it lies over the box for the photo.
        section: the section of reasons.
        figure: sentence and legend.
        closer: asks for the full explanation.
        stop: ends that.
        line: the line below, with the progress.
        sentence: what is told, for the caption of the saved picture.
    """

    overlay: gr.HTML
    section: gr.Column
    figure: gr.HTML
    closer: gr.Button
    stop: gr.Button
    line: gr.HTML
    sentence: gr.State

    @classmethod
    def lay_out(cls, overlay: gr.HTML) -> "ExplanationSection":
        """Lay out the section and wire what needs no photo.

        Args:
            overlay: lies over the box for the photo.
        """
        with gr.Column(visible=False, elem_id="why") as section:
            figure = gr.HTML(elem_id="figure")
            with gr.Row():
                closer = gr.Button(
                    text.CLOSER, visible=extras.installed("shap"), min_width=100, elem_id="closer"
                )
                stop = gr.Button(text.STOP, visible=False, min_width=100, elem_id="stop")
                save = gr.Button(text.SAVE, min_width=100, elem_id="save")
            line = gr.HTML(note(), elem_id="progress")
        sentence, below = gr.State(""), gr.Textbox(visible="hidden")
        save.click(caption_address, sentence, below, queue=False, **PRIVATE).success(
            None, below, None, js="caption => catPage.save(caption)", api_visibility="private"
        )
        return cls(overlay, section, figure, closer, stop, line, sentence)

    @property
    def components(self) -> list[Any]:
        """Everything that a callback may update."""
        return [self.overlay, self.section, self.figure, self.closer, self.stop, self.line, self.sentence]

    def show(self, explanation: Explanation | None) -> Updates:
        """Return the section after a new verdict, or hidden without one."""
        shown = explanation is not None
        return {
            self.section: gr.update(visible=shown),
            **self._figure(explanation),
            **self._buttons(busy=False),
            self.line: note(),
        }

    def busy(self, done: float) -> Updates:
        """Return the section while the full explanation is made; `done` is 0 to 1."""
        said = text.LOOKING_CLOSER if done else text.GETTING_READY
        bar = f'<label class="closer">{said} <progress value="{done:.2f}"></progress></label>'
        return {**self._buttons(busy=True), self.line: bar}

    def finished(self, explanation: Explanation | None, said: str = "") -> Updates:
        """Return the section once the full explanation is made, or was not, for a reason."""
        new = self._figure(explanation) if explanation else {}
        return {**new, **self._buttons(busy=False), self.line: note(said)}

    def stopped(self) -> Updates:
        """Return the section after "Stop"."""
        return self.finished(None, text.STOPPED)

    def _figure(self, explanation: Explanation | None) -> Updates:
        if explanation is None:
            return {self.overlay: "", self.figure: "", self.sentence: ""}
        return {
            self.overlay: picture(explanation),
            self.figure: reasons(explanation),
            self.sentence: explanation.sentence,
        }

    def _buttons(self, busy: bool) -> Updates:
        return {self.closer: gr.update(interactive=not busy), self.stop: gr.update(visible=busy)}


def picture(explanation: Explanation, longest: int = LONGEST) -> str:
    """Return the HTML of the photo under its colours, with a frame where the model looked closer.

    Args:
        explanation: what is shown.
        longest: pixels of the photo's longer side, at most.
    """
    photo = explanation.photo.copy()
    photo.thumbnail((longest, longest), Image.Resampling.BILINEAR, reducing_gap=1.0)
    seen, colours = (
        address(photo, "JPEG", quality=80),
        address(heat(explanation.values), "PNG", compress_level=1),
    )
    return (
        f'<div class="picture" style="--ratio:{photo.width / photo.height:.4f}">'
        f'<img alt="Your photo" src="{seen}"><img class="heat" alt="" src="{colours}">'
        f"{frame(explanation.closer)}</div>"
    )


def frame(part: Part | None) -> str:
    """Return the HTML of a frame around a part of the picture; empty for none."""
    if part is None:
        return ""
    left, top, right, bottom = (100 * each for each in part)
    return (
        f'<span class="zoomed" title="{text.ZOOMED}" style="left:{left:.1f}%;top:{top:.1f}%;'
        f'width:{right - left:.1f}%;height:{bottom - top:.1f}%"></span>'
    )


def switch() -> str:
    """Return the HTML of the switch for the colours, and of the slider for their strength."""
    return (
        f'<div class="colours"><label><input type="checkbox" id="colours-on" checked>{text.WHY}</label>'
        f'<label class="strength">{text.STRENGTH}<input type="range" id="strength" min="0" max="100" '
        f'step="5" value="{100 * STRENGTH:.0f}"></label></div>'
    )


def reasons(explanation: Explanation) -> str:
    """Return the HTML of what is said of an explanation: sentence and legend."""
    told = html.escape(explanation.sentence)
    zoomed = f'<p class="legend"><span class="zoomed"></span>{text.ZOOMED}</p>' if explanation.closer else ""
    return f'<p class="sentence">{told}</p>{LEGEND}{zoomed}'


def as_json(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as programs get it, with a picture of it."""
    return {**numbers(explanation), "overlay": address(explanation.overlay, "JPEG", quality=90)}


def numbers(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as programs get it, without a picture."""
    return {
        **explanation.verdict.as_dict(),
        "logit": explanation.logit,
        "base": explanation.base,
        "values": explanation.values.tolist(),
        "evaluations": explanation.evaluations,
        "sentence": explanation.sentence,
    }


def caption_address(sentence: str) -> str:
    """Return the caption of the saved picture as a data: address."""
    return address(caption(LONGEST, sentence), "PNG")


def note(said: str = "") -> str:
    """Return the line under the buttons."""
    return f'<p class="closer">{html.escape(said)}</p>'


def steps(predictor: ReloadingPredictor, photo: str, thorough: bool) -> Iterator[float | Explanation]:
    """Explain a photo in another thread; yield how far it is, 0 to 1, and at last the explanation.

    Closing this generator stops the work.

    Raises:
        PhotoError: the photo cannot be used, or is already deleted.
    """
    done, gone = 0.0, threading.Event()

    def on_progress(part: float) -> None:
        nonlocal done
        if gone.is_set():
            raise Stopped
        done = part

    pool = ThreadPoolExecutor(1)
    working: Future[Explanation] = pool.submit(
        predictor.explain, photo, on_progress=on_progress, counted=False, thorough=thorough
    )
    try:
        while not wait([working], TICK_S).done:
            yield done
        yield working.result()
    finally:
        gone.set()
        pool.shutdown(wait=False)


def address(image: Image.Image, form: str, **options: int) -> str:
    """Return a picture as a data: address; so it is nowhere on the disk."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
