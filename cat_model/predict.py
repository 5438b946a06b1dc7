"""Predictor: a photo in, a Verdict out."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from cat_model.bundle import Bundle, BundleError
from cat_model.photo import DEFAULT_LIMITS, Limits, Photo, decode, resize
from cat_model.runtime import ModelError, Outputs, Runtime
from cat_model.settings import SHIPPED_BUNDLE

CAT, NOT_A_CAT, NOT_SURE = "cat", "not a cat", "not sure"
BATCH = 16


@dataclass(frozen=True)
class Verdict:
    """The answer about one photo.

    Attributes:
        probability: that the photo shows a cat, 0 to 1.
        is_cat: whether the probability reaches the model's threshold.
        unsure: whether it lies in the band around the threshold where the model is often wrong.
        label: "cat", "not a cat" or "not sure".
        model_version: which model said so.
    """

    probability: float
    is_cat: bool
    unsure: bool
    label: str
    model_version: str


class Predictor:
    """Answers for one bundle; safe to share between threads."""

    def __init__(self, bundle: Bundle, workers: int = 1, limits: Limits = DEFAULT_LIMITS) -> None:
        """Start the interpreter.

        Args:
            bundle: a verified bundle.
            workers: how many photos may be judged at the same time.
            limits: which photos are refused before they are decoded.

        Raises:
            BundleError: the bundle's model cannot be served, or is not the one its manifest describes.
        """
        self.bundle = bundle
        self.limits = limits
        try:
            self._runtime = Runtime(bundle.model, workers)
        except ModelError as error:
            raise BundleError(str(error)) from error
        if self._runtime.side != bundle.side:
            raise BundleError(
                f"The model takes {self._runtime.side} pixels a side; its manifest says {bundle.side}."
            )

    def predict(self, photo: Photo) -> Verdict:
        """Say whether a photo shows a cat.

        Args:
            photo: a path, the bytes of an image file, a PIL image or a HxWx3 uint8 array.

        Raises:
            PhotoError: the photo cannot be used; the message says why.
        """
        return next(self.predict_many([photo]))

    def predict_many(self, photos: Iterable[Photo]) -> Iterator[Verdict]:
        """Yield a verdict for each photo, in order, judged in batches.

        Raises:
            PhotoError: when a batch holds a photo that cannot be used.
        """
        rest = iter(photos)
        while batch := [self._pixels(photo) for photo in islice(rest, BATCH)]:
            yield from map(self._verdict, self.outputs(np.stack(batch)).probability)

    def outputs(self, pixels: np.ndarray) -> Outputs:
        """Return what the model says of pixels that are already resized.

        Args:
            pixels: shape (N, side, side, 3), dtype uint8, RGB.
        """
        return self._runtime.run(pixels)

    def _pixels(self, photo: Photo) -> np.ndarray:
        # A JPEG may be decoded at twice the model's side: the resize then has all the detail it can use.
        image = decode(photo, self.limits, at_least=2 * self.bundle.side)
        return resize(image, self.bundle.side)

    def _verdict(self, probability: np.float32) -> Verdict:
        value = float(probability)
        low, high = self.bundle.unsure
        is_cat = value >= self.bundle.threshold
        unsure = low <= value < high
        label = NOT_SURE if unsure else CAT if is_cat else NOT_A_CAT
        return Verdict(value, is_cat, unsure, label, self.bundle.version)


def load(
    folder: str | os.PathLike[str] = SHIPPED_BUNDLE, workers: int = 1, limits: Limits = DEFAULT_LIMITS
) -> Predictor:
    """Load a bundle, the shipped one unless another folder is given.

    Raises:
        BundleError: the bundle is missing, damaged or cannot be served.
    """
    return Predictor(Bundle.read(folder), workers, limits)
