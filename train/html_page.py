"""HTML reports as one file each: tables, plots and thumbnails lie inside the page, so it needs no other file.

They show people's photos: they stay beside what they report on, and are never committed.
"""

import base64
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from cat_model.photo import decode

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

HEIGHT = 128
"""Pixels of a thumbnail's height at most; its width is at most twice that."""
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .2rem .7rem; border: 1px solid #ccc; text-align: left }
.figures { display: flex; flex-wrap: wrap; gap: .75rem }
figure { margin: 0; border: 1px solid #ccc; border-radius: .4rem; padding: .5rem; width: 17rem }
figure.plot { border: 0; width: 35rem } figure.plot img { max-width: 100% }
figure.photo img { height: 6rem; margin-right: .25rem }
figcaption, code { font-size: 12px; overflow-wrap: anywhere }
"""


def page(title: str, parts: Iterable[str], style: str = "") -> bytes:
    """Return a whole page, UTF-8.

    Args:
        title: plain text.
        parts: HTML, one after the other.
        style: CSS that is added to `STYLE`.
    """
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}{style}</style>\n<h1>{escape(title)}</h1>\n{body}\n</html>\n"
    ).encode()


def table(rows: "pd.DataFrame") -> str:
    """Return a table as HTML, with all of every text."""
    import pandas as pd

    with pd.option_context("display.max_colwidth", None):
        return rows.to_html(index=False, float_format="{:.4f}".format)


def plot(figure: "Figure", caption: str) -> str:
    """Return a matplotlib figure as HTML, with plain text below it."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return plotted(file.getvalue(), caption)


def plotted(png: bytes, caption: str) -> str:
    """Return a plot that is a PNG already as HTML, with plain text below it."""
    return f'<figure class="plot">{_image(png, "png")}<figcaption>{escape(caption)}</figcaption></figure>'


def photos(thumbnails: Iterable[tuple[str, bytes]], caption: str) -> str:
    """Return photos side by side as HTML, with a caption below them.

    Args:
        thumbnails: a name in plain text and a JPEG of each.
        caption: HTML.
    """
    images = "".join(_image(jpeg, "jpeg", name) for name, jpeg in thumbnails)
    return f'<figure class="photo">{images}<figcaption>{caption}</figcaption></figure>'


def gallery(figures: Iterable[str]) -> str:
    """Return figures as HTML, in rows."""
    return '<div class="figures">' + "\n".join(figures) + "</div>"


def thumbnail(path: Path) -> bytes:
    """Return a small JPEG of a photo.

    Raises:
        PhotoError: it is no photo that can be read.
    """
    image = decode(path, at_least=HEIGHT)
    image.thumbnail((2 * HEIGHT, HEIGHT), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def _image(data: bytes, kind: str, title: str = "") -> str:
    content = base64.b64encode(data).decode()
    return f'<img src="data:image/{kind};base64,{content}" alt="" title="{escape(title)}">'
