"""Where a look at the whole photo leaves a doubt, the model looks again at tiles, as its bundle says."""

import json
import shutil
from dataclasses import replace

import pytest
from PIL import Image

from cat_model import BundleError, Predictor
from cat_model.bundle import MANIFEST, Bundle, SecondLook


@pytest.fixture
def looks_twice(predictor):
    """The same model, looking again at whatever is not sure beyond any doubt, and trusting tiles alone."""
    always = SecondLook(0.0, 1.0, 0.5, 0.0, 1.0, 0.0)
    return Predictor(replace(predictor.bundle, second_look=always))


def test_a_second_look_finds_a_cat_that_is_small_in_the_photo(predictor, looks_twice, examples):
    scene = Image.open(examples / "coffee.jpg").convert("RGB").resize((800, 800))
    cat = Image.open(examples / "chelsea.jpg").convert("RGB").resize((150, 150))
    scene.paste(cat, (20, 20))
    alone = Predictor(replace(predictor.bundle, second_look=None))
    assert looks_twice.predict(scene).probability > alone.predict(scene).probability


def test_the_strongest_of_five_tiles_counts(predictor):
    blank = Image.new("RGB", (400, 400), "grey")
    (of_blank,) = predictor.strongest_tile([blank], 0.5)
    assert of_blank == pytest.approx(predictor.whole([blank])[0], abs=0.02)


def test_a_photo_beyond_doubt_is_looked_at_once(predictor, monkeypatch):
    never = SecondLook(0.4, 0.4001, 0.5, 0.0, 1.0, 0.0)
    once = Predictor(replace(predictor.bundle, second_look=never))
    monkeypatch.setattr(once, "strongest_tile", lambda *_: pytest.fail("looked again"))
    once.predict(Image.new("RGB", (400, 400), "grey"))


def test_a_second_look_is_read_and_one_out_of_order_is_refused(predictor, tmp_path):
    folder = shutil.copytree(predictor.bundle.folder, tmp_path / "bundle")
    manifest = json.loads((folder / MANIFEST).read_text())
    look = {"low": 0.1, "high": 0.9, "tile": 0.6, "first": 0.5, "strongest": 0.5, "bias": 0.0}

    def write(changed):
        (folder / MANIFEST).write_text(json.dumps(manifest | {"second_look": changed}))

    write(look)
    assert Bundle.read(folder).second_look == SecondLook(**look)
    write(None)
    assert Bundle.read(folder).second_look is None
    for wrong in ({"low": 0.95}, {"high": 1.5}, {"tile": 0.0}, {"tile": 1.5}):
        write(look | wrong)
        with pytest.raises(BundleError, match="second look"):
            Bundle.read(folder)
    write({"low": 0.1})
    with pytest.raises(BundleError):
        Bundle.read(folder)
