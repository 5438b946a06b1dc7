"""What training is fed with: photos in memory, shuffled and augmented in batches."""

import math
from dataclasses import dataclass

import keras
import numpy as np

from train.augment import EMPTY_FRAMES, augment, empty
from train.config import TrainConfig


@dataclass(frozen=True)
class Examples:
    """Photos as the model sees them, with their labels.

    Attributes:
        pixels: shape (N, side, side, 3), uint8, RGB.
        labels: shape (N,), float32: 1 for a cat, 0 for anything else.
    """

    pixels: np.ndarray
    labels: np.ndarray


class Batches(keras.utils.PyDataset):
    """Shuffled, augmented batches; what is drawn by lot depends on seed, epoch and photo alone."""

    def __init__(self, examples: Examples, config: TrainConfig, epoch: int) -> None:
        """Begin with an epoch: its number decides, with the seed, what is drawn by lot in it."""
        super().__init__(workers=2, use_multiprocessing=False)
        self._examples, self._config, self._epoch = examples, config, epoch
        self._others = np.flatnonzero(examples.labels == 0)
        self._shuffle()

    def on_epoch_end(self) -> None:
        """Go on to the next epoch; Keras calls this, after a prediction too."""
        self._epoch += 1
        self._shuffle()

    def _shuffle(self) -> None:
        generator = np.random.default_rng((self._config.seed, self._epoch))
        self.order = generator.permutation(len(self._examples.labels))

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self.order) / self._config.batch)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels and the labels of one batch."""
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
