"""The model that answers now; a newly exported bundle takes its place between two requests."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from cat_model import Bundle, Explanation, Predictor, Verdict
from cat_model.bundle import MANIFEST, MODEL
from cat_model.origin.follow import EVERY_S, Follower
from cat_model.photo import Photo
from cat_model.predictor import EXPLAIN_BUDGET
from web.server.periodic import regularly

CHECK_EVERY_S = 2.0


class ReloadingPredictor:
    """Answers as the predictor of a bundle folder does and, while it watches, follows what is exported there.

    Who asks more than once for one answer takes `predictor` first, for between two questions the model may
    change.
    """

    def __init__(self, load: Callable[[], Predictor], folder: Path, follower: Follower | None = None) -> None:
        """Load the bundle.

        Args:
            load: reads, verifies and tries the bundle that now lies in the folder.
            folder: of the bundle.
            follower: keeps the folder as its origin is, while this one watches; None where it has none.

        Raises:
            BundleError: it cannot be served.
        """
        self._load = load
        self._folder = folder
        self._follower = follower
        if follower:
            follower.bring()
        self._seen = _state(folder)
        self._predictor = load()
        self._problem: str | None = None
        self._stops: list[Callable[[], None]] = []
        self.room = threading.BoundedSemaphore(self._predictor.workers)
        """Held while a visitor's photo is in memory: so many at a time as there are interpreters."""

    @property
    def predictor(self) -> Predictor:
        """The predictor of the newest bundle that could be served."""
        return self._predictor

    @property
    def problem(self) -> str | None:
        """Why the newest bundle, here or at its origin, is not the one that answers; None if it is."""
        return self._problem or (self._follower.problem if self._follower else None)

    @property
    def bundle(self) -> Bundle:
        """The bundle that answers now."""
        return self._predictor.bundle

    def predict(self, photo: Photo, thorough: bool = False) -> Verdict:
        """Say whether a photo shows a cat, as `Predictor.predict` does."""
        return self._predictor.predict(photo, thorough)

    def predict_many(self, photos: Iterable[Photo], thorough: bool = False) -> Iterator[Verdict]:
        """Yield a verdict for each photo, as `Predictor.predict_many` does; all by one model."""
        return self._predictor.predict_many(photos, thorough)

    def explain(
        self,
        photo: Photo,
        budget: int = EXPLAIN_BUDGET,
        on_progress: Callable[[float], None] | None = None,
        *,
        counted: bool = True,
        thorough: bool = False,
    ) -> Explanation:
        """Explain a verdict, as `Predictor.explain` does."""
        return self._predictor.explain(photo, budget, on_progress, counted=counted, thorough=thorough)

    def embedding(self, photo: Photo) -> np.ndarray:
        """Return the description of a photo, as `Predictor.embedding` does."""
        return self._predictor.embedding(photo)

    def check(self) -> bool:
        """Serve what lies in the folder if that has changed; return whether there is a new predictor.

        A bundle that cannot be served leaves the predictor as it is, and says why in `problem`.
        """
        state = _state(self._folder)
        if state == self._seen:
            return False
        try:
            predictor = self._load()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a new model, the old one answers on
            self._problem, self._seen = str(error) or type(error).__name__, state
            return False
        self._predictor, self._problem, self._seen = predictor, None, state
        return True

    def watch(self, every_s: float = CHECK_EVERY_S) -> None:
        """Check every few seconds, and the origin less often, in threads of their own, until `stop`."""
        self._stops.append(regularly(self.check, every_s, "bundle"))
        if self._follower:
            self._stops.append(regularly(self._follower.refresh, EVERY_S, "origin"))

    def stop(self) -> None:
        """Check no more."""
        while self._stops:
            self._stops.pop()()


def _state(folder: Path) -> tuple[tuple[int, ...] | None, ...]:
    """Return what changes when the folder or one of its files is replaced or written over."""
    return tuple(map(_stat, (folder, folder / MANIFEST, folder / MODEL)))


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
