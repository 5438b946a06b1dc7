"""Explanations: they add up, repeat themselves, and lie where the answer comes from."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cat_model import Predictor
from cat_model.explain import GRID, WHOLE, Look, spread
from cat_model.masked import shapley
from cat_model.predict import EXPLAIN_BUDGET

BUDGETS = (0, 24)
EVERY_DOUBT = {"low": 0.0, "high": 1.0}


@pytest.fixture(scope="module")
def looks_twice(predictor):
    """The shipped model, looking again at each photo."""
    look = predictor.bundle.second_look
    if look is None:
        pytest.skip("The shipped model never looks twice.")
    return Predictor(replace(predictor.bundle, second_look=replace(look, **EVERY_DOUBT)), workers=2)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", ["chelsea.jpg", "coffee.jpg"])
def test_base_and_values_add_up_to_the_models_own_logit(predictor, examples, name, budget):
    image = predictor.decode(examples / name)
    logit = predictor.outputs(predictor.pixels(image)[None]).share.sum()
    explanation = predictor.explain(examples / name, budget)
    assert explanation.values.shape == (GRID, GRID)
    assert explanation.base + explanation.values.sum() == pytest.approx(logit, abs=1e-3)
    assert explanation.evaluations <= budget


@pytest.mark.parametrize("budget", BUDGETS)
def test_after_a_second_look_it_is_the_verdicts_logit_that_is_explained(looks_twice, examples, budget):
    explanation = looks_twice.explain(examples / "coffee.jpg", budget)
    verdict = looks_twice.predict(examples / "coffee.jpg")
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


def test_a_head_with_other_weights_is_explained_otherwise(predictor, examples, monkeypatch):
    """Adebayo et al. 2018: what does not change with the model's weights explains nothing."""
    before = [predictor.explain(examples / "chelsea.jpg", budget).values for budget in BUDGETS]
    generator, ask = np.random.default_rng(0), predictor.outputs
    cells = ask(np.zeros((1, predictor.bundle.side, predictor.bundle.side, 3), np.uint8)).share.shape[1:]
    signs = generator.choice([-1.0, 1.0], cells)
    monkeypatch.setattr(
        predictor, "outputs", lambda pixels: (said := ask(pixels)) and replace(said, share=said.share * signs)
    )
    for values, budget in zip(before, BUDGETS, strict=True):
        after = predictor.explain(examples / "chelsea.jpg", budget).values
        assert np.corrcoef(values.ravel(), after.ravel())[0, 1] < 0.5


def test_the_shares_guide_the_closer_look_but_lend_it_no_values():
    """Of a model that only sees the top left quarter, while its shares claim the bottom right one."""
    side = 56
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[: side // 4, : side // 4] = 255

    def outputs(some):
        share = some[:, : side // 2, : side // 2].mean(axis=(1, 2, 3), dtype=np.float64)[:, None, None]
        return SimpleNamespace(share=share)

    predictor = SimpleNamespace(workers=1, bundle=SimpleNamespace(side=side), outputs=outputs)
    claimed = np.zeros((GRID, GRID))
    claimed[GRID // 2 :, GRID // 2 :] = 1.0
    looks = [Look(WHOLE, 1.0, pixels, np.zeros((1, 1)), np.zeros(1))]
    values, base, _ = shapley(predictor, looks, 0.0, claimed, EXPLAIN_BUDGET)
    assert base + values.sum() == pytest.approx(float(outputs(pixels[None]).share.sum()), abs=1e-3)
    assert np.abs(values[GRID // 2 + 2 :, GRID // 2 + 2 :]).sum() < 0.01 * np.abs(values).sum()


def test_of_a_cat_beside_a_scene_the_mass_lies_with_the_cat(predictor, shared_part):
    folder = shared_part("photos/people")
    cats, scenes = sorted(shared_part("photos/wild/cat").iterdir()), sorted((folder / "misc").iterdir())
    left = []
    for cat, scene in zip(cats[::5], scenes[::2], strict=False):
        both = Image.new("RGB", (480, 240))
        for at, path in ((0, cat), (240, scene)):
            with Image.open(path) as photo:
                both.paste(photo.convert("RGB").resize((240, 240)), (at, 0))
        explanation = predictor.explain(both, 0)
        if explanation.verdict.is_cat:
            speaks = np.clip(explanation.values, 0, None)
            left.append(speaks[:, : GRID // 2].sum() / speaks.sum() > 0.5)
        if len(left) == 60:
            break
    assert len(left) >= 50
    assert np.mean(left) >= 0.9


def test_spreading_keeps_the_sum_and_the_place():
    share = np.zeros((5, 5))
    share[0, 4] = 2.0
    values = spread(share, (0.0, 0.0, 0.62, 0.62))
    assert values.sum() == pytest.approx(2.0)
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert row < GRID / 5
    assert GRID * 0.62 * 0.8 <= column + 0.5 <= GRID * 0.62


@pytest.mark.parametrize("budget", [1, 7, -5])
def test_a_budget_that_is_too_small_is_refused(predictor, examples, budget):
    with pytest.raises(ValueError, match=f"budget is {budget}"):
        predictor.explain(examples / "chelsea.jpg", budget)


def test_progress_is_told_and_may_end_the_work(predictor, examples):
    told = []
    predictor.explain(examples / "chelsea.jpg", 24, told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0, abs=0.1)

    def stop(_):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        predictor.explain(examples / "chelsea.jpg", 24, stop)
