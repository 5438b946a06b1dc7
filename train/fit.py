"""Learning: the head on frozen features first, then the upper layers with it, an epoch at a time."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import log_loss

from train.augment import EMPTY_FRAMES, augment, empty
from train.config import TrainConfig
from train.model import PROGRESS, CatModel

HEAD_STRENGTHS = (1e-4, 1e-3, 1e-2)
"""Inverse strengths of L2 regularisation that the head's fit chooses from by cross-validation."""

HEAD_EPOCH = 1_000
"""Numbers the augmented photos that the head is fitted to, apart from all epochs of fine-tuning."""

EVIDENCE_PHOTOS = 2_000
"""How many photos are enough to weigh one or two numbers by."""

AVERAGES = (0.4, 0.7, 1.0)
"""Shares of the fine-tuned weights that are tried when they are averaged with those before."""


@dataclass(frozen=True)
class Examples:
    """Photos as the model sees them, with their labels.

    Attributes:
        pixels: shape (N, side, side, 3), uint8, RGB.
        labels: shape (N,), float32: 1 for a cat, 0 for anything else.
    """

    pixels: np.ndarray
    labels: np.ndarray


def fit_head(model: CatModel, train: Examples, config: TrainConfig, folder: Path) -> None:
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
        fit = _fit_brought if model.head.most and not model.evidence else _fit_features
        np.savez(kept, **fit(model, train, config))
    with np.load(kept) as arrays:
        model.head.set(arrays["weights"], arrays["bias"])
        if model.evidence:
            model.evidence.set_weights([arrays["evidence"], arrays["evidence_bias"]])


def _fit_brought(model: CatModel, train: Examples, config: TrainConfig) -> dict[str, np.ndarray]:
    """Fit a detector's evidence alone: what it knows of cats comes from many more photos of scenes than ours."""
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
    batches = _Batches(examples, dataclasses.replace(config, mixup=0.0), HEAD_EPOCH)
    labels = examples.labels[batches.order]  # before Keras, at the end of a pass, shuffles anew
    return model.embed(batches, config.batch), labels


def _regress(values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the slopes (D,) and the bias of a regularised logistic regression on values (N, D)."""
    centre, spread = values.mean(axis=0), values.std(axis=0) + 1e-3
    regression = LogisticRegressionCV(
        Cs=HEAD_STRENGTHS,
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
    """Make probabilities mean what they say, by Platt scaling (J. Platt, 1999) on photos it did not learn.

    The scale and the shift go into the head's weights, so that the model itself is calibrated.
    """
    weights, bias = model.head.get()
    logits = model.embed(validation.pixels, config.batch) @ weights[:, None] + bias
    # The default, slight regularisation keeps the scale finite where validation photos are separable.
    scaling = LogisticRegression().fit(logits, validation.labels)
    scale = scaling.coef_[0, 0]
    shift = float(scaling.intercept_[0])
    model.head.set(weights * scale, bias * scale + shift)
    return Scaling(float(scale), shift)


def fine_tune(
    model: CatModel,
    train: Examples,
    validation: Examples,
    config: TrainConfig,
    folder: Path,
    on_epoch: Callable[[int, Mapping[str, float]], None],
) -> None:
    """Train the head and the upper layers, keep the best epoch, and go back half way where that is better.

    The epoch with the lowest validation loss is kept. Its weights are then averaged with those before
    fine-tuning, which forgets less of what the backbone knew (WiSE-FT, M. Wortsman et al., 2022); the share
    of each is what gives the lowest validation loss.

    Batch-norm statistics stay as they were pretrained: small batches of few groups would spoil them.
    Stopped at any point and called again with the same folder, it goes on after the last whole epoch.

    Args:
        model: its head already fitted; trained in place.
        train: photos to learn from.
        validation: photos that choose the epoch.
        config: what to do.
        folder: keeps the state between epochs.
        on_epoch: called after each epoch with its number (from 0) and its metrics.
    """
    start = model.served.get_weights()
    _freeze(model.features, config.unfrozen)
    trainer = model.trainer(config.dropout)
    steps = config.epochs * math.ceil(len(train.labels) / config.batch)
    trainer.compile(
        optimizer=keras.optimizers.AdamW(_schedule(config, steps), weight_decay=1e-4, clipnorm=1.0),
        loss=keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=config.label_smoothing),
        metrics=[
            keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy"),
            keras.metrics.AUC(from_logits=True, curve="PR", name="pr_auc"),
        ],
        jit_compile=False,  # XLA takes longer on CPUs, to compile and to run
    )
    journal = _Journal(model.served, folder, on_epoch)
    if not journal.epochs_done:
        untuned = trainer.evaluate(
            validation.pixels, validation.labels, config.batch, verbose=PROGRESS, return_dict=True
        )
        journal.keep_if_best(untuned["loss"])
    trainer.fit(
        _Batches(train, config, journal.epochs_done),
        validation_data=(validation.pixels, validation.labels),
        validation_batch_size=config.batch,
        epochs=config.epochs,
        verbose=PROGRESS,
        callbacks=[journal, keras.callbacks.BackupAndRestore(folder / "state", delete_checkpoint=False)],
    )
    journal.restore_best()
    _average(model, start, validation, config)


def _average(model: CatModel, start: Sequence[np.ndarray], validation: Examples, config: TrainConfig) -> None:
    """Put the best average of the model's weights and those it started with into the model."""
    tuned = model.served.get_weights()
    losses = {}
    for share in AVERAGES:
        _mix(model, start, tuned, share)
        losses[share] = log_loss(validation.labels, model.probabilities(validation.pixels, config.batch))
    best = min(losses, key=losses.get)
    print("Validation loss by share of fine-tuning:", {s: round(loss, 4) for s, loss in losses.items()})
    _mix(model, start, tuned, best)


def _mix(model: CatModel, start: Sequence[np.ndarray], tuned: Sequence[np.ndarray], share: float) -> None:
    mixed = [(1 - share) * before + share * after for before, after in zip(start, tuned, strict=True)]
    model.served.set_weights(mixed)


def _freeze(features: keras.Model, unfrozen: float) -> None:
    first = round(len(features.layers) * (1 - unfrozen))
    for position, layer in enumerate(features.layers):
        frozen = position < first or isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = not frozen


def _schedule(config: TrainConfig, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    rising = max(1, round(steps * config.warmup))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - rising),
        warmup_target=config.learning_rate,
        warmup_steps=rising,
    )


class _Batches(keras.utils.PyDataset):
    """Shuffled, augmented batches; what is drawn by lot depends on seed, epoch and photo alone."""

    def __init__(self, examples: Examples, config: TrainConfig, epoch: int) -> None:
        super().__init__(workers=2, use_multiprocessing=False)
        self._examples, self._config, self._epoch = examples, config, epoch
        self._others = np.flatnonzero(examples.labels == 0)
        self._shuffle()

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._shuffle()

    def _shuffle(self) -> None:
        generator = np.random.default_rng((self._config.seed, self._epoch))
        self.order = generator.permutation(len(self._examples.labels))

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self._config.batch)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        members = self.order[index * self._config.batch : (index + 1) * self._config.batch]
        pixels = np.stack([self._augmented(int(member)) for member in members])
        return self._mixed_up(pixels, self._examples.labels[members], index)

    def _augmented(self, member: int) -> np.ndarray:
        lot = np.random.default_rng((self._config.seed, self._epoch, member))
        photo = self._examples.pixels[member]
        if not self._examples.labels[member] and lot.random() < EMPTY_FRAMES * self._config.augmentation:
            photo = empty(len(photo), lot)

        def scene() -> np.ndarray:
            return self._examples.pixels[lot.choice(self._others)]

        return augment(photo, self._config.augmentation, lot, scene)

    def _mixed_up(self, pixels: np.ndarray, labels: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Blend each photo and its label with another one's (mixup, H. Zhang et al., 2018)."""
        if not self._config.mixup:
            return pixels, labels
        generator = np.random.default_rng((self._config.seed, self._epoch, index))
        share = generator.beta(self._config.mixup, self._config.mixup, len(labels)).astype(np.float32)
        share = np.maximum(share, 1 - share)
        other = generator.permutation(len(labels))
        weight = share[:, None, None, None]
        blended = pixels * weight + pixels[other] * (1 - weight)
        return blended.astype(np.uint8), labels * share + labels[other] * (1 - share)


class _Journal(keras.callbacks.Callback):
    """Writes each epoch's metrics down and keeps the best epoch's weights, both across restarts."""

    def __init__(
        self, served: keras.Model, folder: Path, on_epoch: Callable[[int, Mapping[str, float]], None]
    ) -> None:
        super().__init__()
        self._served, self._on_epoch = served, on_epoch
        self._lines, self._weights = folder / "history.jsonl", folder / "best.weights.h5"
        self._best_loss = folder / "best.json"

    @property
    def epochs_done(self) -> int:
        """How many epochs were finished, in this process or before it."""
        return len(self._lines.read_text().splitlines()) if self._lines.exists() else 0

    def keep_if_best(self, loss: float) -> None:
        """Keep the present weights if no epoch so far had a lower validation loss."""
        if not self._best_loss.exists() or loss < json.loads(self._best_loss.read_text()):
            self._served.save_weights(self._weights)
            self._best_loss.write_text(json.dumps(loss))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Record an epoch; Keras calls this."""
        # Of blended photos nothing but the loss says anything.
        told = (name for name in logs or {} if name == "loss" or name.startswith("val_"))
        metrics = {name: float(logs[name]) for name in told}
        self.keep_if_best(metrics["val_loss"])
        self._on_epoch(epoch, metrics)
        with self._lines.open("a") as file:
            file.write(json.dumps({"epoch": epoch, **metrics}) + "\n")

    def restore_best(self) -> None:
        """Put the best epoch's weights into the model."""
        self._served.load_weights(self._weights)
