"""The tab "Several photos": up to 50 at once, a tile with the verdict for each, filters, a list and a zip.

The browser (gallery.js) sends one photo after the other, by the same upload and through the same queue as
the tab for one photo, so that the same limits and rates hold for each. File names, the list and the zip stay
in the browser; the server gets pixels and gives back what a tile shows.
"""

import html
from dataclasses import asdict, dataclass

import gradio as gr
from PIL import Image

from cat_model import PhotoError
from web import text
from web.gradio_compat import PhotoBox
from web.server.api import require
from web.server.queue import MODEL
from web.server.reload import ReloadingPredictor
from web.ui import explanation
from web.ui.explanation import PRIVATE

MOST = 50
"""Photos that are taken at once."""
SIDE = 320
"""Pixels of the longer side of a tile's picture."""
KINDS = {"all": text.ALL, "cat": text.CATS, "unsure": text.NOT_SURE, "other": text.OTHERS}
"""The filters' words by the kinds of tiles that they leave; photos that were refused are among all."""


@dataclass(frozen=True)
class Tile:
    """What the page shows of one photo.

    Attributes:
        kind: "cat", "other", "unsure", or "wrong" for a photo that cannot be used.
        headline: the verdict in words.
        detail: a sentence more; empty for none.
        picture: the photo as a data: address; empty for a photo that cannot be used.
        label: "cat", "not a cat" or "not sure"; empty for a photo that cannot be used.
        probability: that it shows a cat, 0 to 1; None for a photo that cannot be used.
    """

    kind: str
    headline: str
    detail: str
    picture: str = ""
    label: str = ""
    probability: float | None = None


def make_tile(predictor: ReloadingPredictor, photo: str | bytes | None, thorough: bool) -> Tile:
    """Return the tile of a photo.

    Args:
        predictor: answers.
        photo: an uploaded file, or its bytes.
        thorough: whether to search every part of it, if the model can.

    Raises:
        gr.Error: there is no photo.
    """
    try:
        with predictor.room:
            explained = predictor.explain(require(photo), budget=0, thorough=thorough)
    except PhotoError as error:
        return Tile("wrong", text.CANNOT_LOOK, str(error))
    verdict, picture = explained.verdict, explained.photo.copy()
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=1.0)
    shown = explanation.address(picture, "JPEG", quality=80)
    kind, headline, _ = text.verdict_words(verdict)
    return Tile(kind, headline, text.looked_at(verdict.frame), shown, verdict.label, verdict.probability)


def lay_out(predictor: ReloadingPredictor, thorough: gr.Checkbox) -> None:
    """Lay out the tab's content and wire it.

    Args:
        predictor: answers.
        thorough: the box for the thorough search, so that a photo has one answer on the whole page.
    """

    def tile(photo: str | bytes | None, wanted: bool) -> dict[str, object]:
        return asdict(make_tile(predictor, photo, wanted))

    gr.HTML(content(), apply_default_css=False, elem_id="gallery-tab")
    photo, told = PhotoBox(type="filepath", visible=False), gr.JSON(visible=False)
    ask = gr.Button(visible="hidden", elem_id="gallery-ask")
    # gallery.js presses the button for each photo: it gives the question, and takes what came of it.
    asked = ask.click(
        tile,
        [photo, thorough],
        told,
        js="(_, thorough) => catGallery.question(thorough)",
        trigger_mode="multiple",
        concurrency_id=MODEL,
        **PRIVATE,
    )
    asked.success(None, told, None, js="told => catGallery.answered(told)", **PRIVATE)
    asked.failure(None, None, None, js="() => catGallery.answered(null)", **PRIVATE)


def content() -> str:
    """Return the tab's HTML, with all words that gallery.js needs."""
    words = html.escape(text.as_json({"most": MOST, "words": text.GALLERY}))
    shows = "".join(
        f'<label><input type="radio" name="gallery-show" value="{kind}"{" checked" * (kind == "all")}>'
        f'<span>{html.escape(said)} <b id="gallery-{kind}">0</b></span></label>'
        for kind, said in KINDS.items()
    )
    return f"""<div id="gallery" data-options="{words}">
<label class="choose"><input type="file" multiple accept="image/*,.heic,.heif,.hif,.avif" id="gallery-files">
<strong>{html.escape(text.CHOOSE)}</strong><span>{html.escape(text.choose_hint(MOST))}</span></label>
<p id="gallery-line" role="status"></p>
<div class="results" hidden>
<fieldset><legend>{html.escape(text.SHOW)}</legend>{shows}</fieldset>
<div class="saves"><button type="button" id="gallery-csv">{html.escape(text.SAVE_LIST)}</button>
<button type="button" id="gallery-zip" disabled>{html.escape(text.SAVE_CATS)}</button>
<button type="button" id="gallery-clear">{html.escape(text.CLEAR)}</button></div>
<ul id="gallery-tiles"></ul>
</div></div>"""
