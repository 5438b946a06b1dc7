"""Predictor: a photo in, a Verdict out."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from cat_model import selftest
from cat_model.bundle import Bundle, BundleError
from cat_model.cascade import FULL, Answer, Cascade, Zooms, cut
from cat_model.photo import DEFAULT_LIMITS, Decoded, Limits, Photo, PhotoError, decode, decode_frame
from cat_model.runtime import ModelError, Runtime
from cat_model.settings import SHIPPED_BUNDLE
from cat_model.verdict import Verdict

if TYPE_CHECKING:
    from cat_model.explain import Explanation

BATCH = 16
EXPLAIN_BUDGET = 96
"""Evaluations of the model that `Predictor.explain` spends unless told otherwise."""


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

    def __init__(
        self,
        bundle: Bundle,
        workers: int = 1,
        limits: Limits = DEFAULT_LIMITS,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Start the interpreter.

        Args:
            bundle: a verified bundle.
            workers: how many photos may be looked at at the same time.
            limits: which photos are refused before they are decoded.
            observers: are told of every photo.

        Raises:
            BundleError: the bundle's model cannot be served, is not the one its manifest describes, or does
                not pass the self-test that was recorded when it was exported.
        """
        self.bundle = bundle
        self.limits = limits
        self.workers = workers
        self.observers = tuple(observers)
        try:
            runtime = Runtime(bundle.model, workers)
        except ModelError as error:
            raise BundleError(str(error)) from error
        if runtime.side != bundle.side:
            raise BundleError(
                f"The model takes {runtime.side} pixels a side; its manifest says {bundle.side}."
            )
        if isinstance(bundle.plan, Zooms) and not runtime.has_cat_map:
            raise BundleError(f"The manifest in {bundle.folder} asks for zooms; its model has no cat map.")
        try:
            selftest.check(runtime, bundle.recorded)
        except selftest.SelfTestError as error:
            raise BundleError(f"The model in {bundle.folder} is not used. {error}") from error
        self.cascade = Cascade(runtime, bundle.plan)

    def predict(self, photo: Photo, thorough: bool = False) -> Verdict:
        """Say whether a photo shows a cat.

        Args:
            photo: a path, the bytes of an image file, a PIL image or a HxWx3 uint8 array.
            thorough: whether to search every part of the photo: finds more tiny cats, and takes longer. A
                model without such a search answers as always.

        Raises:
            PhotoError: the photo cannot be used; the message says why.
        """
        return next(self.predict_many([photo], thorough))

    def predict_many(self, photos: Iterable[Photo], thorough: bool = False) -> Iterator[Verdict]:
        """Yield a verdict for each photo, in order, looked at in batches.

        Raises:
            PhotoError: when a batch holds a photo that cannot be used.
        """
        rest = iter(photos)
        while decoded := [self._decoded(photo) for photo in islice(rest, BATCH)]:
            with self.timed("inference"):
                answers = self.cascade.answer([each.image for each in decoded], thorough)
            for answer, each in zip(answers, decoded, strict=True):
                verdict = self.verdict(answer, thorough, each.frame)
                self.tell(verdict, answer.passes[FULL].embedding)
                yield verdict

    def explain(
        self,
        photo: Photo,
        budget: int = EXPLAIN_BUDGET,
        on_progress: Callable[[float], None] | None = None,
        *,
        counted: bool = True,
        thorough: bool = False,
    ) -> "Explanation":
        """Judge a photo and say which parts of it spoke for a cat and which against; see cat_model.explain.

        Args:
            photo: as for `predict`.
            budget: how often the model may be evaluated on the photo with parts of it hidden; 0 explains by
                the model's own attributions, at no evaluation beyond those of the verdict.
            on_progress: told from time to time which part of the work is done, 0 to 1; what it raises ends
                the work.
            counted: whether it is a photo by itself, no live picture and none that was judged before.
            thorough: as for `predict`.

        Raises:
            PhotoError: the photo cannot be used; the message says why.
            ValueError: the budget is neither 0 nor enough.
            ImportError: the budget is not 0, and shap is not installed; the message says how to install it.
        """
        from cat_model.explain.api import Effort, explain, require_budget

        require_budget(budget)
        decoded = self._decoded(photo, counted)
        with self.timed("inference", counted):
            (answer,) = self.cascade.answer([decoded.image], thorough)
        verdict = self.verdict(answer, thorough, decoded.frame)
        effort = Effort(budget, self.workers, on_progress)
        with self.timed("explanation", counted) if budget else nullcontext():
            explanation = explain(self.cascade, decoded.image, answer, verdict, effort)
        if counted:
            self.tell(verdict, explanation.embedding)
        return explanation

    def decode(self, photo: Photo, counted: bool = True) -> Image.Image:
        """Return a photo as the model's passes need it.

        Args:
            photo: as for `predict`.
            counted: as for `explain`.

        Raises:
            PhotoError: the photo cannot be used; the message says why.
        """
        return self._decoded(photo, counted).image

    def _decoded(self, photo: Photo, counted: bool = True) -> Decoded:
        try:
            with self.timed("decode", counted):
                return decode_frame(photo, self.limits, self.cascade.decoded_side)
        except PhotoError as error:
            for observer in self.observers:
                observer.refused(error.cause, counted)
            raise

    def embedding(self, photo: Photo) -> np.ndarray:
        """Return the model's description of a whole photo, shape (D,), float32.

        Raises:
            PhotoError: the photo cannot be used; the message says why.
        """
        image = decode(photo, self.limits, self.cascade.decoded_side)
        return self.cascade.runtime.run(cut(image, self.bundle.side)[None]).embedding[0]

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

    def verdict(self, answer: Answer, thorough: bool = False, frame: int = 0) -> Verdict:
        """Return the verdict that all passes over a photo, or over a picture of an animation, have led to."""
        search = self.cascade.search if thorough else None
        threshold = search.threshold if search else self.bundle.decision
        return threshold.verdict(answer.probability, self.bundle.version, frame)


def load(
    folder: str | os.PathLike[str] = SHIPPED_BUNDLE,
    workers: int = 1,
    *,
    limits: Limits = DEFAULT_LIMITS,
    public_key: str | None = None,
    observers: Sequence[Observer] = (),
) -> Predictor:
    """Load a bundle, the shipped one unless another folder is given.

    Args:
        folder: of the bundle.
        workers: how many photos may be looked at at the same time.
        limits: which photos are refused before they are decoded.
        public_key: 32 bytes in base64, whose owner must have signed the bundle; None to ask for nothing.
        observers: are told of every photo.

    Raises:
        BundleError: the bundle is missing, damaged, not signed, or cannot be served.
    """
    return Predictor(Bundle.read(folder, public_key), workers, limits, observers)
