"""Batches of augmented views with a fixed fraction of cats, drawn anew in each epoch."""

import keras
import numpy as np

from train.config import TrainConfig
from train.data.augment import Size, View, view
from train.data.dataset import Examples
from train.models.heads import CAT_MAP, LOGIT


class Batches(keras.utils.PyDataset):
    """One epoch of views in batches, each with the same fraction of cats.

    The views follow from the seed, the number of the epoch and that of the batch: a run that goes on draws
    the same ones.
    """

    def __init__(self, examples: Examples, config: TrainConfig, cells: int, epoch: int = 0) -> None:
        """Begin with an epoch.

        Args:
            examples: photos to make views of.
            config: what to do.
            cells: of each side of the cat map.
            epoch: number of the first pass.
        """
        # Threads are enough: OpenCV and NumPy work outside Python's lock.
        super().__init__(workers=2, use_multiprocessing=False, max_queue_size=8)
        self._examples, self._config, self._epoch = examples, config, epoch
        self._size = Size(config.side, cells)
        self._cats, self._others = np.flatnonzero(examples.labels), np.flatnonzero(~examples.labels)

    def on_epoch_end(self) -> None:
        """Go on to the next epoch; Keras calls this."""
        self._epoch += 1

    def __len__(self) -> int:
        """Return the number of batches."""
        return self._config.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return pixels, targets and weights of one batch, the last two by the trainer's outputs."""
        rng = np.random.default_rng((self._config.seed, self._epoch, index))
        cats = round(self._config.batch * self._config.cat_fraction)
        members = [*rng.choice(self._cats, cats), *rng.choice(self._others, self._config.batch - cats)]
        views = [
            self._view(int(member), each)
            for member, each in zip(members, rng.spawn(len(members)), strict=True)
        ]
        pixels = np.stack([each.pixels for each in views])
        weights = np.array([each.weight for each in views], np.float32)
        labels = np.array([[each.label] for each in views], np.float32)
        truth = {LOGIT: labels, CAT_MAP: np.stack([each.cells for each in views])}
        return pixels, truth, {LOGIT: weights, CAT_MAP: np.ones_like(weights)}

    def _view(self, member: int, rng: np.random.Generator) -> View:
        def scene() -> np.ndarray:
            return self._examples.photos[int(rng.choice(self._others))]

        return view(self._examples[member], self._size, self._config.augmentation, rng, scene)
