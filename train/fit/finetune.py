"""Fine-tuning of all layers with Polyak averaging: the moving average of the weights is kept.

The average of the weights over the last steps generalises better than the last ones (B. Polyak and A.
Juditsky, 1992). Of all epochs the one with the lowest validation loss is kept.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.metrics import log_loss

from cat_model.atomic import write_durably
from train.config import TrainConfig
from train.data.augment import UNKNOWN
from train.data.dataset import Examples
from train.fit.batches import Batches
from train.models.heads import CAT_MAP, LOGIT, PROGRESS, CatModel

CLIP = 2.0
"""Largest norm of all gradients together."""
SLOW_START, SLOW = 0.5, 0.1
"""In so many first epochs the backbone's learning rate is so much lower: the heads are still random then."""


class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW (I. Loshchilov and F. Hutter, 2019) with a higher learning rate for the heads."""

    def __init__(
        self,
        *,
        head_factor: float = 1.0,
        slow_steps: int = 0,
        **options: Any,  # noqa: ANN401 - whatever AdamW takes
    ) -> None:
        """Begin.

        Args:
            head_factor: what the learning rate of variables named "head…" is multiplied by.
            slow_steps: in so many first steps that of all others is multiplied by SLOW.
            options: of AdamW.
        """
        super().__init__(**options)
        self._head_factor, self._slow_steps = head_factor, slow_steps

    def build(self, var_list: list[Any]) -> None:
        """Note which variables are the heads'; Keras calls this."""
        super().build(var_list)
        self._of_head = [any(part.startswith("head") for part in each.path.split("/")) for each in var_list]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:  # noqa: ANN401
        """Update one variable; Keras calls this, with a variable of the backend."""
        if self._of_head[self._get_variable_index(variable)]:
            factor: Any = self._head_factor
        else:
            slow: Any = keras.ops.cast(keras.ops.less(self.iterations, self._slow_steps), variable.dtype)
            factor = 1 - (1 - SLOW) * slow
        super().update_step(gradient, variable, learning_rate * factor)


def fine_tune(
    model: CatModel,
    train: Examples,
    validation: tuple[np.ndarray, np.ndarray],
    config: TrainConfig,
    *,
    folder: Path,
    on_epoch: Callable[[int, Mapping[str, float]], None],
) -> None:
    """Train a model in place and keep the best epoch; what it began with counts as one.

    Batch-norm statistics stay as they were pretrained: they were estimated from many more photos. Stopped at
    any point and called again with the same folder, it goes on after the last whole epoch.

    Args:
        model: with pretrained weights.
        train: photos to learn from.
        validation: pixels (N, side, side, 3), uint8, and labels (N,), bool, that choose the epoch.
        config: what to do.
        folder: keeps the state between epochs.
        on_epoch: called after each epoch with its number (from 0) and its metrics.
    """
    for layer in model.features.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    trainer = model.trainer(config.dropout)
    trainer.compile(
        optimizer=LayerwiseAdamW(
            learning_rate=_schedule(config),
            weight_decay=config.weight_decay,
            global_clipnorm=CLIP,
            head_factor=config.head_factor,
            slow_steps=round(config.steps * SLOW_START) if config.init is None else 0,
        ),
        loss={LOGIT: _logit_loss(config.label_smoothing), CAT_MAP: map_loss},
        loss_weights={LOGIT: 1.0, CAT_MAP: config.map_weight},
        # XLA takes longer on CPUs, to compile and to run.
        jit_compile=False,  # pyright: ignore[reportArgumentType]  # Keras's default is a string
    )
    journal = Journal(model, validation, config, folder=folder, on_epoch=on_epoch)
    if not journal.epochs_done:
        journal.keep_if_best(journal.validation_loss())
    trainer.fit(
        Batches(train, config, model.features.outputs[1].shape[1], journal.epochs_done),
        epochs=config.epochs,
        shuffle=False,  # else a run that goes on gets the batches in another order
        verbose=PROGRESS,
        callbacks=[
            journal,
            keras.callbacks.BackupAndRestore(
                folder / "state", double_checkpoint=True, delete_checkpoint=False
            ),
        ],
    )
    journal.restore_best()


def average_with(model: CatModel, others: Sequence[np.ndarray], weight: float) -> None:
    """Replace a model's weights by their mean with others (WiSE-FT; M. Wortsman et al., 2022).

    Args:
        model: fine-tuned; changed in place.
        others: those that it began with, as `model.served.get_weights()` returned them.
        weight: of `others`, 0 to 1; the model's own have the rest.
    """
    present = model.served.get_weights()
    model.served.set_weights(
        [weight * other + (1 - weight) * own for other, own in zip(others, present, strict=True)]
    )


def _logit_loss(smoothing: float) -> keras.losses.Loss:
    return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)


def map_loss(truth: keras.KerasTensor, said: keras.KerasTensor) -> keras.KerasTensor:
    """Return the cross-entropy of known cells, shape (N,); its mean is that of all known cells of the
    batch."""
    known: Any = keras.ops.cast(truth != UNKNOWN, said.dtype)
    entropy: Any = known * keras.ops.binary_crossentropy(known * truth, said, from_logits=True)
    shape: Any = keras.ops.shape(truth)
    views: Any = keras.ops.cast(shape[0], said.dtype)
    of_views: Any = keras.ops.sum(entropy, axis=(1, 2))
    return of_views * views / keras.ops.maximum(keras.ops.sum(known), 1.0)


def _schedule(config: TrainConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a linear warm-up and a cosine decay (I. Loshchilov and F. Hutter, 2017)."""
    steps = config.epochs * config.steps
    rising = max(1, round(steps * config.warmup))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - rising),
        warmup_target=config.learning_rate,
        warmup_steps=rising,
        alpha=0.01,
    )


class Journal(keras.callbacks.Callback):
    """Averages the weights, writes each epoch's metrics down and keeps the best average, across restarts."""

    def __init__(
        self,
        model: CatModel,
        validation: tuple[np.ndarray, np.ndarray],
        config: TrainConfig,
        *,
        folder: Path,
        on_epoch: Callable[[int, Mapping[str, float]], None],
    ) -> None:
        """Remember what `fine_tune` was told."""
        super().__init__()
        self._cat_model, self._validation, self._config, self._on_epoch = model, validation, config, on_epoch
        self._lines, self._best = folder / "history.jsonl", folder / "best.weights.h5"
        self._best_loss, self._average_file = folder / "best.json", folder / "average.npz"
        self._average: list[np.ndarray] = []

    @property
    def epochs_done(self) -> int:
        """How many epochs were finished, in this process or before it."""
        return len(self._lines.read_text().splitlines()) if self._lines.exists() else 0

    def validation_loss(self) -> float:
        """Return the cross-entropy of the present weights on the validation photos, in nats."""
        pixels, cats = self._validation
        said = self._cat_model.probabilities(pixels, self._config.batch).astype(np.float64)
        return float(log_loss(cats, said, labels=[False, True]))

    def keep_if_best(self, loss: float) -> None:
        """Keep the present weights if no epoch so far had a lower validation loss."""
        if not self._best_loss.exists() or loss < json.loads(self._best_loss.read_text()):
            whole = self._best.with_name("next.weights.h5")
            self._cat_model.served.save_weights(whole)
            whole.replace(self._best)
            write_durably(self._best_loss, json.dumps(loss).encode())

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002 - Keras's
        """Begin the average with the present weights, or go on with it; Keras calls this."""
        if self.epochs_done and self._average_file.exists():
            with np.load(self._average_file) as stored:
                self._average = [stored[name] for name in stored.files]
        else:
            self._average = self._weights()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Move the average towards the present weights; Keras calls this."""
        assert self.model is not None
        step = int(self.model.optimizer.iterations)
        decay = min(1 - self._config.batch / self._config.average_views, (1 + step) / (10 + step))
        for mean, value in zip(self._average, self._weights(), strict=True):
            np.add(mean, (1 - decay) * (value - mean), out=mean)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Measure and record the average; Keras calls this."""
        present = self._weights()
        self._cat_model.served.set_weights(self._average)
        loss = self.validation_loss()
        self.keep_if_best(loss)
        self._cat_model.served.set_weights(present)
        metrics = {**{name: float(value) for name, value in (logs or {}).items()}, "val_loss": loss}
        self._on_epoch(epoch, metrics)
        np.savez(self._average_file, *self._average)
        with self._lines.open("a") as file:
            file.write(json.dumps({"epoch": epoch, **metrics}) + "\n")

    def restore_best(self) -> None:
        """Put the best epoch's weights into the model."""
        self._cat_model.served.load_weights(self._best)

    def _weights(self) -> list[np.ndarray]:
        return [np.array(keras.ops.convert_to_numpy(each)) for each in self._cat_model.served.weights]
