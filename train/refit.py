"""Fitting the head anew to embeddings: to what is new, near to where it was, without forgetting.

Only the linear head changes. It is drawn to where it was (L2-SP, X. Li et al., 2018), and photos it learned
from are replayed (A. Robins, 1995); it is drawn as weakly as the new photos ask for and the old ones allow.
Wrong answers are found by confident learning (C. Northcutt et al., 2021).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import sem
from sklearn.model_selection import StratifiedKFold

from train import evaluate
from train.evaluate import Paired
from train.head import platt

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""How strongly the head may be drawn to where it was, the weakest first."""
DOUBTING = 1e-3
"""The strength at which answers are doubted."""
FORGOTTEN = 0.2
"""A head has forgotten if it is this unlikely that it judges the photos for choosing no worse (McNemar)."""
FOLDS = 5
LEAST = 1e-7
"""Probabilities of what was answered count as no less than that."""


@dataclass(frozen=True)
class Data:
    """What the head is fitted to, or judged by.

    Attributes:
        inputs: embeddings, shape (N, D), float32.
        cats: shape (N,), bool.
    """

    inputs: np.ndarray
    cats: np.ndarray

    def some(self, which: np.ndarray) -> "Data":
        """Return those that are chosen, by indices or by a mask."""
        return Data(self.inputs[which], self.cats[which])

    def and_more(self, other: "Data") -> "Data":
        """Return both, one after the other."""
        inputs = np.concatenate([self.inputs, other.inputs])
        return Data(inputs, np.concatenate([self.cats, other.cats]))


@dataclass(frozen=True)
class Weights:
    """A linear head: weights, shape (D,), in the order of the embedding, and bias."""

    slopes: np.ndarray
    bias: float

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """Return the logits of embeddings (N, D), shape (N,)."""
        return inputs @ self.slopes + self.bias

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Return the probabilities of "cat" for embeddings (N, D), shape (N,)."""
        return expit(self.logits(inputs))


@dataclass(frozen=True)
class Old:
    """What must not be forgotten.

    Attributes:
        head: as it was.
        replayed: photos that it learned from.
        validation: photos that calibrate it.
        choosing: photos that choose its threshold, the validation photos among them.
    """

    head: Weights
    replayed: Data
    validation: Data
    choosing: Data

    def against(self, head: Weights) -> Paired:
        """Compare a head with the old one on the photos for choosing, as export would ship the two.

        Both are calibrated, and each judges at the threshold that it chooses.
        """
        return evaluate.mcnemar(self._right(self.head), self._right(head))

    def _right(self, head: Weights) -> np.ndarray:
        scaling = platt(head.logits(self.validation.inputs), self.validation.cats)
        said = expit(scaling.scale * head.logits(self.choosing.inputs) + scaling.shift)
        return (said >= evaluate.choose_threshold(said, self.choosing.cats)) == self.choosing.cats


def fit_head(data: Data, start: Weights, strength: float) -> Weights:
    """Fit a head by logistic regression that is drawn to where it started.

    Args:
        data: what to fit it to.
        start: where it is drawn to.
        strength: of that: how much a squared step counts, in standard deviations of the features.
    """
    spread = data.inputs.std(axis=0) + 1e-3
    scaled = (data.inputs / spread).astype(np.float64)
    there = np.append(start.slopes * spread, start.bias)
    signs = np.where(data.cats, 1.0, -1.0)

    def loss(here: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (scaled @ here[:-1] + here[-1])
        slope = -signs * expit(-margins) / len(signs)
        step = here - there
        step[-1] = 0.0
        gradient = np.append(scaled.T @ slope, slope.sum()) + 2 * strength * step
        return float(np.logaddexp(0, -margins).mean() + strength * step @ step), gradient

    found = minimize(loss, there, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return Weights((found[:-1] / spread).astype(np.float32), float(found[-1]))


def doubtful(told: Data, old: Old, seed: int) -> np.ndarray:
    """Return which answers are probably wrong, shape (N,), bool, by confident learning."""
    from cleanlab.filter import find_label_issues

    said = _held_out(told, old, DOUBTING, seed)
    return find_label_issues(told.cats.astype(int), np.column_stack([1 - said, said]), n_jobs=1)


@dataclass(frozen=True)
class Fitted:
    """A head that was fitted anew, and how strongly it was drawn to the old one."""

    head: Weights
    strength: float


def refit(told: Data, old: Old, seed: int) -> Fitted:
    """Fit the head to answers and replayed photos.

    Only strengths count at which it has not forgotten (`Old.against`). Of these it is the strongest whose
    loss on answers held out is within one standard error of the lowest (L. Breiman et al., 1984); where there
    is none, the strongest of all.
    """
    heads = {strength: fit_head(told.and_more(old.replayed), old.head, strength) for strength in STRENGTHS}
    keeping = [each for each, head in heads.items() if old.against(head).p_b_worse >= FORGOTTEN]
    losses = {strength: _losses(told, old, strength, seed) for strength in keeping}
    least = min(losses.values(), key=np.mean, default=np.zeros(1))
    close = [each for each, loss in losses.items() if (loss - least).mean() <= sem(loss - least, ddof=0)]
    chosen = max(close, default=STRENGTHS[-1])
    return Fitted(heads[chosen], chosen)


def _losses(told: Data, old: Old, strength: float, seed: int) -> np.ndarray:
    """Return the cross-entropies of answers, shape (N,), by heads that were fitted without them."""
    said = _held_out(told, old, strength, seed)
    return -np.log(np.where(told.cats, said, 1 - said).clip(LEAST))


def _held_out(told: Data, old: Old, strength: float, seed: int) -> np.ndarray:
    """Return probabilities of answers, shape (N,), by heads that were fitted without them."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    said = np.empty(len(told.cats))
    for learned, held in folds.split(told.inputs, told.cats):
        head = fit_head(told.some(learned).and_more(old.replayed), old.head, strength)
        said[held] = head.probabilities(told.inputs[held])
    return said
