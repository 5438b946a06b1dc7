"""SHAP over a photo with parts of it hidden behind a blur. Importing this brings in shap: it takes seconds.

Owen values: Lundberg and Lee 2017 (SHAP); shap.PartitionExplainer, which divides the credit of a block of
squares among its halves, largest first, as long as the budget lasts. A third of the budget goes there; the
rest looks for an order of hiding in which the answer goes first (ordering.py). Both divide the same
logit, and so does what is between them.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import shap
from PIL import Image, ImageFilter
from shap.maskers import Masker

from cat_model.cascade import Answer, Cascade
from cat_model.explain.grid import GRID, spread
from cat_model.explain.ordering import contributions, evaluations

BLUR = 1 / 4
"""Radius of the box blur that hides, as a share of the looked-at side: half the side is averaged."""
BATCH = 4
"""Coalitions between two decisions where to divide further: fewer are better spent, and int8 on a CPU takes
as long for each of a few as of many; with fewer than workers some would idle."""
GUIDED = 0.5
"""How much the hierarchy is cut by where the shares lie; the rest by area."""
SOFT = 0.7
"""Standard deviation, in squares, by which Owen values are smoothed."""
STEPS, LEAST_STEPS = 0.136, 6
"""Steps of the order of hiding for each evaluation of the budget, which leaves the Owen values a third of
it; with fewer steps than that the order is too coarse, and the Owen values get it all."""
ORDERED = 0.9
"""Weight, beside the Owen values, of what squares take along in the order of hiding."""
TIE = 1e-9


class Game:
    """The logit of a verdict as a function of the squares of the photo that are not hidden."""

    def __init__(self, cascade: Cascade, answer: Answer, workers: int) -> None:
        """Blur what was seen.

        Args:
            cascade: that gave the answer.
            answer: which zoom or tile was the strongest is held fixed.
            workers: threads to use.
        """
        self.workers, self.passes = workers, len(answer.counted)
        self._runtime, self._counted, self._bias = cascade.runtime, answer.counted, answer.combination.bias
        self._sharp = [Image.fromarray(each.pixels) for each, _ in self._counted]
        blur = ImageFilter.BoxBlur(BLUR * cascade.side)
        self._blurred = [sharp.filter(blur) for sharp in self._sharp]

    def see(self, shown: np.ndarray, pool: ThreadPoolExecutor) -> tuple[np.ndarray, np.ndarray]:
        """Return the logit for each of N coalitions of squares, and the model's own attributions of it.

        Args:
            shown: shape (N, GRID * GRID), bool; False is hidden.
            pool: as many threads as there are workers.

        Returns:
            Shape (N,), float64, and shape (N, GRID * GRID), float64: their sum and `bias` is the logit.
        """
        pieces = min(self.workers, len(shown))
        shares = np.concatenate(list(pool.map(self._some, np.array_split(shown, pieces))))
        return self._bias + shares.sum(axis=1), shares

    def _some(self, shown: np.ndarray) -> np.ndarray:
        masks = [Image.fromarray(one.astype(np.uint8).reshape(GRID, GRID) * np.uint8(255)) for one in shown]
        total = np.zeros((len(shown), GRID * GRID))
        for (seen, weight), sharp, blurred in zip(self._counted, self._sharp, self._blurred, strict=True):
            left, top, right, bottom = (GRID * edge for edge in seen.part)
            box = (left, top, right, bottom)
            large = [mask.resize(sharp.size, Image.Resampling.NEAREST, box) for mask in masks]
            pixels = np.stack([np.asarray(Image.composite(sharp, blurred, mask)) for mask in large])
            shares = self._runtime.run(pixels).share.astype(np.float64)
            total += weight * np.array([spread(each, seen.part).ravel() for each in shares])
        return total


class _Squares(Masker):
    """Hands coalitions of squares to the model as they are; the game hides the pixels."""

    def __init__(self, clustering: np.ndarray) -> None:
        self.clustering = clustering
        self._count = len(clustering) + 1

    def __call__(self, mask: bool | np.ndarray, *_: object) -> tuple[np.ndarray]:
        return (np.asarray(mask)[None],)

    def shape(self, _: np.ndarray) -> tuple[int, int]:
        return 1, self._count

    def mask_shapes(self, _: np.ndarray) -> list[tuple[int]]:
        return [(self._count,)]


def shapley(
    game: Game,
    instant: np.ndarray,
    budget: int,
    on_progress: Callable[[float], None] | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, float, int]:
    """Explain a logit by what becomes of it when parts of the photo are hidden.

    Args:
        game: of the answer.
        instant: shape (grid, grid), float64: the model's own attributions, by which work and rest are
            divided.
        budget: evaluations of the model, at least 8; an answer from two passes takes two for each coalition.
        on_progress: told which part of the work is done, 0 to 1; what it raises ends the work.
        seed: decides between blocks that promise the same.

    Returns:
        The values, shape (grid, grid), float64; the logit of the wholly hidden photo; evaluations spent.
    """
    grid, spent = len(instant), 0
    coalitions = budget // game.passes
    # shap would decide ties by numpy's global generator: with these there are none.
    ties = np.random.default_rng(seed).normal(0, TIE, grid * grid)
    clustering = hierarchy(instant)
    steps = int(STEPS * coalitions)
    ordering = 1 + evaluations(steps) if steps >= LEAST_STEPS else 0

    def see(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal spent
        spent += len(shown)
        seen = game.see(shown, pool)
        if on_progress:
            on_progress(min(spent / coalitions, 1.0))
        return seen

    with ThreadPoolExecutor(game.workers) as pool:
        told = shap.PartitionExplainer(
            lambda shown: see(shown)[0] + shown @ ties, _Squares(clustering)
        ).explain_row(
            np.zeros(grid * grid),
            max_evals=(coalitions - ordering) // 2 * 2,  # shap asks for two at a time
            main_effects=False,
            error_bounds=False,
            outputs=None,
            silent=True,
            batch_size=BATCH,
            fixed_context=None,
        )
        base, owen = float(told["expected_values"]), divide(told["hierarchical_values"], clustering, instant)
        values = smooth(owen)
        if ordering:
            _, (hidden,) = see(np.zeros((1, grid * grid), bool))
            full, empty = (base + values.sum(), instant.ravel()), (base, hidden)
            ordered = contributions(see, full, empty, values.ravel(), steps).reshape(instant.shape)
            values = ORDERED * ordered + (1 - ORDERED) * values
    return values, base, spent * game.passes


def hierarchy(instant: np.ndarray) -> np.ndarray:
    """Cut a grid in two again and again, across the longer side, each half with as much to explain.

    Args:
        instant: shape (grid, grid), float64.

    Returns:
        Shape (grid² - 1, 4), float64: a clustering as scipy's `linkage` writes it, children before parents.
    """
    grid, size = len(instant), np.abs(instant)
    mass = GUIDED * size / max(size.sum(), TIE) + (1 - GUIDED) / size.size
    rows: list[tuple[float, float, float, float]] = []

    def cut(top: int, bottom: int, left: int, right: int) -> tuple[int, int]:
        height, width = bottom - top, right - left
        if height == width == 1:
            return top * grid + left, 1
        lines = mass[top:bottom, left:right].sum(axis=1 if height >= width else 0).cumsum()
        at = int(np.argmin(np.abs(lines[:-1] / lines[-1] - 0.5))) + 1
        if height >= width:
            first, second = cut(top, top + at, left, right), cut(top + at, bottom, left, right)
        else:
            first, second = cut(top, bottom, left, left + at), cut(top, bottom, left + at, right)
        rows.append((first[0], second[0], 1.0, first[1] + second[1]))
        return mass.size + len(rows) - 1, first[1] + second[1]

    cut(0, grid, 0, grid)
    return np.array(rows)


def divide(credit: np.ndarray, clustering: np.ndarray, instant: np.ndarray) -> np.ndarray:
    """Divide what was left with whole blocks among their squares: more to those whose share has its sign.

    Args:
        credit: shape (2 * grid² - 1,), float64, of the squares, then of the rows of the clustering.
        clustering: as `hierarchy` returns it.
        instant: shape (grid, grid), float64.

    Returns:
        Shape (grid, grid), float64; the sum of it is the sum of the credit.
    """
    share, count = instant.ravel(), instant.size
    scale = max(np.abs(share).mean(), TIE)
    values = credit[:count].copy()
    members: list[list[int]] = [[square] for square in range(count)]
    for (first, second, *_), left in zip(clustering, credit[count:], strict=True):
        block = members[int(first)] + members[int(second)]
        members.append(block)
        if left:
            weight = np.exp(np.sign(left) * (share[block] - share[block].mean()) / scale)
            values[block] += left * weight / weight.sum()
    return values.reshape(instant.shape)


def smooth(values: np.ndarray) -> np.ndarray:
    """Blur values a little, shape (grid, grid); their sum stays what it was."""
    at = np.arange(len(values))
    weights = np.exp(-0.5 * ((at[:, None] - at) / SOFT) ** 2)
    weights /= weights.sum(axis=0)
    return weights @ values @ weights.T
