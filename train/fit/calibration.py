"""Calibration by Platt scaling (J. Platt, 1999), folded into the head's weights."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from train.models.heads import CatModel


@dataclass(frozen=True)
class Scaling:
    """What calibration did: it made `scale * logit + shift` of every logit."""

    scale: float
    shift: float

    def undone(self, probabilities: np.ndarray) -> np.ndarray:
        """Return what calibrated probabilities were before, shape and range (0 to 1) as given."""
        return expit((logit(probabilities.astype(np.float64)) - self.shift) / self.scale)


def calibrate(model: CatModel, pixels: np.ndarray, cats: np.ndarray, batch: int) -> Scaling:
    """Calibrate a model by Platt scaling on photos that it did not learn from.

    The scale and the shift go into the head's weights, so that the model itself is calibrated.

    Args:
        model: changed in place.
        pixels: shape (N, side, side, 3), uint8.
        cats: shape (N,), bool.
        batch: photos at a time.
    """
    weights, bias = model.head.get()
    scaling = platt(model.embed(pixels, batch) @ weights + bias, cats)
    model.head.set(weights * scaling.scale, bias * scaling.scale + scaling.shift)
    return scaling


def platt(logits: np.ndarray, labels: np.ndarray) -> Scaling:
    """Return what makes logits, shape (N,), fit labels, shape (N,), 0 or 1 (J. Platt, 1999)."""
    # The default, slight regularisation keeps the scale finite where the photos are separable.
    fitted = LogisticRegression().fit(logits[:, None], labels)
    return Scaling(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))
