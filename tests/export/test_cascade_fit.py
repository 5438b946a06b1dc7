"""The cascade is fitted on the photos for choosing, calibrated, and each part kept only where it pays."""

import dataclasses

import numpy as np
import pytest

from cat_model.cascade import FULL, GRID, GRID_INNER, INNER, NARROW, WHOLE, ZOOM, Cascade, Combination, Zooms
from cat_model.cascade import Pass as SeenPass
from cat_model.verdict import logit
from export import cascade_fit, evaluate
from export.cascade_fit import Set
from export.evaluate import Plan
from tests.cat_model.test_cascade import RedRuntime
from train.evaluation import metrics

EMPTY = np.zeros(0)


def seen(logit_):
    return SeenPass(WHOLE, EMPTY, float(1 / (1 + np.exp(-logit_))), EMPTY, EMPTY, (0.5, 0.5))


def made_set(rng, count=700, zoom=1.0, grid=0.0):
    """Recorded passes: full views know a little, zooms know `zoom` more, the grid knows `grid`."""
    cats = rng.random(count) < 0.4
    truth = np.where(cats, 1.0, -1.0)
    full = truth * 1.5 + rng.normal(0, 1.6, count) - 0.5
    looks = {
        ZOOM: truth * 2 * zoom + rng.normal(0, 1, count),
        NARROW: truth * zoom + rng.normal(0, 2, count),
        INNER: rng.normal(-2, 1, count),
        GRID: truth * 2 * grid + rng.normal(0, 1, count),
        GRID_INNER: rng.normal(0, 0.1, count),
    }
    passes = [
        {FULL: seen(full[i]), **{name: seen(of[i]) for name, of in looks.items()}} for i in range(count)
    ]
    return Set(passes, np.where(cats, "cat", "dog"))


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    return {name: made_set(rng) for name in ("validation", "people", "stress")}


@pytest.fixture(autouse=True)
def no_limit(monkeypatch):
    monkeypatch.setattr(cascade_fit, "MOST_PASSES", 9.0)


def chosen(sets, monkeypatch, run):
    monkeypatch.setattr(cascade_fit, "record", lambda *_: sets)
    return cascade_fit.choose(Cascade(RedRuntime()), run)


def test_zooms_that_know_more_are_kept_and_the_point_is_chosen_with_them(sets, monkeypatch, run):
    fit = chosen(sets, monkeypatch, run)
    assert fit.plan.zooms is not None
    assert fit.compared["full view alone"] < max(fit.compared.values())
    answers = [evaluate.answers(sets[n].passes, sets[n].groups, fit.plan) for n in ("validation", "people")]
    quick = np.concatenate([each.quick for each in answers])
    cats = np.concatenate([sets[n].cats for n in ("validation", "people")])
    assert fit.point == metrics.operating_point(quick, cats)


def test_zooms_that_know_nothing_are_left_out(monkeypatch, run):
    rng = np.random.default_rng(1)
    sets = {name: made_set(rng, zoom=0.0) for name in ("validation", "people", "stress")}
    fit = chosen(sets, monkeypatch, run)
    assert fit.plan == Plan(None, None)


def test_zooms_that_only_cats_would_get_cannot_be_calibrated_and_are_left_out(sets):
    plan = next(each for _, each in cascade_fit._candidates() if each)
    cats = {n: Set([p for p, c in zip(e.passes, e.cats, strict=True) if c], e.groups[e.cats])
            for n, e in sets.items()}  # fmt: skip
    assert cascade_fit.calibrated(plan, cats) is None


def test_what_joins_is_never_made_surer():
    """A search of ten looks errs more easily than one look."""
    assert cascade_fit.SHIFTS[0] == 0
    assert list(cascade_fit.SHIFTS) == sorted(cascade_fit.SHIFTS, reverse=True)


def test_too_many_passes_are_not_affordable(sets, monkeypatch, run):
    monkeypatch.setattr(cascade_fit, "MOST_PASSES", 1.0)
    fit = chosen(sets, monkeypatch, run)
    assert fit.plan.zooms is None
    assert "full view alone" in fit.compared


def test_what_zooms_say_is_calibrated(sets):
    plan = dataclasses.replace(
        next(each for name, each in cascade_fit._candidates() if name == "full + zoom, from -3 to 3"),
    )
    found = cascade_fit.calibrated(plan, sets)
    said = [evaluate.answers(sets[n].passes, sets[n].groups, Plan(found)) for n in ("validation", "people")]
    probabilities = np.concatenate([each.quick[each.zoomed] for each in said])
    cats = np.concatenate(
        [sets[n].cats[each.zoomed] for n, each in zip(("validation", "people"), said, strict=True)]
    )
    assert probabilities.mean() == pytest.approx(cats.mean(), abs=0.01)
    for low, high in ((0.0, 0.2), (0.4, 0.6), (0.8, 1.0)):
        inside = (probabilities >= low) & (probabilities < high)
        assert probabilities[inside].mean() == pytest.approx(cats[inside].mean(), abs=0.15)


def test_the_thorough_search_is_kept_where_it_finds_more_and_calls_no_more_others_cats(monkeypatch, run):
    rng = np.random.default_rng(2)
    sets = {name: made_set(rng, zoom=0.4, grid=1.0) for name in ("validation", "people", "stress")}
    fit = chosen(sets, monkeypatch, run)
    assert fit.plan.search is not None
    quick, thorough, cats = [], [], []
    for name in ("validation", "people"):
        said = evaluate.answers(sets[name].passes, sets[name].groups, fit.plan)
        quick.append(said.quick >= fit.point.cat)
        thorough.append(said.thorough >= fit.plan.search.threshold.cat)
        cats.append(sets[name].cats)
    quick, thorough, cats = map(np.concatenate, (quick, thorough, cats))
    assert thorough[~cats].sum() <= quick[~cats].sum()
    assert thorough[cats].mean() > quick[cats].mean() + 0.02


def test_merit_is_the_mean_recall_and_hard_cats_count_by_themselves():
    groups = np.array(["cat"] * 10 + ["cat_hard"] * 2 + ["dog"] * 100)
    said = np.array([0.9] * 10 + [0.1, 0.9] + [0.5] * 3 + [0.01] * 97)
    sets = {"people": Set([], groups)}
    all_cats = metrics.recall_at_rate(said, groups != "dog", 0.01)
    assert cascade_fit.merit([said], sets) == pytest.approx(all_cats)
    assert cascade_fit.merit([said], sets, hard=True) == pytest.approx((all_cats + 0.5) / 2)
    easy = {"people": Set([], np.where(groups == "cat_hard", "cat", groups))}
    assert cascade_fit.merit([said], easy, hard=True) == pytest.approx(all_cats)


def test_all_candidates_make_only_passes_that_were_recorded():
    for _, plan in cascade_fit._candidates():
        if plan is not None:
            assert plan.bound >= cascade_fit.RECORDED
            names = {name for each in plan.combinations for name in each.weights}
            assert names <= {FULL, ZOOM, NARROW, INNER}
            assert (plan.inner is not None) == (INNER in names)


def test_a_candidate_combines_what_its_name_says():
    plans = dict(cascade_fit._candidates())
    assert len(plans) == 1 + 5 * 2 * 3
    assert plans["full view alone"] is None
    never, largest = cascade_fit.NO_LIMIT, "max(full + narrow, narrow + inner), from -2 to 4"
    assert plans["full + narrow, from -3 to 1000"] == Zooms(
        -3.0, 1000.0, -never, (0.42,), None, (Combination({FULL: 1.0, NARROW: 1.0}, 0.0),)
    )
    assert plans[largest] == Zooms(
        -2.0, 4.0, 2.0, (0.42,), 0.2,
        (Combination({FULL: 1.0, NARROW: 1.0}, 0.0), Combination({NARROW: 1.0, INNER: 1.0}, 0.0)),
    )  # fmt: skip
    for name, plan in plans.items():
        if plan:
            asked = {each for one in plan.combinations for each in one.weights}
            assert plan.sides == ((0.42, 0.62) if ZOOM in asked else (0.42,)), name


@pytest.mark.parametrize("named", [cascade_fit.SHAPES, cascade_fit.THOROUGH])
def test_sums_of_one_combination_are_comparable_and_have_the_names_of_their_passes(named):
    for name, sums in named.items():
        assert len({sum(each.values()) for each in sums}) == 1, (
            name
        )  # of one scale, so that the largest counts
        assert all(weight > 0 for each in sums for weight in each.values()), name
    for name, sums in cascade_fit.SHAPES.items():
        parts = name.removeprefix("max(").removesuffix(")").split(", ")
        assert [set(part.split(" + ")) for part in parts] == [set(each) for each in sums], name


def test_passes_of_the_photos_for_choosing_are_recorded_plain_and_stressed(run, monkeypatch):
    monkeypatch.setattr(cascade_fit.stress, "SLICES", {"blur": cascade_fit.stress.SLICES["blur"]})
    monkeypatch.setattr(cascade_fit, "EVERY", 5)
    sets = cascade_fit.record(Cascade(RedRuntime()), run)
    assert {name: len(each.passes) for name, each in sets.items()} == {
        "validation": 12, "people": 8, "stress": 3
    }  # fmt: skip
    assert all(FULL in each and GRID in each for each in sets["people"].passes)
    assert not any(GRID in each for each in sets["stress"].passes)


def test_a_combination_keeps_its_shape_when_it_is_calibrated(sets):
    plan = next(each for name, each in cascade_fit._candidates() if name.startswith("max(full + zoom"))
    found = cascade_fit.calibrated(plan, sets)
    scales = {
        round(w / dict(one.weights)[n], 6)
        for one, two in zip(plan.combinations, found.combinations, strict=True)
        for n, w in two.weights.items()
    }
    assert len(scales) == 1
    assert len({round(each.bias, 6) for each in found.combinations}) == 1
    assert isinstance(found.combinations[0], Combination)
    assert logit(np.array(0.5)) == 0.0
