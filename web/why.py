"""Why the answer is what it is: the picture with colours, the sentence, "Look closer", the saved picture."""

import base64
import html
import io
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from typing import Any

import gradio as gr
from PIL import Image

from cat_model import Explanation, Predictor
from cat_model.explain import LEAST_BUDGET
from cat_model.explain_look import MEANING, STRENGTH, heat

BUDGETS = range(LEAST_BUDGET, 513)
BUDGET_REFUSED = f"The budget is 0, or a whole number from {LEAST_BUDGET} to {BUDGETS[-1]}."
LONGEST = 560
"""Pixels of the longer side of the photo under the colours."""
TICK_S = 0.1
"""How often the progress bar moves."""
LEGEND = '<p class="legend"><span class="for"></span>{} <span class="against"></span>{}</p>'.format(
    *MEANING.values()
)
CLOSER, STOP, SAVE = "Look closer", "Stop", "Save picture"
# The browser sets the strength by itself: no word to the server.
SET_STRENGTH = """percent => {
    document.getElementById("why").style.setProperty("--strength", percent / 100);
}"""
# The saved picture is what the page shows: photo, colours at their strength, sentence and legend below.
SAVE_PICTURE = """() => {
    const [photo, heat] = document.querySelectorAll("#why .picture img");
    const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
    const [width, height] = [photo.naturalWidth, photo.naturalHeight];
    const size = Math.max(13, Math.round(width / 30)), gap = Math.round(size / 2);
    const font = `${size}px sans-serif`;
    pen.font = font;
    const lines = [""];
    for (const word of document.querySelector("#why .sentence").innerText.split(" ")) {
        const longer = `${lines.at(-1)} ${word}`.trim();
        if (lines.at(-1) && pen.measureText(longer).width > width - 2 * gap) lines.push(word);
        else lines[lines.length - 1] = longer;
    }
    const colours = [...document.querySelectorAll("#why .legend span")];
    const step = size + gap;
    canvas.width = width;
    canvas.height = height + (lines.length + colours.length) * step + gap;
    pen.fillStyle = "white";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(photo, 0, 0);
    pen.globalAlpha = getComputedStyle(heat).opacity;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(heat, 0, 0, width, height);
    pen.globalAlpha = 1;
    pen.font = font;  // a new size makes a canvas forget it
    pen.textBaseline = "top";
    let y = height + gap;
    const write = (text, x) => {
        pen.fillStyle = "black";
        pen.fillText(text, x, y);
        y += step;
    };
    for (const line of lines) write(line, gap);
    for (const colour of colours) {
        pen.fillStyle = getComputedStyle(colour).backgroundColor;
        pen.fillRect(gap, y, size, size);
        write(colour.nextSibling.textContent.trim(), 2 * gap + size);
    }
    canvas.toBlob(bytes => {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(bytes);
        link.download = "are-you-a-cat.png";
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
}"""


class Stopped(Exception):
    """The visitor no longer wants the explanation."""


def picture(explanation: Explanation, longest: int = LONGEST) -> str:
    """Return the HTML of the photo under its colours."""
    photo = explanation.photo.copy()
    photo.thumbnail((longest, longest), Image.Resampling.BILINEAR, reducing_gap=1.0)
    return (
        f'<div class="picture"><img alt="Your photo" src="{_address(photo, "JPEG", quality=80)}">'
        f'<img class="heat" alt="" src="{_address(heat(explanation.values), "PNG", compress_level=1)}"></div>'
    )


def figure(explanation: Explanation) -> str:
    """Return the HTML of an explanation: photo, colours, sentence and legend."""
    told = html.escape(explanation.sentence)
    return f'{picture(explanation)}<p class="sentence">{told}</p>{LEGEND}'


def as_json(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as programs get it."""
    return {
        **asdict(explanation.verdict),
        "logit": explanation.logit,
        "base": explanation.base,
        "values": explanation.values.tolist(),
        "evaluations": explanation.evaluations,
        "sentence": explanation.sentence,
        "overlay": _address(explanation.overlay, "JPEG", quality=90),
    }


def parts(explanation: Explanation | None) -> tuple[Any, ...]:
    """Return what follows a new verdict: the section, its figure, the two buttons, the line below."""
    shown = explanation is not None
    return gr.update(visible=shown), figure(explanation) if shown else "", *_buttons(busy=False), note()


def closer_busy() -> tuple[Any, ...]:
    """Return the figure (as it is) and the buttons while the model looks closer."""
    return gr.skip(), *_buttons(busy=True)


def closer_done(explanation: Explanation | None) -> tuple[Any, ...]:
    """Return the figure (as it is, if there is nothing new) and the buttons once it has."""
    return figure(explanation) if explanation else gr.skip(), *_buttons(busy=False)


def stopped() -> tuple[Any, ...]:
    """Return the buttons and the line below after "Stop"."""
    return *_buttons(busy=False), note("Stopped. The colours are those of the first look.")


def progress(done: float) -> str:
    """Return the HTML of the progress bar; `done` is 0 to 1."""
    said = "Looking closer …" if done else "Getting ready …"
    return f'<label class="closer">{said} <progress value="{done:.2f}"></progress></label>'


def note(said: str = "") -> str:
    """Return the line under the buttons."""
    return f'<p class="closer">{html.escape(said)}</p>'


def _buttons(busy: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    return gr.update(interactive=not busy), gr.update(visible=busy)


def steps(predictor: Predictor, photo: str) -> Iterator[float | Explanation]:
    """Explain a photo by SHAP in another thread; yield how far it is, 0 to 1, and at last the explanation.

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
        predictor.explain, photo, on_progress=on_progress, counted=False
    )
    try:
        while not wait([working], TICK_S).done:
            yield done
        yield working.result()
    finally:
        gone.set()
        pool.shutdown(wait=False)


def _address(image: Image.Image, form: str, **options: int) -> str:
    """Return a picture as a data: address; so it is nowhere on the disk."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def section() -> tuple[gr.Column, gr.HTML, gr.Button, gr.Button, gr.HTML]:
    """Lay out the section, hidden until there is a verdict; return what `parts` gives values to."""
    with gr.Column(visible=False, elem_id="why") as whole:
        gr.Markdown("### Why?")
        drawn = gr.HTML(elem_id="figure")
        strength = gr.Slider(
            0, 100, 100 * STRENGTH, step=5, label="Strength of the colours", elem_id="strength"
        )
        with gr.Row():
            closer = gr.Button(CLOSER, min_width=100, elem_id="closer")
            stop = gr.Button(STOP, visible=False, min_width=100, elem_id="stop")
            save = gr.Button(SAVE, min_width=100, elem_id="save")
        line = gr.HTML(note(), elem_id="progress")
    strength.change(None, strength, None, js=SET_STRENGTH, api_visibility="private")
    save.click(None, None, None, js=SAVE_PICTURE, api_visibility="private")
    return whole, drawn, closer, stop, line
