"""In which order the squares of a photo must go for the answer to go with them, and what each takes along.

One more way to share out a logit beside Owen values: each square gets what the logit loses when it goes, in
one order of all squares. Over orders drawn at random the mean is the Shapley value (J. Castro et al. 2009,
Polynomial calculation of the Shapley value based on sampling); this one is not drawn but looked for: at
each step, of several candidates the one that takes most of the answer along. Where later squares take more
along than earlier ones, the earlier ones had stood in for them, and they share what they take together, the
earlier a little more: the fit that falls (R. Barlow et al. 1972, Statistical inference under order
restrictions), which keeps the sum.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import isotonic_regression

DIRECTIONS = ((1.0, 0.0), (0.0, 1.0), (-1.0, 1.0), (1.0, 1.0))
"""What a candidate for the next step goes by: so much of the model's shares, so much of the Owen values."""

ALONE = 2
"""In the first so many steps a candidate also counts by how much of the answer it brings about alone: what an
explanation puts first should be needed for the answer, and be enough for it."""

FALL = 0.1
"""By how much, in means of what steps take along, a square gets more than one of the next step at least: what
goes first stays first, and of what all squares share evenly still none gets the opposite sign."""

See = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Of N coalitions of squares, shape (N, squares), bool, their logits, (N,), and shares, (N, squares)."""


def evaluations(steps: int) -> int:
    """Return how often so many steps ask the model."""
    return len(DIRECTIONS) * (steps + min(steps, ALONE))


def contributions(
    see: See, full: tuple[float, np.ndarray], empty: tuple[float, np.ndarray], owen: np.ndarray, steps: int
) -> np.ndarray:
    """Hide a photo step by step and return what each square takes along.

    Args:
        see: asks the model, `evaluations(steps)` times in all at most.
        full: logit and shares, shape (squares,), float64, of the photo as it is.
        empty: the same of the wholly hidden photo.
        owen: shape (squares,), float64: the Owen values.
        steps: how many, at least 1; what is left after them goes at once.

    Returns:
        Shape (squares,), float64; the sum is the full logit less the empty one.
    """
    sign = 1.0 if full[0] > 0 else -1.0
    shown, shares = np.ones(len(owen), bool), full[1]
    size = -(-len(owen) // (steps + 1))
    logits, gone = [full[0]], []
    while shown.sum() > size:
        candidates = without(shown, sign * (shares - empty[1]), sign * owen, size)
        seen = see(candidates)
        left = sign * seen[0]
        if len(gone) < ALONE:
            left -= sign * see(~candidates)[0]
        best = int(np.argmin(left))
        gone.append(shown & ~candidates[best])
        shown, shares = candidates[best], seen[1][best]
        logits.append(float(seen[0][best]))
    gone.append(shown)
    sizes = np.array([squares.sum() for squares in gone])
    losses = -sign * np.diff([*logits, empty[0]]) / sizes
    falls = FALL * np.abs(losses).mean() * np.arange(len(losses))
    each = isotonic_regression(losses + falls, weights=sizes, increasing=False).x - falls
    return sign * np.sum(each[:, None] * gone, axis=0)


def without(shown: np.ndarray, shares: np.ndarray, owen: np.ndarray, size: int) -> np.ndarray:
    """Return what is left of the shown squares after a step, one row for each of DIRECTIONS.

    Args:
        shown: shape (squares,), bool.
        shares: shape (squares,), float64: what speaks for the answer by the model's shares.
        owen: the same by the Owen values.
        size: how many squares go; fewer than are shown.
    """
    maps = [each / max(np.abs(each[shown]).mean(), np.finfo(float).tiny) for each in (shares, owen)]
    rows = []
    for direction in DIRECTIONS:
        score = np.where(shown, direction[0] * maps[0] + direction[1] * maps[1], -np.inf)
        left = shown.copy()
        left[np.argsort(-score, kind="stable")[:size]] = False
        rows.append(left)
    return np.array(rows)
