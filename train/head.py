"""The linear head: fitted to frozen features before fine-tuning, calibrated after it."""

import dataclasses
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

from cat_model.files import write_durably
from train.batches import Batches, Examples
from train.config import TrainConfig
from train.model import CatModel

STRENGTHS = (1e-4, 1e-3, 1e-2)
"""Inverse strengths of L2 regularisation that the head's fit chooses from by cross-validation."""

EPOCH = 1_000
"""Numbers the augmented photos that the head is fitted to, apart from all epochs of fine-tuning."""

EVIDENCE_PHOTOS = 2_000
"""How many photos are enough to weigh one or two numbers by."""


def fit(model: CatModel, train: Examples, config: TrainConfig, folder: Path) -> None:
    """Fit the head to frozen features of augmented photos by logistic regression; put it into the model.

    Where the model learns evidence, each cell's begins as what the same regression makes of its features.

    Args:
        model: with its backbone pretrained; its head is changed in place.
        train: photos to learn from.
        config: what to do.
        folder: keeps the fitted head, so that a run that goes on need not fit it again.
    """
    kept = folder / "head.npz"
    if not kept.exists():
        fitted = _fit_brought if model.head.most and not model.evidence else _fit_features
        content = io.BytesIO()
        np.savez(content, **fitted(model, train, config))
        write_durably(kept, content.getvalue())
    with np.load(kept) as arrays:
        model.head.set(arrays["weights"], arrays["bias"])
        if model.evidence:
            model.evidence.set_weights([arrays["evidence"], arrays["evidence_bias"]])


def _fit_brought(model: CatModel, train: Examples, config: TrainConfig) -> dict[str, np.ndarray]:
    """Fit a detector's evidence alone: it knows cats from many more photos of scenes than ours."""
    embeddings, labels = _augmented(model, _some(train, EVIDENCE_PHOTOS, config.seed), config)
    slopes, bias = _regress(embeddings[:, -1:], labels)
    return {"weights": np.concatenate([np.zeros(embeddings.shape[1] - 1), slopes]), "bias": bias}


def _fit_features(model: CatModel, train: Examples, config: TrainConfig) -> dict[str, np.ndarray]:
    """Fit the mean of the features, then how much it and the strongest cell count, where that counts."""
    embeddings, labels = _augmented(model, train, config)
    if not model.evidence:
        slopes, bias = _regress(embeddings, labels)
        return {"weights": slopes, "bias": bias}
    slopes, bias = _regress(embeddings[:, :-1], labels)
    evidence = {"evidence": slopes[None, None, :, None], "evidence_bias": np.array([bias])}
    model.evidence.set_weights(list(evidence.values()))
    embeddings, labels = _augmented(model, _some(train, EVIDENCE_PHOTOS, config.seed), config)
    pooled = np.column_stack([embeddings[:, :-1] @ slopes + bias, embeddings[:, -1]])
    (mean, most), shift = _regress(pooled, labels)
    return {"weights": np.append(mean * slopes, most), "bias": mean * bias + shift, **evidence}


def _augmented(model: CatModel, examples: Examples, config: TrainConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (N, D) of augmented photos, and their labels (N,)."""
    batches = Batches(examples, dataclasses.replace(config, mixup=0.0), EPOCH)
    labels = examples.labels[batches.order]  # before Keras, at the end of a pass, shuffles anew
    return model.embed(batches, config.batch), labels


def _regress(values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the slopes (D,) and the bias of a regularised logistic regression on values (N, D)."""
    centre, spread = values.mean(axis=0), values.std(axis=0) + 1e-3
    regression = LogisticRegressionCV(
        Cs=STRENGTHS,
        cv=3,
        l1_ratios=(0,),
        scoring="neg_log_loss",
        max_iter=300,
        use_legacy_attributes=False,
    ).fit((values - centre) / spread, labels)
    slopes = regression.coef_[0] / spread
    return slopes, float(regression.intercept_[0] - slopes @ centre)


def _some(examples: Examples, count: int, seed: int) -> Examples:
    chosen = np.sort(np.random.default_rng(seed).permutation(len(examples.labels))[:count])
    return Examples(examples.pixels[chosen], examples.labels[chosen])


@dataclass(frozen=True)
class Scaling:
    """What calibration did: it made `scale * logit + shift` of every logit."""

    scale: float
    shift: float

    def undone(self, probabilities: np.ndarray) -> np.ndarray:
        """Return what calibrated probabilities were before, shape and range (0 to 1) as given."""
        return expit((logit(probabilities.astype(np.float64)) - self.shift) / self.scale)


def calibrate(model: CatModel, validation: Examples, config: TrainConfig) -> Scaling:
    """Make probabilities mean what they say, by Platt scaling on photos it did not learn.

    The scale and the shift go into the head's weights, so that the model itself is calibrated. Evidence that
    was learnt is brought to the range of the features: in int8, both share the embedding's steps.
    """
    weights, bias = model.head.get()
    embeddings = model.embed(validation.pixels, config.batch)
    scaling = platt(embeddings @ weights + bias, validation.labels)
    weights = weights * scaling.scale
    if model.evidence:
        factor = embeddings[:, :-1].max() / np.abs(embeddings[:, -1]).max()
        model.evidence.set_weights([each * factor for each in model.evidence.get_weights()])
        weights[-1] /= factor
    model.head.set(weights, bias * scaling.scale + scaling.shift)
    return scaling


def platt(logits: np.ndarray, labels: np.ndarray) -> Scaling:
    """Return what makes logits, shape (N,), fit labels, shape (N,), 0 or 1 (J. Platt, 1999)."""
    # The default, slight regularisation keeps the scale finite where the photos are separable.
    fitted = LogisticRegression().fit(logits[:, None], labels)
    return Scaling(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))
