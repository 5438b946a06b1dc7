"""Explanations: they add up, repeat themselves, and lie where the answer comes from."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageFilter

from cat_model import Predictor
from cat_model.cascade import FULL, TILE, WHOLE, Answer, Combination, Pass, Tiles, cut
from cat_model.explain.api import require_budget
from cat_model.explain.grid import GRID, spread
from cat_model.explain.ordering import contributions
from cat_model.explain.owen import Game, shapley
from cat_model.predictor import EXPLAIN_BUDGET
from cat_model.verdict import NOT_A_CAT

BUDGETS = (0, 24, EXPLAIN_BUDGET)
ALWAYS = Tiles(0.0, 1.0, 0.62, Combination({FULL: 0.4, TILE: 0.6}, -0.2))


@pytest.fixture(scope="module")
def full_view(predictor):
    """The shipped model's full view alone."""
    return Predictor(replace(predictor.bundle, plan=None), workers=2)


@pytest.fixture(scope="module")
def tiled(predictor):
    """The shipped model, with tiles of each photo."""
    return Predictor(replace(predictor.bundle, plan=ALWAYS), workers=2)


@pytest.fixture(scope="module")
def headless(predictor):
    """The shipped file with the weights of its head shuffled; the features before it are as they were."""
    bundle, generator = predictor.bundle, np.random.default_rng(0)
    interpreter = Interpreter(model_content=bundle.model)
    model, shuffled = bundle.model, 0
    for tensor in interpreter.get_tensor_details():
        shape = tuple(tensor["shape"])
        if len(shape) == 4 and shape[:3] == (1, 1, 1) and shape[3] > 1 and tensor["dtype"] is np.int8:
            try:
                weights = interpreter.get_tensor(tensor["index"])
            except ValueError:  # what is computed, and not there yet
                continue
            model = model.replace(weights.tobytes(), generator.permuted(weights, axis=3).tobytes())
            shuffled += 1
    assert shuffled
    return Predictor(replace(bundle, model=model, recorded=(), plan=None), workers=2)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", ["chelsea.jpg", "coffee.jpg"])
def test_base_and_values_add_up_to_the_models_own_logit(full_view, examples, name, budget):
    image = full_view.decode(examples / name)
    logit = outputs(full_view, cut(image, full_view.bundle.side)).share.sum()
    explanation = full_view.explain(examples / name, budget)
    assert explanation.values.shape == (GRID, GRID)
    assert explanation.base + explanation.values.sum() == pytest.approx(logit, abs=1e-3)
    assert explanation.evaluations <= budget


@pytest.mark.parametrize("budget", BUDGETS)
def test_with_tiles_it_is_the_verdicts_logit_that_is_explained(tiled, examples, budget):
    explanation = tiled.explain(examples / "coffee.jpg", budget)
    verdict = tiled.predict(examples / "coffee.jpg")
    assert explanation.verdict == verdict
    assert 1 / (1 + np.exp(-explanation.logit)) == pytest.approx(verdict.probability, abs=0.02)
    assert explanation.evaluations <= budget


def test_the_verdict_is_the_one_that_predict_gives(predictor, examples):
    for path in sorted(examples.glob("*.jpg")):
        assert predictor.explain(path, 0).verdict == predictor.predict(path)


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_same_photo_gets_the_same_values(predictor, examples, budget):
    first, again = (predictor.explain(examples / "chelsea.jpg", budget).values for _ in range(2))
    assert np.array_equal(first, again)


def test_values_do_not_hang_on_how_many_workers_there_are(predictor, examples):
    alone = Predictor(predictor.bundle, workers=1).explain(examples / "chelsea.jpg", 24).values
    assert np.allclose(alone, predictor.explain(examples / "chelsea.jpg", 24).values, atol=1e-6)


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_head_with_other_weights_is_explained_otherwise(full_view, headless, examples, budget):
    """Adebayo et al. 2018: what does not change with the model's weights explains nothing."""
    before, after = (each.explain(examples / "chelsea.jpg", budget).values for each in (full_view, headless))
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] < 0.5


def test_attributions_guide_the_full_depth_but_lend_it_no_values():
    """Of a model that only sees the top left quarter, while its attributions claim the bottom right one."""
    side = 56
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[: side // 4, : side // 4] = 255

    def outputs(some):
        share = some[:, : side // 2, : side // 2].mean(axis=(1, 2, 3), dtype=np.float64)[:, None, None]
        return SimpleNamespace(share=share)

    cascade = SimpleNamespace(side=side, runtime=SimpleNamespace(run=outputs))
    claimed = np.zeros((GRID, GRID))
    claimed[GRID // 2 :, GRID // 2 :] = 1.0
    seen = Pass(WHOLE, pixels, 0.5, np.zeros((1, 1)), np.zeros(1), None)
    answer = Answer(0.0, {FULL: seen}, Combination({FULL: 1.0}, 0.0))
    values, base, _ = shapley(Game(cascade, answer, workers=1), claimed, EXPLAIN_BUDGET)
    assert base + values.sum() == pytest.approx(float(outputs(pixels[None]).share.sum()), abs=1e-3)
    speaks = np.clip(values, 0, None)  # as it hides 14 squares at a time, some go with others
    assert speaks[: GRID // 2, : GRID // 2].sum() > 0.85 * speaks.sum()


@pytest.mark.parametrize("budget", BUDGETS)
def test_of_a_cat_beside_a_scene_the_mass_lies_with_the_cat(predictor, shared_part, budget):
    cats = sorted(shared_part("photos/wild/cat").iterdir())[::6]
    scenes = sorted((shared_part("photos/people") / "misc").iterdir())[::2]
    left = []
    for cat, scene in list(zip(cats, scenes, strict=False))[:60]:
        both = Image.new("RGB", (480, 240))
        for at, path in ((0, cat), (240, scene)):
            with Image.open(path) as photo:
                both.paste(photo.convert("RGB").resize((240, 240)), (at, 0))
        speaks = np.clip(predictor.explain(both, budget).values, 0, None)
        left.append(speaks[:, : GRID // 2].sum() > speaks.sum() / 2)
    assert len(left) == 60
    assert np.mean(left) >= 0.9


@pytest.mark.parametrize("budget", BUDGETS)
def test_of_what_is_no_cat_it_explains_that_answer(predictor, shared_part, budget):
    """Without the squares that speak most against a cat a dog is rather one than without as many others."""
    rises = []
    for path in sorted(shared_part("photos/wild/dog").iterdir())[::20]:
        explanation = predictor.explain(path, budget)
        if explanation.verdict.label == NOT_A_CAT:
            order = np.argsort(explanation.values, axis=None)
            quarter = len(order) // 4
            least, most = (
                hidden_logit(predictor, explanation.photo, order[part])
                for part in (slice(quarter), slice(-quarter, None))
            )
            rises.append(least - most)
    assert len(rises) >= 15
    assert np.mean(rises) > 0
    assert np.mean(np.array(rises) > 0) >= 0.75


def hidden_logit(predictor, photo, squares):
    """The logit of the full view of a photo of which some squares lie behind a blur."""
    chosen = np.zeros(GRID * GRID, np.uint8)
    chosen[squares] = 255
    pixels = Image.fromarray(cut(photo, predictor.bundle.side))
    mask = Image.fromarray(chosen.reshape(GRID, GRID)).resize(pixels.size, Image.Resampling.NEAREST)
    shown = Image.composite(pixels.filter(ImageFilter.BoxBlur(pixels.width / 4)), pixels, mask)
    return float(outputs(predictor, np.asarray(shown)).share.sum())


def outputs(predictor, pixels):
    """What the model says of resized pixels."""
    return predictor.cascade.runtime.run(pixels[None])


def test_spreading_keeps_the_sum_and_the_place():
    share = np.zeros((5, 5))
    share[0, 4] = 2.0
    values = spread(share, (0.0, 0.0, 0.62, 0.62))
    assert values.sum() == pytest.approx(2.0)
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert row < GRID / 5
    assert GRID * 0.62 * 0.8 <= column + 0.5 <= GRID * 0.62


@pytest.mark.parametrize(("part", "width"), [(WHOLE, 1 / 7), ((0.3, 0.2, 0.7, 0.6), 1 / GRID)])
def test_a_cell_is_spread_by_six_tenths_of_its_width_or_of_a_square(part, width):
    share = np.zeros((7, 7))
    share[3, 3] = 1.0
    values = spread(share, part)
    centres = (np.arange(GRID) + 0.5) / GRID
    for axis, (low, high) in enumerate([(part[1], part[3]), (part[0], part[2])]):
        weights = values.sum(axis=1 - axis)
        mean = weights @ centres
        assert mean == pytest.approx((low + high) / 2, abs=0.002)
        assert np.sqrt(weights @ (centres - mean) ** 2) == pytest.approx(0.6 * width, rel=0.02)


@pytest.mark.parametrize("budget", [1, 7, -5])
def test_a_budget_that_is_too_small_is_refused(predictor, examples, budget):
    with pytest.raises(ValueError, match=f"budget is {budget}"):
        predictor.explain(examples / "chelsea.jpg", budget)


def test_the_least_budget_is_enough(predictor, full_view, examples):
    assert 0 < full_view.explain(examples / "chelsea.jpg", 8).evaluations <= 8
    require_budget(8)
    require_budget(0)


@pytest.mark.parametrize(
    ("passes", "budget", "steps"), [(1, 44, []), (1, 45, [6]), (2, 89, []), (2, 90, [6])]
)
def test_a_budget_of_45_coalitions_is_the_least_that_also_looks_for_an_order(
    full_view, tiled, examples, passes, budget, steps, monkeypatch
):
    asked = []

    def noted(*args):
        asked.append(args[-1])
        return contributions(*args)

    monkeypatch.setattr("cat_model.explain.owen.contributions", noted)
    asking = {1: full_view, 2: tiled}[passes]
    explanation = asking.explain(examples / "chelsea.jpg", budget)
    assert asked == steps
    assert budget - 4 * passes < explanation.evaluations <= budget


def test_progress_is_told_and_may_end_the_work(predictor, examples):
    told = []
    predictor.explain(examples / "chelsea.jpg", 24, told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0, abs=0.1)

    def stop(_):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        predictor.explain(examples / "chelsea.jpg", 24, stop)
