"""What training is fed with: photos in memory, shuffled and augmented in batches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import keras
import numpy as np
from PIL import Image

from cat_model.photo import resize
from train import boxes, dataset
from train.augment import EMPTY_FRAMES, augment, empty, follow
from train.config import TrainConfig
from train.dataset import TRAIN
from train.model import CELLS, LOGIT
from train.run import Run


@dataclass(frozen=True)
class Examples:
    """Photos as the model sees them, with their labels.

    Attributes:
        pixels: shape (N, side, side, 3), uint8, RGB.
        labels: shape (N,), float32: 1 for a cat, 0 for anything else.
        places: shape (N, S, S), uint8: 255 where a cat is; None if nothing is known of places.
        known: shape (N,), bool: of which photos `places` is known; None without them.
    """

    pixels: np.ndarray
    labels: np.ndarray
    places: np.ndarray | None = None
    known: np.ndarray | None = None

    @classmethod
    def of(cls, run: Run, splits: Sequence[str], side: int | None = None) -> Self:
        """Return the photos of some splits, in memory: training reads them again and again, in any order.

        Args:
            run: whose photos.
            splits: which of them; empty ones are passed over.
            side: pixels of each side; None for what the model is served.
        """
        filled = [split for split in splits if run.manifest(split)]
        labels = [dataset.labels(run.manifest(split)) for split in filled]
        return cls(np.concatenate([run.pixels(split, side) for split in filled]), np.concatenate(labels))

    @classmethod
    def with_places(cls, run: Run) -> Self:
        """Return the photos to learn from, with the places of their cats where the run was given them."""
        train = cls.of(run, (TRAIN,))
        if run.boxes is None:
            return train
        pictures, known = boxes.draw(run.photos, run.manifest(TRAIN), boxes.read(run.boxes))
        return replace(train, places=pictures, known=known)


class Batches(keras.utils.PyDataset):
    """Shuffled, augmented, shrunk batches; what is drawn by lot depends on seed, epoch and photo alone."""

    def __init__(self, examples: Examples, config: TrainConfig, epoch: int, grid: int | None = None) -> None:
        """Begin with an epoch: its number decides, with the seed, what is drawn by lot in it.

        Args:
            examples: photos.
            config: what to do.
            epoch: number of the first pass.
            grid: cells of each side that are to be taught, by the places of the examples; None for none.
        """
        super().__init__(workers=2, use_multiprocessing=False)
        self._examples, self._config, self._epoch, self._grid = examples, config, epoch, grid
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

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray | dict[str, np.ndarray]]:
        """Return the pixels and the labels of one batch; with a grid, by the trainer's outputs."""
        members = self.order[index * self._config.batch : (index + 1) * self._config.batch]
        pixels = np.stack([self._augmented(int(member)) for member in members])
        pixels, labels = self._mixed_up(pixels, self._examples.labels[members], index)
        if self._grid is None:
            return pixels, labels
        return pixels, {LOGIT: labels, CELLS: np.stack([self._cells(int(member)) for member in members])}

    def _lot(self, member: int) -> np.random.Generator:
        return np.random.default_rng((self._config.seed, self._epoch, member))

    def _cells(self, member: int) -> np.ndarray:
        """Return what the cells of a photo, changed as `_augmented` does, are to be taught: (grid, grid)."""
        if self._config.mixup or not self._examples.known[member]:
            return np.full((self._grid, self._grid), boxes.UNKNOWN, np.float32)
        if not self._examples.labels[member]:
            return np.zeros((self._grid, self._grid), np.float32)
        lot, picture = self._lot(member), self._examples.places[member]

        def scene() -> np.ndarray:
            lot.choice(self._others)
            return np.zeros((*picture.shape, 3), np.uint8)

        moved = Image.fromarray(follow(picture, self._config.augmentation, lot, scene))
        covered = moved.resize((self._grid, self._grid), Image.Resampling.BOX)
        return boxes.targets(np.asarray(covered) / 255)

    def _augmented(self, member: int) -> np.ndarray:
        lot = self._lot(member)
        photo = self._examples.pixels[member]
        if not self._examples.labels[member] and lot.random() < EMPTY_FRAMES * self._config.augmentation:
            photo = empty(len(photo), lot)

        def scene() -> np.ndarray:
            return self._examples.pixels[lot.choice(self._others)]

        changed = augment(photo, self._config.augmentation, lot, scene)
        return resize(Image.fromarray(changed), self._config.learning_side)

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
