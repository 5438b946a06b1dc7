"""Why: which parts of a photo spoke for a cat and which against, at two depths with one meaning.

Both depths share out one number among the squares of a grid over the photo: the logit of the verdict, which
is a weighted sum of the logits of one or more passes (cat_model.cascade). `base` plus the sum of the values
is that logit.

*Instant* takes the model's own shares of the logit: what each cell of the feature map adds to it, spread
softly over the squares; no further run of the model. Under a linear head over averaged features these are the
exact Shapley values of the cells in the game in which a hidden cell adds nothing, so that the base is a logit
of 0, even odds (the head's bias is part of the shares, the same for each cell). Of a head that also takes the
strongest evidence, such as the shipped model's, they are the share that this pooling gives: the mean's part
is exact, the maximum's is divided among the cells that come close to it. A cell has seen more of the photo
than lies under it.

*Full* hides parts of the photo itself behind a blur and looks what becomes of the logit (owen.py):
Owen values by shap.PartitionExplainer guide an order in which the answer goes first, and what squares take
along in it counts beside them (ordering.py). The base is the logit of the wholly blurred photo. The
shares only guide: the hierarchy of squares is cut where they lie, what the budget leaves undivided in a
block is divided among its squares by them, and they propose what is hidden next. What a block got is its
own, but for a light smoothing over its edges.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from cat_model import extras
from cat_model.cascade import FULL, Answer, Cascade, Part
from cat_model.explain import render
from cat_model.explain.grid import GRID, spread
from cat_model.verdict import Verdict

LEAST_BUDGET = 8


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
        closer: the part that the model looked at closest; None where it made no zoom.
    """

    values: np.ndarray
    base: float
    verdict: Verdict
    photo: Image.Image
    evaluations: int
    embedding: np.ndarray
    closer: Part | None = None

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
        """The photo, mode RGB, at most render.LONGEST pixels a side, with the values drawn on it."""
        return render.draw(self.photo, self.values, closer=self.closer)

    @property
    def sentence(self) -> str:
        """Where in the photo the answer comes from, in words."""
        return render.sentence(self.values, self.verdict)


@dataclass(frozen=True)
class Effort:
    """What an explanation may cost.

    Attributes:
        budget: evaluations of the model on the photo with parts hidden; 0 for the instant depth.
        workers: threads.
        on_progress: told which part of the work is done, 0 to 1; what it raises ends the work.
    """

    budget: int
    workers: int = 1
    on_progress: Callable[[float], None] | None = None


def require_budget(budget: int) -> None:
    """Raise ValueError unless a budget is 0 or enough."""
    if budget and budget < LEAST_BUDGET:
        raise ValueError(f"The budget is {budget}; it must be 0, or {LEAST_BUDGET} evaluations or more.")


def explain(
    cascade: Cascade, image: Image.Image, answer: Answer, verdict: Verdict, effort: Effort
) -> Explanation:
    """Explain an answer; see Predictor.explain.

    The same photo, model and budget give the same values.

    Args:
        cascade: that gave the answer.
        image: the photo, mode RGB.
        answer: what its passes came to.
        verdict: what follows from that.
        effort: what it may cost.

    Raises:
        MissingExtraError: the budget is not 0, and shap is not installed.
    """
    values = sum(
        (weight * spread(each.share.astype(np.float64), each.part) for each, weight in answer.counted),
        np.zeros((GRID, GRID)),
    )
    base, evaluations = answer.combination.bias, 0
    if effort.budget:
        extras.require("shap", "explain", f"An explanation by {effort.budget} evaluations")
        from cat_model.explain.owen import Game, shapley  # brings in shap, which takes seconds

        values, base, evaluations = shapley(
            Game(cascade, answer, effort.workers), values, effort.budget, effort.on_progress
        )
    embedding = answer.passes[FULL].embedding
    return Explanation(values, base, verdict, image, evaluations, embedding, answer.closer)
