"""Fine-tuning: the upper layers with the head, an epoch at a time."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from sklearn.metrics import log_loss

from cat_model.files import write_durably
from train.batches import Batches, Examples
from train.boxes import UNKNOWN
from train.config import TrainConfig
from train.model import CELLS, LOGIT, PROGRESS, CatModel

AVERAGES = (0.4, 0.7, 1.0)
"""Shares of the fine-tuned weights that are tried when they are averaged with those before."""

PLACES = 0.5
"""Weight of what cells are taught, beside the answers' 1."""


def soup(
    model: CatModel,
    train: Examples,
    validation: Examples,
    config: TrainConfig,
    folder: Path,
    on_epoch: Callable[[int, Mapping[str, float]], None],
) -> None:
    """Fine-tune several times from where the model stands, and average the weights.

    They lie in one valley, whose middle generalises better than its edges (model soups, M. Wortsman et al.,
    2022), and costs a visitor no more than one of them.

    The arguments are those of `fine_tune`; `config.soup` says how often, each keeps its state in a folder of
    its own, and the numbers of epochs go on from one to the next.
    """
    start, tuned = model.served.get_weights(), []
    for number in range(config.soup):
        model.served.set_weights(start)
        own = folder / f"soup-{number}"
        own.mkdir(exist_ok=True)
        lots = dataclasses.replace(config, seed=config.seed + number)
        keras.utils.set_random_seed(lots.seed)
        before = number * config.epochs
        fine_tune(
            model, train, validation, lots, own, lambda epoch, each, b=before: on_epoch(b + epoch, each)
        )
        tuned.append(model.served.get_weights())
    model.served.set_weights([np.mean(each, axis=0) for each in zip(*tuned, strict=True)])


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
    grid = model.features.outputs[1].shape[1] if model.evidence and train.places is not None else None
    trainer = model.trainer(config.dropout, places=grid is not None)
    answer = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=config.label_smoothing)
    metrics = [
        keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy"),
        keras.metrics.AUC(from_logits=True, curve="PR", name="pr_auc"),
    ]
    # Of validation photos no places are taught: their loss is that of the answers alone.
    truth = validation.labels
    if grid:
        nowhere = np.full((len(truth), grid, grid), UNKNOWN, np.float32)
        truth = {LOGIT: truth, CELLS: nowhere}
    steps = config.epochs * math.ceil(len(train.labels) / config.batch)
    trainer.compile(
        optimizer=keras.optimizers.AdamW(_schedule(config, steps), weight_decay=1e-4, clipnorm=1.0),
        loss={LOGIT: answer, CELLS: _cells_loss} if grid else answer,
        loss_weights={LOGIT: 1.0, CELLS: PLACES} if grid else None,
        metrics={LOGIT: metrics} if grid else metrics,
        jit_compile=False,  # XLA takes longer on CPUs, to compile and to run
    )
    journal = _Journal(model.served, folder, on_epoch)
    if not journal.epochs_done:
        untuned = trainer.evaluate(validation.pixels, truth, config.batch, verbose=PROGRESS, return_dict=True)
        journal.keep_if_best(untuned["loss"])
    trainer.fit(
        Batches(train, config, journal.epochs_done, grid),
        validation_data=(validation.pixels, truth),
        validation_batch_size=config.batch,
        epochs=config.epochs,
        verbose=PROGRESS,
        callbacks=[
            journal,
            keras.callbacks.BackupAndRestore(
                folder / "state", double_checkpoint=True, delete_checkpoint=False
            ),
        ],
    )
    journal.restore_best()
    _average(model, start, validation, config)


def _cells_loss(truth: keras.KerasTensor, said: keras.KerasTensor) -> keras.KerasTensor:
    """Return the cross-entropy of each cell, (N, H, W); of cells that nothing is known of it is 0."""
    known = keras.ops.cast(truth != UNKNOWN, said.dtype)
    return known * keras.ops.binary_crossentropy(known * truth, said, from_logits=True)


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
            whole = self._weights.with_name("next.weights.h5")
            self._served.save_weights(whole)
            whole.replace(self._weights)
            write_durably(self._best_loss, json.dumps(loss).encode())

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
