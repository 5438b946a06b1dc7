"""Says on standard error how the work goes on: photos, rate, time left, cost so far."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from pipelines.score.scorer import Done
from pipelines.score.shards import Shard

TERMINAL_S, LOG_S = 2.0, 30.0
"""Seconds between two lines: in a terminal, where each replaces the one before, and in a log."""


@dataclass(frozen=True)
class Prices:
    """What the work costs, in one currency; None where nobody said.

    Attributes:
        core_hour: of a core for an hour.
        thousand_reads: of 1,000 photos that are read, which is a request each in a bucket.
    """

    core_hour: float | None = None
    thousand_reads: float | None = None


@dataclass
class Progress:
    """Counts what is done, and says so from time to time.

    Attributes:
        prices: for the cost.
        stream: where lines go.
        clock: seconds that only grow.
        total: photos that there are to do; None while they are still being counted.
        photos: that are done.
        errors: how many of them could not be used.
        bytes: that were read.
        shards: that are done.
        given_up: shards that could not be scored.
    """

    prices: Prices = field(default_factory=Prices)
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.monotonic
    total: int | None = None
    photos: int = 0
    errors: int = 0
    bytes: int = 0
    shards: int = 0
    given_up: int = 0

    def __post_init__(self) -> None:
        """Begin to count the time."""
        self._began = self._said = self._ticked = self.clock()
        self._core_seconds = 0.0
        self._up = False
        self._terminal = self.stream.isatty()

    def tick(self, up: int) -> None:
        """Hear that time goes by, and how many workers are up, each of which takes a core."""
        now = self.clock()
        if up and not self._up:  # the rate does not count how long an engine took to start
            self._began, self._up = now, True
        self._core_seconds += up * (now - self._ticked)
        self._ticked = now
        if now - self._said >= (TERMINAL_S if self._terminal else LOG_S):
            self._said = now
            self._write(f"{self.line()}, {up} workers")

    def done(self, done: Done) -> None:
        """Count a shard."""
        self.photos += done.photos
        self.errors += done.errors
        self.bytes += done.bytes
        self.shards += 1

    def trouble(self, shard: Shard, problem: str, last: bool) -> None:
        """Say why a shard was not finished, and whether it is given up."""
        self.given_up += last
        follows = "It is given up." if last else "It is tried again."
        self._write(f"Shard {shard.number}: {problem.rstrip('.')}. {follows}", stays=True)

    def line(self) -> str:
        """Return how far it is."""
        seconds = self._ticked - self._began
        rate = self.photos / seconds if seconds else 0.0
        parts = [f"{self.photos:,}{'' if self.total is None else f' of {self.total:,}'} photos"]
        parts.append(f"{rate:,.1f} a second")
        if self.total is not None and self.photos < self.total and rate:
            parts.append(f"{span((self.total - self.photos) / rate)} left")
        if self.errors:
            parts.append(f"{self.errors:,} of them errors")
        return ", ".join([*parts, self.cost()])

    def cost(self) -> str:
        """Return what it took so far: core-hours, and money where prices are known."""
        hours = self._core_seconds / 3600
        core, reads = self.prices.core_hour, self.prices.thousand_reads
        said = f"{hours:.2f} core-hours"
        if core is None and reads is None:
            return said
        return f"{said}, cost {hours * (core or 0) + self.photos / 1000 * (reads or 0):.4f}"

    def _write(self, text: str, stays: bool = False) -> None:
        if self._terminal:  # to the start of the line, and away with what stands there
            text = f"\r\x1b[K{text}" + ("\n" if stays else "")
        else:
            text += "\n"
        self.stream.write(text)
        self.stream.flush()

    def close(self) -> None:
        """Leave a terminal's line."""
        if self._terminal:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


def span(seconds: float) -> str:
    """Return a time in the two units that say most of it."""
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    if hours >= 1:
        return f"{int(hours)} h {int(minutes % 60)} min"
    return f"{int(minutes)} min {int(seconds % 60)} s" if minutes >= 1 else f"{int(seconds)} s"
