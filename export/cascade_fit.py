"""Fits the cascade (P. Viola and M. Jones, 2001): which photos get zooms, and how passes are combined.

All passes that any candidate needs are made once over validation photos, the same under stress, and people's.
Candidates are then compared by their recall at low false-positive rates; a pass is kept only if it pays. The
winner's logits are calibrated by logistic regression (J. Platt, 1999), and it gets its threshold on the same
photos. Test and wild photos are never looked at here.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from cat_model.cascade import FULL, GRID, GRID_INNER, INNER, NARROW, ZOOM, Cascade, Combination, Search, Zooms
from cat_model.verdict import Threshold, logit
from export import evaluate
from export.evaluate import Answers, Passes, Plan
from train.data.manifest import CHOOSING, PEOPLE, VALIDATION
from train.evaluation import metrics, stress
from train.run import Run

SIDES, WITHIN = (0.42, 0.62), 0.2
"""Sides of the zooms at the cat map's peak, and of the zoom within the first one, as fractions of the
photo's."""
GRID_VIEWS, GRID_SIDE, GRID_WITHIN = 3, 0.42, 0.22
"""The thorough search: views along each side, their side, and that of the zoom within the strongest one."""
NO_LIMIT = 1_000.0
"""A logit that no photo reaches."""
BOUNDS, CEILINGS = (-3.0, -2.0), (3.0, 4.0, NO_LIMIT)
"""Logits of the full view between which zooms may be made."""
RECORDED = -3.0
"""The lowest of BOUNDS: below it no zoom is recorded."""
EVERY = 4
"""Of the stressed validation photos, each of so many takes part."""
RATES = (0.01, 0.015, 0.02)
"""False-positive rates at which candidates are compared."""
MOST_PASSES = 1.55
"""Mean passes that an answer to people's photos may take: what the gate's rule on time leaves room for."""
FULL_VIEW = Combination({FULL: 1.0}, 0.0)
SHAPES: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "full": ({FULL: 1.0},),
    "full + zoom": ({FULL: 1.0, ZOOM: 1.0},),
    "full + narrow": ({FULL: 1.0, NARROW: 1.0},),
    "max(full + zoom, narrow + inner)": ({FULL: 1.0, ZOOM: 1.0}, {NARROW: 1.0, INNER: 1.0}),
    "max(full + narrow, narrow + inner)": ({FULL: 1.0, NARROW: 1.0}, {NARROW: 1.0, INNER: 1.0}),
    "max(full, full + zoom)": ({FULL: 2.0}, {FULL: 1.0, ZOOM: 1.0}),
}
"""Quick combinations that are compared: of each, the largest sum counts. Unit weights: see `calibrated`."""
WITHIN_NOISE = 0.002
"""Of all candidates that come so close to the best one, the one with the fewest passes is taken (the idea of
the one-standard-error rule; L. Breiman et al., 1984)."""
THOROUGH: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "max(quick, inner)": ({GRID_INNER: 1.0},),
    "max(quick, grid + inner)": ({GRID: 1.0, GRID_INNER: 1.0},),
    "max(quick, full + zoom + grid + inner)": ({FULL: 0.5, GRID: 0.5, GRID_INNER: 1.0},),
    "max(quick, full + grid)": ({FULL: 1.0, GRID: 1.0},),
}
"""What may join the quick combinations in the thorough search."""
SHIFTS = (0.0, -0.5, -1.0, -1.5, -2.0)
"""Added to the calibrated logits of what joins: of ten looks one errs more easily than of one."""


@dataclass(frozen=True)
class Fit:
    """What was fitted.

    Attributes:
        plan: which passes are made, and how they are combined.
        point: threshold and band of quick answers.
        compared: recall of every candidate, by what it is called.
    """

    plan: Plan
    point: Threshold
    compared: Mapping[str, float]


@dataclass(frozen=True)
class Set:
    """Recorded passes over photos."""

    passes: Sequence[Passes]
    groups: np.ndarray

    @property
    def cats(self) -> np.ndarray:
        """Shape (N,), bool."""
        return metrics.is_cat(self.groups)


def choose(model: Cascade, run: Run) -> Fit:
    """Fit the cascade of an exported file; print how the candidates compare.

    Args:
        model: runs the file.
        run: that trained it.
    """
    sets = record(model, run)
    quick, compared = _quick(sets)
    zooms = quick
    choosing = [sets[split] for split in CHOOSING if split in sets]
    point = metrics.operating_point(*_pooled([_answers(each, Plan(zooms)) for each in choosing], "quick"))
    search, thorough = _thorough(sets, zooms, point)
    for name, recall in {**compared, **thorough}.items():
        print(f"Mean recall at low false-positive rates, {name}: {recall:.4f}")
    return Fit(Plan(zooms, search), point, {**compared, **thorough})


def record(model: Cascade, run: Run) -> dict[str, Set]:
    """Make all passes over the photos for choosing, and quick ones over stressed validation photos."""
    everything = Plan(
        Zooms(RECORDED, NO_LIMIT, NO_LIMIT, SIDES, WITHIN, (FULL_VIEW,)),
        Search(-NO_LIMIT, GRID_VIEWS, GRID_SIDE, GRID_WITHIN, (FULL_VIEW,), Threshold(0.5, (0.5, 0.5))),
    )
    sets = {
        split: Set(
            evaluate.record(model, evaluate.paths(run, split), everything), evaluate.groups(run, split)
        )
        for split in CHOOSING
        if run.manifest(split)
    }
    some = run.manifest(VALIDATION)[::EVERY]
    quick = dataclasses.replace(everything, search=None)
    passes = [
        each
        for name in stress.SLICES
        for each in evaluate.record(model, stress.photos(run.photos, some, name), quick)
    ]
    sets["stress"] = Set(passes, np.array([record.group for record in some] * len(stress.SLICES)))
    return sets


def _quick(sets: Mapping[str, Set]) -> tuple[Zooms | None, dict[str, float]]:
    """Return the best quick plan within the limit of passes, calibrated, and how the candidates compare."""
    compared: dict[str, float] = {}
    found: list[tuple[float, float, Zooms | None]] = []
    for name, plan in _candidates():
        candidate = calibrated(plan, sets) if plan else None
        if plan and candidate is None:
            continue
        people = _answers(sets.get(PEOPLE, sets[VALIDATION]), Plan(candidate))
        cost = float(people.passes.mean())
        if cost > MOST_PASSES:
            continue
        compared[name] = merit([_answers(each, Plan(candidate)).quick for each in sets.values()], sets)
        found.append((compared[name], cost, candidate))
    enough = max(compared.values()) - WITHIN_NOISE
    return min((each for each in found if each[0] >= enough), key=lambda each: each[1])[2], compared


def _candidates() -> Iterator[tuple[str, Zooms | None]]:
    yield "full view alone", None
    for shape, sums in SHAPES.items():
        names = {name for each in sums for name in each}
        if names == {FULL}:
            continue
        combinations = tuple(Combination(each, 0.0) for each in sums)
        sides = SIDES if ZOOM in names else SIDES[:1]
        for bound in BOUNDS:
            for ceiling in CEILINGS:
                inner_below = 2.0 if INNER in names else -NO_LIMIT
                inner = WITHIN if INNER in names else None
                plan = Zooms(bound, ceiling, inner_below, sides, inner, combinations)
                yield f"{shape}, from {bound:g} to {ceiling:g}", plan


def calibrated(plan: Zooms, sets: Mapping[str, Set]) -> Zooms | None:
    """Return a plan whose combined logits are calibrated where zooms are made; None without cats and others
    there.

    The largest sum of logits is scaled and shifted as one (Platt scaling on validation and people's photos),
    so that all combinations of the plan stay comparable.
    """
    logits, cats = [], []
    for each in (sets[split] for split in CHOOSING if split in sets):
        said = _answers(each, Plan(plan))
        logits.append(logit(said.quick)[said.zoomed])
        cats.append(each.cats[said.zoomed])
    if len(set(np.concatenate(cats).tolist())) < 2:
        return None
    scale, shift = _platt(np.concatenate(logits), np.concatenate(cats))
    combinations = tuple(
        Combination(
            {name: scale * weight for name, weight in each.weights.items()}, scale * each.bias + shift
        )
        for each in plan.combinations
    )
    return dataclasses.replace(plan, combinations=combinations, inner_below=scale * plan.inner_below + shift)


def _thorough(
    sets: Mapping[str, Set], zooms: Zooms | None, point: Threshold
) -> tuple[Search | None, dict[str, float]]:
    """Return the best thorough search, with its own threshold, and how the candidates compare.

    Here the hard cats count as a set of their own: they are what the search is for. None where no candidate
    is better than the quick answers.
    """
    if zooms is None:
        return None, {}
    used = {split: each for split, each in sets.items() if split in CHOOSING}
    quick = merit([_answers(each, Plan(zooms)).quick for each in used.values()], used, hard=True)
    compared = {"thorough: none": quick}
    best: tuple[float, Search | None] = (quick, None)
    for name, sums in THOROUGH.items():
        calibrated_search = _calibrated_search(sums, used)
        for shift in SHIFTS:
            search = _shifted(calibrated_search, shift)
            said = [_answers(each, Plan(zooms, search)) for each in used.values()]
            title = f"thorough: {name}, shifted by {shift:g}"
            compared[title] = merit([each.thorough for each in said], used, hard=True)
            if compared[title] > best[0]:
                best = compared[title], search
    search = best[1]
    if search is None:
        return None, compared
    answers = [_answers(each, Plan(zooms, search)) for each in used.values()]
    threshold = _same_rate(answers, point)
    return dataclasses.replace(search, threshold=threshold), compared


def _calibrated_search(sums: Sequence[Mapping[str, float]], sets: Mapping[str, Set]) -> Search:
    """Calibrate what joins the quick combinations by itself; the largest of all counts."""
    joined = []
    for weights in sums:
        logits, cats = [], []
        for each in sets.values():
            logits += [sum(w * p[name].logit for name, w in weights.items()) for p in each.passes]
            cats += each.cats.tolist()
        scale, shift = _platt(np.array(logits), np.array(cats))
        joined.append(Combination({name: scale * w for name, w in weights.items()}, shift))
    return Search(-NO_LIMIT, GRID_VIEWS, GRID_SIDE, GRID_WITHIN, tuple(joined), Threshold(0.5, (0.5, 0.5)))


def _shifted(search: Search, shift: float) -> Search:
    """Return a search with a number added to each combination's logit."""
    combinations = tuple(dataclasses.replace(each, bias=each.bias + shift) for each in search.combinations)
    return dataclasses.replace(search, combinations=combinations)


def _same_rate(answers: Sequence[Answers], point: Threshold) -> Threshold:
    """Return the thorough threshold at which as many photos without a cat are called cats as by quick
    answers."""
    quick, cats = _pooled(answers, "quick")
    thorough, _ = _pooled(answers, "thorough")
    allowed = int((quick[~cats] >= point.cat).sum())
    others = np.sort(thorough[~cats])[::-1]
    above = others[allowed - 1] if allowed else 1.0
    cut = float((above + others[min(allowed, len(others) - 1)]) / 2)
    return Threshold(cut, metrics.unsure_band(thorough, cats, cut, metrics.TRUST))


def merit(probabilities: Sequence[np.ndarray], sets: Mapping[str, Set], *, hard: bool = False) -> float:
    """Return the mean recall over sets and RATES, 0 to 1; with `hard`, hard cats count as one more set."""
    recalls = []
    for said, each in zip(probabilities, sets.values(), strict=True):
        recalls += [metrics.recall_at_rate(said, each.cats, rate) for rate in RATES]
        few = (each.groups == evaluate.HARD) | ~each.cats
        if hard and each.cats[few].any():
            recalls += [metrics.recall_at_rate(said[few], each.cats[few], rate) for rate in RATES]
    return float(np.mean(recalls))


def _answers(each: Set, plan: Plan) -> Answers:
    return evaluate.answers(each.passes, each.groups, plan)


def _pooled(answers: Sequence[Answers], which: str) -> tuple[np.ndarray, np.ndarray]:
    probabilities = np.concatenate([getattr(each, which) for each in answers])
    return probabilities, metrics.is_cat(np.concatenate([each.groups for each in answers]))


def _platt(logits: np.ndarray, cats: np.ndarray) -> tuple[float, float]:
    fitted = LogisticRegression().fit(logits[:, None], cats)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
