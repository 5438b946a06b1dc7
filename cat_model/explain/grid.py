"""The grid of squares over a photo that explanations give values to."""

import numpy as np

from cat_model.cascade import Part

GRID = 14
"""Squares along each side of a photo, whatever the model's side and cells."""


def spread(share: np.ndarray, part: Part) -> np.ndarray:
    """Spread the attributions of a pass softly over the squares of the photo; their sum stays what it was.

    Args:
        share: shape (H, W), float64.
        part: of the photo that the pass saw.

    Returns:
        Shape (GRID, GRID), float64.
    """
    left, top, right, bottom = part
    return _soft(share.shape[0], top, bottom) @ share @ _soft(share.shape[1], left, right).T


def _soft(cells: int, low: float, high: float) -> np.ndarray:
    """Return the weights, shape (GRID, cells), by which cells between two places go to squares."""
    width = (high - low) / cells
    centres = low + (np.arange(cells) + 0.5) * width
    squares = (np.arange(GRID) + 0.5) / GRID
    away = (squares[:, None] - centres) / max(0.6 * width, 0.6 / GRID)
    weights = np.exp(-0.5 * away**2)
    return weights / weights.sum(axis=0)
