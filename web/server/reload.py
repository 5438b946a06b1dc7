"""The model that answers now; a newly exported bundle takes its place between two requests."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cat_model.bundle import MANIFEST, MODEL
from cat_model.predict import Predictor
from cat_model.regularly import regularly

LOOK_EVERY_S = 2.0


class Serving:
    """Stands in for the predictor of a bundle folder and, while it watches, follows what is exported there.

    Whatever a Predictor has or does, the newest one has or does: `serving.predict(photo)`. Who asks more than
    once for one answer takes `serving.predictor` first, for between two questions the model may change.
    """

    def __init__(self, load: Callable[[], Predictor], folder: Path) -> None:
        """Load the bundle.

        Args:
            load: reads, verifies and tries the bundle that now lies in the folder.
            folder: of the bundle.

        Raises:
            BundleError: it cannot be served.
        """
        self._load = load
        self._folder = folder
        self._seen = _state(folder)
        self._predictor = load()
        self._problem: str | None = None
        self._stop: Callable[[], None] = lambda: None
        self.room = threading.BoundedSemaphore(self._predictor.workers)
        """Held while a visitor's photo is in memory: so many at a time as there are interpreters."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the type is that of Predictor's attribute
        """Return what the present predictor has by this name."""
        if name.startswith("_"):  # nothing of a predictor's own, nor of this object before it is made
            raise AttributeError(name)
        return getattr(self._predictor, name)

    @property
    def predictor(self) -> Predictor:
        """The predictor of the newest bundle that could be served."""
        return self._predictor

    @property
    def problem(self) -> str | None:
        """Why the bundle that now lies in the folder is not the one that answers; None if it is."""
        return self._problem

    def look(self) -> bool:
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

    def watch(self, every_s: float = LOOK_EVERY_S) -> None:
        """Look every few seconds, in a thread of its own, until `stop`."""
        self._stop = regularly(self.look, every_s, "bundle")

    def stop(self) -> None:
        """Look no more."""
        self._stop()


def _state(folder: Path) -> tuple[tuple[int, ...] | None, ...]:
    """Return what changes when the folder or one of its files is replaced or written over."""
    return tuple(map(_stat, (folder, folder / MANIFEST, folder / MODEL)))


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
