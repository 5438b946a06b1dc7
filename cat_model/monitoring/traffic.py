"""What the page's photos are like, counted so that nothing is known of any one of them.

Scores and times become histograms, embeddings the moments of a few projections; photos are counted in blocks
of `BLOCK`, and a block is kept, shown and written only when it is full.
"""

import hashlib
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cat_model.atomic import write_durably
from cat_model.verdict import Verdict

LOG = logging.getLogger(__name__)
BLOCK, KEPT = 100, 50
"""Photos of a block, and how many blocks are kept."""
EDGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Probabilities between the bins of the score histogram: finer towards both ends, where most scores lie."""
TIMES_MS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Milliseconds between the bins of the latency histogram."""
DIRECTIONS = 16
"""Embeddings are projected on so many random directions, the same ones always (D. Achlioptas, 2003)."""


@dataclass(frozen=True)
class Aggregate:
    """Counts over some photos.

    Attributes:
        photos: how many were judged.
        scores: of these in each bin of the probability, `EDGES` apart.
        sums: of the projected embeddings, for each of DIRECTIONS.
        squares: sums of their squares.
        refused: how many more could not be decoded or were refused.
        times: photos in each bin of the time that looking at them took, `TIMES_MS` apart.
        day: when the last photo came, ISO 8601, UTC; empty where that does not matter.
    """

    photos: int = 0
    scores: Sequence[int] = (0,) * (len(EDGES) + 1)
    sums: Sequence[float] = (0.0,) * DIRECTIONS
    squares: Sequence[float] = (0.0,) * DIRECTIONS
    refused: int = 0
    times: Sequence[int] = (0,) * (len(TIMES_MS) + 1)
    day: str = ""

    def __add__(self, other: "Aggregate") -> "Aggregate":
        """Return the counts over both."""
        return Aggregate(
            self.photos + other.photos,
            _both(self.scores, other.scores),
            _both(self.sums, other.sums),
            _both(self.squares, other.squares),
            self.refused + other.refused,
            _both(self.times, other.times),
            max(self.day, other.day),
        )

    @classmethod
    def of(cls, probabilities: np.ndarray, embeddings: np.ndarray) -> "Aggregate":
        """Count photos.

        Args:
            probabilities: shape (N,), 0 to 1.
            embeddings: shape (N, D), float.
        """
        projected = embeddings @ _directions(embeddings.shape[1])
        bins = np.searchsorted(EDGES, probabilities, side="right")
        return cls(
            photos=len(probabilities),
            scores=tuple(np.bincount(bins, minlength=len(EDGES) + 1).tolist()),
            sums=tuple(projected.sum(axis=0).tolist()),
            squares=tuple(np.square(projected).sum(axis=0).tolist()),
        )

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Aggregate":
        """Return what `dataclasses.asdict` made.

        Raises:
            TypeError: a field is unknown.
            ValueError: there are bins too many or too few.
        """
        stored = {name: tuple(each) if isinstance(each, list) else each for name, each in stored.items()}
        made, plain = cls(**stored), cls()
        for each in fields(cls):
            shape, usual = np.shape(getattr(made, each.name)), np.shape(getattr(plain, each.name))
            if shape != usual:
                raise ValueError(f"{each.name} has {shape} numbers, not {usual}")
        return made


@dataclass
class Counter:
    """An `Observer` that counts everything into one aggregate; for photos whose statistics are no secret."""

    total: Aggregate = field(default_factory=Aggregate)

    def saw(self, probabilities: np.ndarray, embeddings: np.ndarray) -> None:
        """Count judged photos, shapes (N,) and (N, D)."""
        self.total += Aggregate.of(probabilities, embeddings)

    def answered(self, verdict: Verdict, embedding: np.ndarray) -> None:
        """Count a judged photo, its embedding of shape (D,)."""
        self.saw(np.array([verdict.probability]), embedding[None])

    def refused(self, cause: str, counted: bool) -> None:  # noqa: ARG002 - one count for all
        """Count a photo that was refused."""
        if counted:
            self.total += Aggregate(refused=1)

    def took(self, step: str, seconds: float, counted: bool) -> None:
        """Count how long the looks at a photo took."""
        if step != "inference" or not counted:
            return
        times = [0] * (len(TIMES_MS) + 1)
        times[int(np.searchsorted(TIMES_MS, 1000 * seconds, side="right"))] = 1
        self.total += Aggregate(times=tuple(times))


class Traffic:
    """Counts the photos of one page, for one model; safe to share between threads."""

    def __init__(self, folder: Path, model_sha256: str) -> None:
        """Go on with what was counted before for this model; a damaged file is begun anew.

        Args:
            folder: where full blocks are written.
            model_sha256: of the model's file.
        """
        self._path = file_of(folder, model_sha256)
        self._lock = threading.Lock()
        self._fresh = Counter()
        self._blocks: list[Aggregate] = []
        try:
            self._blocks = read(self._path)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            LOG.error("%s cannot be read and is begun anew: %s", self._path, error)

    def saw(self, probabilities: np.ndarray, embeddings: np.ndarray) -> None:
        """Count judged photos, shapes (N,) and (N, D)."""
        with self._lock:
            self._fresh.saw(probabilities, embeddings)
            if self._fresh.total.photos >= BLOCK:
                self._close_block()

    def answered(self, verdict: Verdict, embedding: np.ndarray) -> None:
        """Count a judged photo, its embedding of shape (D,)."""
        self.saw(np.array([verdict.probability]), embedding[None])

    def refused(self, cause: str, counted: bool) -> None:
        """Count a photo that was refused."""
        with self._lock:
            self._fresh.refused(cause, counted)

    def took(self, step: str, seconds: float, counted: bool) -> None:
        """Count how long the looks at a photo took."""
        with self._lock:
            self._fresh.took(step, seconds, counted)

    @property
    def blocks(self) -> tuple[Aggregate, ...]:
        """The full blocks, the oldest first."""
        with self._lock:
            return tuple(self._blocks)

    def _close_block(self) -> None:
        day = datetime.now(UTC).date().isoformat()
        self._blocks = [*self._blocks, self._fresh.total + Aggregate(day=day)][-KEPT:]
        self._fresh = Counter()
        try:
            content = {"blocks": [asdict(block) for block in self._blocks]}
            write_durably(self._path, json.dumps(content).encode())
        except OSError as error:  # counting must never stand in the way of a verdict
            LOG.error("%s cannot be written: %s", self._path, error)


def file_of(folder: Path, model_sha256: str) -> Path:
    """Return where the photos that a model judged are counted."""
    return folder / f"traffic-{model_sha256[:16]}.json"


def read(path: Path) -> list[Aggregate]:
    """Read the blocks that `Traffic` wrote, the oldest first.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged.
    """
    try:
        return [Aggregate.from_dict(block) for block in json.loads(path.read_bytes())["blocks"]]
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is damaged: {error!r}") from error


def _both(one: Sequence, other: Sequence) -> tuple:
    return tuple(a + b for a, b in zip(one, other, strict=True))


@lru_cache(maxsize=2)
def _directions(size: int) -> np.ndarray:
    """Return the directions, shape (size, DIRECTIONS): signs that no version of any library changes."""
    bits = hashlib.shake_256(b"directions").digest(size * DIRECTIONS // 8)
    signs = np.unpackbits(np.frombuffer(bits, np.uint8)).reshape(size, DIRECTIONS)
    return (2.0 * signs - 1.0) / np.sqrt(size)
