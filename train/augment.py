"""Augmentation: what happens to photos in training so that the model learns cats, not framing or light.

It runs batch by batch in the training graph; on cats and others alike, so that no change becomes a hint.
"""

import keras
from keras import ops


class Augmentation(keras.layers.Layer):
    """Flips, zooms, shifts and turns each photo in one resampling, and changes its light and colours.

    From and to float RGB of 0 to 255, shape (N, side, side, 3); the identity outside training.
    """

    def __init__(self, strength: float, seed: int) -> None:
        """Set how much is changed.

        Args:
            strength: 0 changes nothing but left and right; 1 is the full range.
            seed: of the random numbers.
        """
        super().__init__(name="augmentation")
        self._strength = strength
        self._seeds = keras.random.SeedGenerator(seed)

    def call(self, photos: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """Change each photo in its own way."""
        return self._recolour(self._move(photos)) if training else photos

    def _draw(self, photos: keras.KerasTensor, reach: float) -> keras.KerasTensor:
        """Return one number for each photo, uniform between -reach and reach times the strength."""
        reach = reach * self._strength
        return keras.random.uniform((ops.shape(photos)[0],), -reach, reach, seed=self._seeds)

    def _move(self, photos: keras.KerasTensor) -> keras.KerasTensor:
        """Flip, zoom from 0.7 to 1.4 times (each axis a little by itself), turn by up to 15°, shift."""
        side = photos.shape[1]
        zoom, stretch = ops.exp(self._draw(photos, 0.35)), ops.exp(self._draw(photos, 0.15))
        angle = self._draw(photos, 0.26)
        flip = ops.sign(keras.random.uniform((ops.shape(photos)[0],), -1, 1, seed=self._seeds))
        # Rows of the matrix that takes a point of the new photo to the point of the old one it shows.
        xx, xy = flip * zoom * stretch * ops.cos(angle), -zoom / stretch * ops.sin(angle)
        yx, yy = flip * zoom * stretch * ops.sin(angle), zoom / stretch * ops.cos(angle)
        centre = (side - 1) / 2
        x_shift = centre * (1 - xx - xy) + side * self._draw(photos, 0.1)
        y_shift = centre * (1 - yx - yy) + side * self._draw(photos, 0.1)
        none = ops.zeros_like(xx)
        matrices = ops.stack([xx, xy, x_shift, yx, yy, y_shift, none, none], axis=1)
        return ops.image.affine_transform(photos, matrices, fill_mode="reflect")

    def _recolour(self, photos: keras.KerasTensor) -> keras.KerasTensor:
        """Change exposure, contrast, saturation and the balance of the three colours."""

        def each(reach: float) -> keras.KerasTensor:
            return self._draw(photos, reach)[:, None, None, None]

        mean = ops.mean(photos, axis=(1, 2, 3), keepdims=True)
        photos = mean + (photos - mean) * ops.exp(each(0.3))
        grey = ops.mean(photos, axis=3, keepdims=True)
        photos = grey + (photos - grey) * (1 + each(0.5))
        balance = ops.concatenate([each(0.15), each(0.15), each(0.15)], axis=3)
        return ops.clip(photos * ops.exp(balance + each(0.35)), 0.0, 255.0)
