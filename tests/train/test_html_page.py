"""A report is one file: it loads nothing, and names in it are text, whatever they contain."""

import io
import re

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cat_model.photo import PhotoError
from train import html_page


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "wide.png"
    Image.effect_noise((900, 300), 50).convert("RGB").save(path)
    return path


def test_a_page_needs_no_other_file(photo):
    figure = Figure()
    figure.subplots().plot([0, 1])
    parts = [html_page.plot(figure, "a plot"), html_page.photos([("wide", html_page.thumbnail(photo))], "")]
    page = html_page.page("Title", [html_page.gallery(parts)]).decode()
    assert {each[:11] for each in re.findall(r'(?:src|href)="([^"]*)', page)} == {"data:image/"}
    assert page.count("data:image/png;base64,iVBOR") == page.count("data:image/jpeg;base64,/9j/") == 1
    assert "url(" not in page
    assert page.startswith("<!doctype html>")
    assert '<meta charset="utf-8">' in page


def test_names_and_captions_are_text():
    parts = [html_page.photos([('"><script>', b"")], "<b>caption</b>"), html_page.plotted(b"", "<script>")]
    page = html_page.page("<script>", parts).decode()
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 4
    assert "<b>caption</b>" in page


def test_a_style_of_its_own_is_added():
    assert "p { color: red }" in html_page.page("Title", [], "p { color: red }").decode()


def test_tables_show_long_names_whole_and_harmless():
    table = pd.DataFrame({"path": ["cat/" + "x" * 200, "<script>"], "share": [0.123456, 1.0]})
    shown = html_page.table(table)
    assert table["path"][0] in shown
    assert "<script>" not in shown
    assert "0.1235" in shown


def test_a_thumbnail_is_small_and_keeps_its_shape(photo, tmp_path):
    with Image.open(io.BytesIO(html_page.thumbnail(photo))) as small:
        assert (small.format, small.size) == ("JPEG", (256, 85))
    (tmp_path / "none.jpg").write_bytes(b"no photo")
    with pytest.raises(PhotoError):
        html_page.thumbnail(tmp_path / "none.jpg")
