"""Data drift: do people's photos still look like the validation photos? Statistical tests on counts alone.

Population stability index and Kolmogorov-Smirnov distance of the scores, Welch's test on the embeddings.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cat_model.bundle import REFERENCE
from cat_model.monitoring.traffic import Aggregate

WINDOW = 5
"""The last so many blocks are compared."""
ALPHA = 1e-3
"""How often photos of the same kind raise an alarm, about."""
PSI = 0.2
"""Population stability index from which a population counts as another one, by the usual rule of thumb."""
RARE = 0.01
"""Neighbouring bins are joined until each has this share of the reference."""


class DriftError(ValueError):
    """Nothing can be compared; the message says why."""


@dataclass(frozen=True)
class DriftTest:
    """The result of one statistical test.

    Attributes:
        name: the statistic, in words.
        found: its value.
        limit: above which it is an alarm.
    """

    name: str
    found: float
    limit: float

    @property
    def alarm(self) -> bool:
        """Whether the limit is passed."""
        return self.found > self.limit


@dataclass(frozen=True)
class Drift:
    """The results of all tests of a window against the reference."""

    window: Aggregate
    reference: Aggregate
    tests: tuple[DriftTest, ...]

    @property
    def alarm(self) -> bool:
        """Whether any test raises an alarm."""
        return any(test.alarm for test in self.tests)

    def __str__(self) -> str:
        """Return a line for each test, and the conclusion."""
        lines = [
            f"{each.name}: {each.found:.3f}, alarm above {each.limit:.3f}{'  ALARM' if each.alarm else ''}"
            for each in self.tests
        ]
        photos = f"{self.window.photos} photos against {self.reference.photos} of the reference."
        conclusion = (
            "The photos are others than those the model was chosen on." if self.alarm else "No alarm."
        )
        return "\n".join([photos, *lines, conclusion])


def read_reference(bundle: Path) -> Aggregate:
    """Read the counts over validation photos that a bundle carries.

    Raises:
        DriftError: it has none, or they are damaged.
    """
    path = bundle / REFERENCE
    try:
        stored = json.loads(path.read_text("utf-8"))
        if "traffic" not in stored:
            raise DriftError(
                f"{path} is of an older form, without statistics to compare traffic with; "
                "they come with the next export of a model."
            )
        return Aggregate.from_dict(stored["traffic"])
    except OSError as error:
        raise DriftError(f"{path} cannot be read: {error.strerror}.") from error
    except DriftError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DriftError(f"{path} is damaged: {error!r}.") from error


def compare(blocks: Sequence[Aggregate], reference: Aggregate) -> Drift:
    """Test the last blocks of traffic for drift from the reference.

    - Population stability index of the scores; what chance makes it once in 1 / ALPHA times is no alarm,
      however large (B. Yurdakul, 2018).
    - The scores' two-sample Kolmogorov-Smirnov distance; binned, so rather too small than too large.
    - The embeddings' projected means by Welch's test, with Bonferroni's correction; as a normal quantile.

    Raises:
        DriftError: there is no full block yet.
    """
    if not blocks:
        raise DriftError("Too few photos were judged yet to say anything.")
    window = sum(blocks[-WINDOW:], Aggregate())
    here, there = _joined(np.array(window.scores), np.array(reference.scores))
    chance = 1 / window.photos + 1 / reference.photos
    quantile = _chi_squared(len(here) - 1, ALPHA)
    distance = np.abs(np.cumsum(here) / here.sum() - np.cumsum(there) / there.sum()).max()
    tests = (
        DriftTest("population stability index of the scores", _psi(here, there), max(PSI, quantile * chance)),
        DriftTest("Kolmogorov-Smirnov distance of the scores", float(distance),
                  math.sqrt(-math.log(ALPHA / 2) / 2 * chance)),
        DriftTest("farthest mean of the embeddings", float(_farthest(window, reference)),
                  _normal(ALPHA / 2 / len(window.sums))),
    )  # fmt: skip
    return Drift(window, reference, tests)


def _psi(here: np.ndarray, there: np.ndarray) -> float:
    """Return the population stability index; half a photo more in each bin keeps it finite."""
    p, q = ((each + 0.5) / (each + 0.5).sum() for each in (here, there))
    return float(((p - q) * np.log(p / q)).sum())


def _joined(here: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both histograms with rare bins joined to their neighbours."""
    starts, since = [0], 0.0
    for index, share in enumerate(there / there.sum()):
        if since >= RARE:
            starts.append(index)
            since = 0.0
        since += share
    if since < RARE and len(starts) > 1:
        starts.pop()
    return np.add.reduceat(here, starts), np.add.reduceat(there, starts)


def _farthest(window: Aggregate, reference: Aggregate) -> float:
    means, errors = [], []
    for each in (window, reference):
        mean = np.array(each.sums) / each.photos
        means.append(mean)
        errors.append((np.array(each.squares) / each.photos - mean**2).clip(1e-12) / each.photos)
    return np.abs((means[0] - means[1]) / np.sqrt(errors[0] + errors[1])).max()


def _normal(p: float) -> float:
    """Return the standard normal's quantile that is passed with probability p, 0 to 0.5, by bisection."""
    low, high = 0.0, 40.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(middle / math.sqrt(2)) / 2 > p else (low, middle)
    return low


def _chi_squared(freedom: int, p: float) -> float:
    """Return the quantile that is passed with probability p (E. Wilson and M. Hilferty, 1931)."""
    part = 2 / (9 * max(freedom, 1))
    return freedom * (1 - part + _normal(p) * math.sqrt(part)) ** 3
