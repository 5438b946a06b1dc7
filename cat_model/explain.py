"""Why: which parts of a photo spoke for a cat and which against, at two depths with one meaning.

Both depths share out one number among the squares of a grid over the photo: the logit of the verdict, from
the whole photo alone or, where that left a doubt, from the whole and the strongest tile as the second look
weighs them. `base` plus the sum of the values is that logit.

*Instant* takes the model's own shares of the logit: what each cell of the feature map adds to it, spread
softly over the squares; no further run of the model. Under a linear head over averaged features these are the
exact Shapley values of the cells in the game in which a hidden cell adds nothing, so that the base is a logit
of 0, even odds (the head's bias is part of the shares, the same for each cell). Of a head that also takes the
strongest evidence, such as the shipped model's, they are the share that this pooling gives: the mean's part
is exact, the maximum's is divided among the cells that come close to it. A cell has seen more of the photo
than lies under it.

*Full* hides parts of the photo itself behind a blur and looks what becomes of the logit (cat_model.masked):
Owen values by shap.PartitionExplainer guide an order in which the answer goes first, and what squares take
along in it counts beside them (cat_model.removal). The base is the logit of the wholly blurred photo. The
shares only guide: the hierarchy of squares is cut where they lie, what the budget leaves undivided in a
block is divided among its squares by them, and they propose what is hidden next. What a block got is its
own, but for a light smoothing over its edges.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from cat_model import explain_look
from cat_model.photo import Photo
from cat_model.predict import Part, Predictor, Verdict, combine, tiles

GRID = 14
"""Squares along each side of a photo, whatever the model's side and cells."""
LEAST_BUDGET = 8
WHOLE: Part = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Explanation:
    """What speaks for a cat in a photo and what against.

    Attributes:
        values: shape (GRID, GRID), float64, in logits: what each square of the photo adds, top row first;
            above 0 speaks for a cat, below 0 against.
        base: logit without any of them.
        verdict: the answer that is explained.
        photo: the upright RGB picture, as it was decoded for the model.
        evaluations: of the model on the photo with parts hidden; 0 for the instant depth.
        embedding: shape (D,), float32: of the whole photo.
    """

    values: np.ndarray
    base: float
    verdict: Verdict
    photo: Image.Image
    evaluations: int
    embedding: np.ndarray

    @property
    def logit(self) -> float:
        """The logit that is explained: finer than the verdict's probability, which int8 rounds to 1/256."""
        return self.base + float(self.values.sum())

    @property
    def probability(self) -> float:
        """The verdict's probability that the photo shows a cat, 0 to 1."""
        return self.verdict.probability

    @cached_property
    def overlay(self) -> Image.Image:
        """The photo, mode RGB, at most explain_look.LONGEST pixels a side, with the values drawn on it."""
        return explain_look.draw(self.photo, self.values)

    @property
    def sentence(self) -> str:
        """Where in the photo the answer comes from, in words."""
        return explain_look.sentence(self.values, self.verdict)


@dataclass(frozen=True)
class Look:
    """One look that a verdict came from.

    Attributes:
        part: of the photo.
        weight: of its logit in the verdict's.
        pixels: shape (side, side, 3), dtype uint8, RGB: what the model saw.
        share: shape (H, W), float64: what each cell of the feature map added to the look's logit.
        embedding: shape (D,), float32.
    """

    part: Part
    weight: float
    pixels: np.ndarray
    share: np.ndarray
    embedding: np.ndarray


def explain(
    predictor: Predictor,
    photo: Photo,
    budget: int,
    on_progress: Callable[[float], None] | None = None,
    counted: bool = True,
) -> Explanation:
    """Judge a photo and explain the verdict; see Predictor.explain for the arguments and what is raised.

    The same photo, model and budget give the same values.
    """
    if budget and budget < LEAST_BUDGET:
        raise ValueError(f"The budget is {budget}; it must be 0, or {LEAST_BUDGET} evaluations or more.")
    image = predictor.decode(photo, counted)
    with predictor.timed("inference", counted):
        verdict, looks, bias = look(predictor, image)
    instant = sum(each.weight * spread(each.share, each.part) for each in looks)
    if not budget:
        return Explanation(instant, bias, verdict, image, 0, looks[0].embedding)
    from cat_model.masked import shapley  # brings in shap, which takes seconds

    with predictor.timed("explanation", counted):
        values, base, evaluations = shapley(predictor, looks, bias, instant, budget, on_progress)
    return Explanation(values, base, verdict, image, evaluations, looks[0].embedding)


def look(predictor: Predictor, image: Image.Image) -> tuple[Verdict, list[Look], float]:
    """Judge a picture as `Predictor.predict` does, and keep what was seen.

    Returns:
        The verdict, the one or two looks that its logit comes from, and the summand beside them.
    """
    whole = predictor.pixels(image)
    first = predictor.outputs(whole[None])
    probability = first.probability.astype(np.float64)
    again = predictor.bundle.second_look
    share = first.share[0].astype(np.float64)
    if not again or not predictor.leaves_doubt(probability)[0]:
        return predictor.verdict(probability[0]), [Look(WHOLE, 1.0, whole, share, first.embedding[0])], 0.0
    parts = tiles(again.tile)
    pixels = [predictor.pixels(image, part) for part in parts]
    # One by one, as Predictor.strongest_tile does: another batch size would make the interpreter start anew.
    seen = [predictor.outputs(each[None]) for each in pixels]
    strongest = int(np.argmax([float(each.probability[0]) for each in seen]))
    tile = seen[strongest]
    together = combine(probability, tile.probability.astype(np.float64), again)
    looks = [
        Look(WHOLE, again.first, whole, share, first.embedding[0]),
        Look(
            parts[strongest],
            again.strongest,
            pixels[strongest],
            tile.share[0].astype(np.float64),
            tile.embedding[0],
        ),
    ]
    return predictor.verdict(together[0]), looks, again.bias


def spread(share: np.ndarray, part: Part) -> np.ndarray:
    """Spread the cells of a look softly over the squares of the photo; their sum stays what it was.

    Args:
        share: shape (H, W), float64.
        part: what was looked at.

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
