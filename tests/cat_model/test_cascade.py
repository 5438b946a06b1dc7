"""Every pass over a photo: tiles of older bundles, zooms where the cat map points, the thorough search."""

import json
import shutil
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from PIL import Image

from cat_model import BundleError, Predictor, cascade
from cat_model.bundle import MANIFEST, Bundle
from cat_model.cascade import (
    FULL,
    GRID,
    GRID_INNER,
    INNER,
    NARROW,
    TILE,
    WHOLE,
    ZOOM,
    Cascade,
    Combination,
    Pass,
    Search,
    Tiles,
    Zooms,
    combine,
)
from cat_model.runtime import Outputs
from cat_model.verdict import Threshold

SIDE, CELLS = 64, 16
CAT = (255, 0, 0)
PLAIN = Combination({FULL: 1.0, ZOOM: 1.0}, 0.0)
DEEP = Combination({NARROW: 1.0, INNER: 1.0}, 0.0)
ZOOMS = Zooms(-3.0, np.inf, -np.inf, (0.42, 0.62), None, (PLAIN,))


@dataclass
class RedRuntime:
    """A model that sees red: its logit rises with the red area, and its map's peak is the reddest cell."""

    side: int = SIDE
    batches: list[int] = field(default_factory=list)

    def run(self, pixels):
        self.batches.append(len(pixels))
        red = (pixels[..., 0] > 200) & (pixels[..., 1] < 90)
        cells = red.reshape(len(pixels), CELLS, SIDE // CELLS, CELLS, SIDE // CELLS).mean(axis=(2, 4))
        logits = 12 * red.mean(axis=(1, 2)) - 2.0
        return Outputs(
            probability=(1 / (1 + np.exp(-logits))).astype(np.float32),
            embedding=np.ones((len(pixels), 3), np.float32),
            share=(cells - cells + (logits / CELLS**2)[:, None, None]).astype(np.float32),
            cat_map=cells.astype(np.float32),
        )


def scene(x, y, size=40, side=400):
    """A grey picture with a red square whose middle is at x and y, as fractions."""
    image = Image.new("RGB", (side, side), "grey")
    left, top = round(x * side - size / 2), round(y * side - size / 2)
    image.paste(CAT, (left, top, left + size, top + size))
    return image


def test_zooms_are_made_where_the_map_points_and_stay_inside_the_photo():
    (answer,) = Cascade(RedRuntime(), ZOOMS).answer([scene(0.9, 0.3)])
    narrow = answer.passes[NARROW].part
    assert narrow[2] == pytest.approx(1.0)
    assert narrow[0] == pytest.approx(0.58)
    assert (narrow[1] + narrow[3]) / 2 == pytest.approx(0.3, abs=0.04)
    assert answer.passes[ZOOM].logit == max(answer.passes[NARROW].logit, answer.passes[ZOOM].logit)
    assert answer.logit == pytest.approx(answer.passes[FULL].logit + answer.passes[ZOOM].logit)
    assert answer.closer == answer.passes[ZOOM].part


def test_a_sure_no_and_a_sure_yes_get_no_zoom():
    plan = replace(ZOOMS, bound=-1.0, ceiling=5.0)
    runtime = RedRuntime()
    no, yes = Cascade(runtime, plan).answer([scene(0.5, 0.5, 20), scene(0.5, 0.5, 390)])
    assert runtime.batches == [2]
    assert set(no.passes) == set(yes.passes) == {FULL}
    assert no.closer is None
    assert no.probability == no.passes[FULL].probability


def test_the_zoom_within_a_zoom_is_made_only_where_no_cat_was_found():
    plan = Zooms(-3.0, np.inf, 0.0, (0.42,), 0.2, (PLAIN, DEEP))
    small, large = Cascade(RedRuntime(), plan).answer([scene(0.3, 0.7, 24), scene(0.5, 0.5, 200)])
    assert INNER in small.passes
    assert small.combination == DEEP
    assert small.passes[INNER].part[2] - small.passes[INNER].part[0] == pytest.approx(0.2)
    assert INNER not in large.passes


def test_passes_that_a_plan_would_not_make_do_not_count():
    wide = replace(ZOOMS, sides=(0.42, 0.62), inner=0.2, inner_below=np.inf, combinations=(PLAIN, DEEP))
    (passes,) = Cascade(RedRuntime(), None).collect([scene(0.3, 0.7, 24)], wide, None)
    assert combine(passes, wide, None).combination == DEEP
    assert combine(passes, replace(wide, inner_below=-np.inf), None).combination == PLAIN
    assert combine(passes, replace(wide, bound=3.0), None).logit == passes[FULL].logit
    assert combine(passes, replace(wide, ceiling=-3.0), None).logit == passes[FULL].logit


def test_the_thorough_search_sees_every_part_and_can_only_add_to_the_answer():
    found = Combination({GRID: 1.0, GRID_INNER: 1.0}, 2.0)
    search = Search(-10.0, 3, 0.42, 0.22, (found,), Threshold(0.9, (0.8, 0.95)))
    runtime = RedRuntime()
    model = Cascade(runtime, replace(ZOOMS, bound=8.0, search=search))
    (quick,), (thorough,) = (model.answer([scene(0.85, 0.15, 24)], each) for each in (False, True))
    # The quick answer's full view; the search's own, the grid, and a zoom at the best view's peak.
    assert sum(runtime.batches) == 1 + 1 + 9 + 1
    assert thorough.logit > quick.logit
    left, top, right, bottom = thorough.passes[GRID_INNER].part
    assert left < 0.85 < right
    assert top < 0.15 < bottom
    assert Cascade(runtime, ZOOMS).answer([scene(0.5, 0.5)], thorough=True)[0].combination == PLAIN


def test_a_batch_gets_the_answers_of_its_photos_alone():
    photos = [scene(0.2, 0.2), scene(0.8, 0.4, 90), scene(0.5, 0.5, 300)]
    model = Cascade(RedRuntime(), ZOOMS)
    together = model.answer(photos)
    assert [each.logit for each in together] == [model.answer([photo])[0].logit for photo in photos]


def test_a_grid_covers_the_photo_and_tiles_its_corners():
    views = cascade.grid(3, 0.42)
    assert len(views) == 9
    assert views[0][:2] == (0.0, 0.0)
    assert views[-1][2:] == pytest.approx((1.0, 1.0))
    assert cascade.tiles(0.6)[4] == pytest.approx((0.2, 0.2, 0.8, 0.8))


def test_what_is_written_of_a_cascade_is_read_again():
    search = Search(-4.0, 3, 0.42, 0.22, (PLAIN,), Threshold(0.7, (0.6, 0.8)))
    zooms = replace(ZOOMS, ceiling=4.0, inner_below=1.0, inner=0.2, combinations=(PLAIN, DEEP), search=search)
    assert Zooms.from_manifest(json.loads(json.dumps(zooms.to_manifest()))) == zooms


@pytest.mark.parametrize(
    "wrong",
    [
        {"zooms": []},
        {"zooms": [1.5]},
        {"inner": 2.0},
        {"quick": {"combinations": []}},
        {"quick": {"combinations": [{"weights": {"dog": 1.0}, "bias": 0.0}]}},
        {"quick": {"combinations": [{"weights": {"inner": 1.0}, "bias": 0.0}]}},
    ],
)
def test_a_cascade_out_of_order_is_refused(wrong):
    stored = replace(ZOOMS, inner=0.2).to_manifest() | wrong
    with pytest.raises(cascade.CascadeError):
        Zooms.from_manifest(stored)


def test_zooms_need_a_model_with_a_map(predictor):
    older = replace(predictor.bundle, plan=ZOOMS, model=predictor.bundle.model)
    if predictor.cascade.runtime.has_cat_map:
        assert Predictor(older).cascade.plan == ZOOMS
    else:
        with pytest.raises(BundleError, match="no cat map"):
            Predictor(older)


# Tiles: bundles from before zooms.


def ambiguous(low=0.0, high=1.0, first=0.0, strongest=1.0, bias=0.0):
    return Tiles(low, high, 0.5, Combination({FULL: first, TILE: strongest}, bias))


def test_tiles_find_a_cat_that_is_small_in_the_photo(predictor, examples):
    picture = Image.open(examples / "coffee.jpg").convert("RGB").resize((800, 800))
    cat = Image.open(examples / "chelsea.jpg").convert("RGB").resize((150, 150))
    picture.paste(cat, (20, 20))
    alone, tiled = (
        Predictor(replace(predictor.bundle, plan=plan)).predict(picture).probability
        for plan in (None, ambiguous())
    )
    assert tiled > alone


def test_the_strongest_tile_counts_where_the_full_view_is_ambiguous():
    runtime = RedRuntime()
    photo = scene(0.1, 0.1, 80)
    (answer,) = Cascade(runtime, ambiguous()).answer([photo])
    assert answer.passes[TILE].part == (0.0, 0.0, 0.5, 0.5)
    assert answer.logit == answer.passes[TILE].logit
    assert sum(runtime.batches) == 6
    (sure,) = Cascade(runtime, ambiguous(low=0.99)).answer([photo])
    assert set(sure.passes) == {FULL}


def test_tiles_are_read_and_those_out_of_order_are_refused(predictor, tmp_path):
    folder = shutil.copytree(predictor.bundle.folder, tmp_path / "bundle")
    manifest = json.loads((folder / MANIFEST).read_text()) | {"cascade": None}
    tiles = {"low": 0.1, "high": 0.9, "tile": 0.6, "first": 0.5, "strongest": 0.4, "bias": 0.3}

    def write(changed):
        (folder / MANIFEST).write_text(json.dumps(manifest | {"second_look": changed}))

    write(tiles)
    assert Bundle.read(folder).plan == Tiles(0.1, 0.9, 0.6, Combination({FULL: 0.5, TILE: 0.4}, 0.3))
    write(None)
    assert Bundle.read(folder).plan is None
    for wrong in ({"low": 0.95}, {"high": 1.5}, {"tile": 0.0}, {"tile": 1.5}):
        write(tiles | wrong)
        with pytest.raises(BundleError, match=r"the tiles .* are out of order"):
            Bundle.read(folder)
    write({"low": 0.1})
    with pytest.raises(BundleError):
        Bundle.read(folder)


def test_a_combination_weighs_logits():
    half, zero = (Pass(WHOLE, np.zeros(0), p, np.zeros(0), np.zeros(0), None) for p in (0.5, 0.880797))
    found = Combination({FULL: 3.0, ZOOM: 0.5}, -1.0).logit({FULL: half, ZOOM: zero})
    assert found == pytest.approx(0.0, abs=1e-4)
