"""What the server says of one photo among several."""

import base64
import html
import io
import json
import re

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import cat_model
from cat_model import PhotoError
from web import text
from web.server.reload import ReloadingPredictor
from web.ui import gallery


@pytest.fixture(scope="module")
def reloading(predictor):
    return ReloadingPredictor(lambda: predictor, predictor.bundle.folder)


def test_a_tile_has_the_verdict_and_a_small_picture(reloading, predictor, examples):
    tile = gallery.make_tile(reloading, str(examples / "chelsea.jpg"), thorough=False)
    verdict = predictor.predict(examples / "chelsea.jpg")
    assert (tile.kind, tile.label) == ("cat", verdict.label)
    assert tile.probability == pytest.approx(verdict.probability)
    assert (tile.kind, tile.headline) == text.verdict_words(verdict)[:2]
    form, _, content = tile.picture.partition(",")
    assert form == "data:image/jpeg;base64"
    assert max(Image.open(io.BytesIO(base64.b64decode(content))).size) == gallery.SIDE


def test_a_photo_that_cannot_be_used_has_its_sentence_and_nothing_else(reloading, predictor):
    with pytest.raises(PhotoError) as refusal:
        predictor.predict(b"no photo")
    tile = gallery.make_tile(reloading, b"no photo", thorough=False)
    assert tile == gallery.Tile("wrong", text.CANNOT_LOOK, str(refusal.value))


def test_no_photo_is_refused(reloading):
    with pytest.raises(gr.Error, match=text.NO_PHOTO):
        gallery.make_tile(reloading, None, thorough=False)


def test_a_thorough_search_is_made_where_it_is_wanted(reloading, examples, monkeypatch):
    asked = []
    explain = cat_model.Predictor.explain

    def noted(self, photo, budget, *rest, **named):
        asked.append(named["thorough"])
        return explain(self, photo, budget, *rest, **named)

    monkeypatch.setattr(cat_model.Predictor, "explain", noted)
    for wanted in (True, False):
        gallery.make_tile(reloading, str(examples / "coffee.jpg"), wanted)
    assert asked == [True, False]


def test_an_animation_that_begins_blank_says_which_picture_was_looked_at(reloading, examples):
    cat = Image.open(examples / "chelsea.jpg").convert("RGB").resize((240, 160))
    blank, file = Image.fromarray(np.zeros((160, 240, 3), np.uint8)), io.BytesIO()
    blank.save(file, "WEBP", save_all=True, append_images=[cat], duration=100)
    tile = gallery.make_tile(reloading, file.getvalue(), thorough=False)
    assert tile.detail == text.looked_at(1)


def test_the_script_gets_its_words_from_the_page(reloading):
    (told,) = re.findall(r'data-options="([^"]*)"', gallery.content())
    assert json.loads(html.unescape(told)) == {"most": gallery.MOST, "words": text.GALLERY}
