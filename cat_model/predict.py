"""Predictor: a photo in, a Verdict out."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from cat_model import golden
from cat_model.bundle import Bundle, BundleError, SecondLook
from cat_model.photo import DEFAULT_LIMITS, Limits, Photo, PhotoError, decode, resize
from cat_model.runtime import ModelError, Outputs, Runtime
from cat_model.settings import SHIPPED_BUNDLE

if TYPE_CHECKING:
    from cat_model.explain import Explanation

CAT, NOT_A_CAT, NOT_SURE = "cat", "not a cat", "not sure"
BATCH = 16
EXPLAIN_BUDGET = 96
"""Evaluations of the model that `Predictor.explain` spends unless told otherwise."""
FINEST = 1 / 512
"""Half a step of the model's int8 output: how near to 0 or 1 a probability can be told."""

Part = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a photo, as shares of its width and height, 0 to 1."""


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


class Observer(Protocol):
    """Is told what a predictor does, and never for whom; from many threads, so it must be quick.

    What is not `counted` is of a live picture, or of a photo that it heard of before.
    """

    def took(self, step: str, seconds: float, counted: bool) -> None:
        """Hear how long a step took: "decode", "inference" or "explanation"."""

    def answered(self, verdict: Verdict, embedding: np.ndarray) -> None:
        """Hear of a verdict, and of the photo's embedding, shape (D,)."""

    def refused(self, cause: str, counted: bool) -> None:
        """Hear of a photo that could not be used, by PhotoError.cause."""


class Predictor:
    """Answers for one bundle; safe to share between threads."""

    observers: Sequence[Observer] = ()
    """Who is told of every photo that is judged."""

    def __init__(self, bundle: Bundle, workers: int = 1, limits: Limits = DEFAULT_LIMITS) -> None:
        """Start the interpreter.

        Args:
            bundle: a verified bundle.
            workers: how many photos may be judged at the same time.
            limits: which photos are refused before they are decoded.

        Raises:
            BundleError: the bundle's model cannot be served, is not the one its manifest describes, or does
                not answer about golden pictures as it did when it was exported.
        """
        self.bundle = bundle
        self.limits = limits
        self.workers = workers
        try:
            self._runtime = Runtime(bundle.model, workers)
        except ModelError as error:
            raise BundleError(str(error)) from error
        if self._runtime.side != bundle.side:
            raise BundleError(
                f"The model takes {self._runtime.side} pixels a side; its manifest says {bundle.side}."
            )
        try:
            golden.check(self._runtime, bundle.golden)
        except golden.GoldenError as error:
            raise BundleError(f"The model in {bundle.folder} is not used. {error}") from error

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
        while images := [self.decode(photo) for photo in islice(rest, BATCH)]:
            with self.timed("inference"):
                probabilities, embeddings = self._judged(images)
            for probability, embedding in zip(probabilities, embeddings, strict=True):
                verdict = self.verdict(probability)
                self.tell(verdict, embedding)
                yield verdict

    def explain(
        self,
        photo: Photo,
        budget: int = EXPLAIN_BUDGET,
        on_progress: Callable[[float], None] | None = None,
        counted: bool = True,
    ) -> "Explanation":
        """Judge a photo and say which parts of it spoke for a cat and which against; see cat_model.explain.

        Args:
            photo: as for `predict`.
            budget: how often the model may be evaluated on the photo with parts of it hidden; 0 explains by
                the model's own shares, at no evaluation beyond those of the verdict.
            on_progress: told from time to time which part of the work is done, 0 to 1; what it raises ends
                the work.
            counted: whether it is a photo by itself, no live picture and none that was judged before.

        Raises:
            PhotoError: the photo cannot be used; the message says why.
            ValueError: the budget is neither 0 nor enough.
        """
        from cat_model.explain import explain

        explanation = explain(self, photo, budget, on_progress, counted)
        if counted:
            self.tell(explanation.verdict, explanation.embedding)
        return explanation

    def decode(self, photo: Photo, counted: bool = True) -> Image.Image:
        """Return a photo as the model's looks need it.

        Args:
            photo: as for `predict`.
            counted: as for `explain`.

        Raises:
            PhotoError: the photo cannot be used; the message says why.
        """
        # A JPEG may be decoded at twice the model's side: whole and tiles have all the detail they can use.
        try:
            with self.timed("decode", counted):
                return decode(photo, self.limits, 2 * self.bundle.side)
        except PhotoError as error:
            for observer in self.observers:
                observer.refused(error.cause, counted)
            raise

    def embedding(self, photo: Photo) -> np.ndarray:
        """Return the model's description of a whole photo, shape (D,), float32.

        Raises:
            PhotoError: the photo cannot be used; the message says why.
        """
        pixels = self.pixels(decode(photo, self.limits, 2 * self.bundle.side))
        return self.outputs(pixels[None]).embedding[0]

    @contextmanager
    def timed(self, step: str, counted: bool = True) -> Iterator[None]:
        """Tell the observers how long the block took, unless it fails."""
        began = time.perf_counter()
        yield
        for observer in self.observers:
            observer.took(step, time.perf_counter() - began, counted)

    def tell(self, verdict: Verdict, embedding: np.ndarray) -> None:
        """Tell the observers of a verdict."""
        for observer in self.observers:
            observer.answered(verdict, embedding)

    def whole(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Return the probabilities of a look at whole pictures (mode RGB), shape (N,), float64, 0 to 1."""
        return self._look(images, None)[0]

    def strongest_tile(self, images: Sequence[Image.Image], tile: float) -> np.ndarray:
        """Return the highest probability among five overlapping tiles of each picture.

        Args:
            images: N pictures in mode RGB.
            tile: share of each side that a tile takes: one in each corner, one in the middle.

        Returns:
            Shape (N,), float64, 0 to 1.
        """
        return np.max([self._look(images, part)[0] for part in tiles(tile)], axis=0)

    def outputs(self, pixels: np.ndarray) -> Outputs:
        """Return what the model says of pixels that are already resized.

        Args:
            pixels: shape (N, side, side, 3), dtype uint8, RGB.
        """
        return self._runtime.run(pixels)

    def pixels(self, image: Image.Image, part: Part | None = None) -> np.ndarray:
        """Return what the model is shown of a picture or a part of it, shape (side, side, 3), uint8, RGB."""
        return resize(image, self.bundle.side, _box(image, part) if part else None)

    def leaves_doubt(self, whole: np.ndarray) -> np.ndarray:
        """Say after which looks at the whole, shape (N,), the model looks again; shape (N,), bool."""
        look = self.bundle.second_look
        return (whole >= look.low) & (whole < look.high) if look else np.zeros(whole.shape, bool)

    def _look(self, images: Sequence[Image.Image], part: Part | None) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities and embeddings of pictures, or of a part of each."""
        said = self.outputs(np.stack([self.pixels(image, part) for image in images]))
        return said.probability.astype(np.float64), said.embedding

    def _judged(self, images: Sequence[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
        """Look at each picture, and once more at those that leave a doubt; return embeddings as well."""
        (probabilities, embeddings), look = self._look(images, None), self.bundle.second_look
        doubtful = np.flatnonzero(self.leaves_doubt(probabilities))
        if look and len(doubtful):
            strongest = self.strongest_tile([images[index] for index in doubtful], look.tile)
            probabilities[doubtful] = combine(probabilities[doubtful], strongest, look)
        return probabilities, embeddings

    def verdict(self, probability: float) -> Verdict:
        """Return the verdict at a probability, 0 to 1, that all looks at a photo have led to."""
        value = float(probability)
        low, high = self.bundle.unsure
        is_cat = value >= self.bundle.threshold
        unsure = low <= value < high
        label = NOT_SURE if unsure else CAT if is_cat else NOT_A_CAT
        return Verdict(value, is_cat, unsure, label, self.bundle.version)


def logit(probabilities: np.ndarray) -> np.ndarray:
    """Return the logits of probabilities; those that an int8 output rounds to 0 or 1 stay finite."""
    inside = np.clip(probabilities, FINEST, 1 - FINEST)
    return np.log(inside / (1 - inside))


def combine(whole: np.ndarray, tiles: np.ndarray, look: SecondLook) -> np.ndarray:
    """Return the probabilities after a second look, from those of whole pictures and of strongest tiles."""
    together = look.first * logit(whole) + look.strongest * logit(tiles) + look.bias
    return 1 / (1 + np.exp(-together))


def tiles(tile: float) -> list[Part]:
    """Return the five overlapping tiles of a second look: one in each corner, then one in the middle.

    Args:
        tile: share of each side that a tile takes.
    """
    rest = 1 - tile
    corners = [(x, y) for x in (0.0, rest) for y in (0.0, rest)] + [(rest / 2, rest / 2)]
    return [(x, y, x + tile, y + tile) for x, y in corners]


def _box(image: Image.Image, part: Part) -> tuple[float, float, float, float]:
    left, top, right, bottom = part
    return left * image.width, top * image.height, right * image.width, bottom * image.height


def load(
    folder: str | os.PathLike[str] = SHIPPED_BUNDLE,
    workers: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    public_key: str | None = None,
) -> Predictor:
    """Load a bundle, the shipped one unless another folder is given.

    Args:
        folder: of the bundle.
        workers: how many photos may be judged at the same time.
        limits: which photos are refused before they are decoded.
        public_key: 32 bytes in base64, whose owner must have signed the bundle; None to ask for nothing.

    Raises:
        BundleError: the bundle is missing, damaged, not signed, or cannot be served.
    """
    return Predictor(Bundle.read(folder, public_key), workers, limits)
