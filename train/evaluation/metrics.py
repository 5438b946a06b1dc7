"""Metrics with intervals: recall, precision, false-positive rates, thresholds, calibration, McNemar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import log_loss

from cat_model.verdict import Threshold

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""
RESAMPLES = 200
PRECISION = 0.975
"""Share of the answers "cat" that the threshold keeps right, on the photos that choose it."""
TRUST = 0.98
"""How sure an answer outside the band "not sure" is on the photos that choose the band."""


@dataclass(frozen=True)
class Rate:
    """A proportion with its 95 % Wilson interval (E. B. Wilson, 1927).

    Attributes:
        value: hits / total, 0 to 1; 0 when total is 0.
        low: lower end of the interval, 0 when total is 0.
        high: upper end of the interval, 1 when total is 0.
        hits: how many.
        total: of how many.
    """

    value: float
    low: float
    high: float
    hits: int
    total: int


def rate(hits: int, total: int) -> Rate:
    """Return hits out of total with their interval."""
    if total == 0:
        return Rate(0.0, 0.0, 1.0, 0, 0)
    share, z2 = hits / total, Z95**2 / total
    centre = (share + z2 / 2) / (1 + z2)
    margin = Z95 * np.sqrt(share * (1 - share) / total + z2 / (4 * total)) / (1 + z2)
    # Rounding may put an end on the wrong side of the share where that is 0 or 1.
    low, high = min(share, float(centre - margin)), max(share, float(centre + margin))
    return Rate(share, max(0.0, low), min(1.0, high), hits, total)


@dataclass(frozen=True)
class Metrics:
    """What a threshold makes of probabilities.

    Attributes:
        recall: cats that were found.
        precision: answers "cat" that were right.
        false_cat: for each negative group, its false positives.
        recall_of: for each positive group, cats that were found.
        ece: expected calibration error, 0 to 1.
        unsure: photos in the band "not sure"; None where no band was given.
    """

    recall: Rate
    precision: Rate
    false_cat: Mapping[str, Rate]
    recall_of: Mapping[str, Rate]
    ece: float
    unsure: Rate | None


def measure(
    probabilities: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    threshold: float,
    band: tuple[float, float] | None = None,
) -> Metrics:
    """Measure answers against the groups the photos came from (cat* is a cat).

    Args:
        probabilities: shape (N,), 0 to 1.
        groups: N names of groups.
        threshold: probability from which a photo counts as a cat.
        band: lower and upper end of "not sure".
    """
    names = np.asarray(groups)
    cats = is_cat(names)
    said_cat = probabilities >= threshold

    def of(group: str) -> Rate:
        return rate(int(said_cat[names == group].sum()), int((names == group).sum()))

    unsure = None
    if band is not None:
        unsure = rate(int(((probabilities >= band[0]) & (probabilities < band[1])).sum()), len(names))
    return Metrics(
        recall=rate(int((said_cat & cats).sum()), int(cats.sum())),
        precision=rate(int((said_cat & cats).sum()), int(said_cat.sum())),
        false_cat={str(group): of(group) for group in np.unique(names[~cats])},
        recall_of={str(group): of(group) for group in np.unique(names[cats])},
        ece=calibration_error(probabilities, cats),
        unsure=unsure,
    )


def is_cat(groups: np.ndarray) -> np.ndarray:
    """Return shape (N,), bool: whether each group's name is a positive one."""
    return np.char.startswith(groups.astype(str), "cat")


def choose_threshold(probabilities: np.ndarray, cats: np.ndarray) -> float:
    """Return the threshold with the highest recall at which `PRECISION` of the answers "cat" are right.

    Where no threshold is so precise, it is the one at which the smaller of recall and precision is largest. A
    few photos near the threshold decide it, so it is chosen on many resamples of the photos and the median is
    taken (bagging, L. Breiman, 1996).

    Args:
        probabilities: shape (N,), 0 to 1.
        cats: shape (N,), bool.

    Raises:
        ValueError: there are no cats, or nothing but cats.
    """
    _need_both(cats)
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    # A cut lies between two neighbouring probabilities, in the middle: there it is safest.
    last = np.flatnonzero(np.append(np.diff(ranked), -1.0))
    middles = (ranked[last] + np.append(ranked, 0.0)[last + 1]) / 2
    draws = resamples(len(cats))
    found = np.cumsum(draws * cats[order], axis=1)
    recall = found[:, last] / np.maximum(found[:, -1:], 1)
    precision = found[:, last] / np.maximum(np.cumsum(draws, axis=1)[:, last], 1)
    merit = np.where(precision >= PRECISION, 1 + recall, np.minimum(recall, precision))
    return float(np.median(middles[merit.argmax(axis=1)]))


def resamples(count: int) -> np.ndarray:
    """Return how often each photo is drawn in each bootstrap resample, shape (RESAMPLES, count), int.

    Every resample has as many photos as there are (B. Efron, 1979); the same ones are drawn in every run.
    """
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)


def unsure_band(
    probabilities: np.ndarray, cats: np.ndarray, threshold: float, trust: float
) -> tuple[float, float]:
    """Return the band around the threshold in which the answer is "not sure".

    Of the photos below the band a share of at least trust are no cats; above it, as many are cats.

    Args:
        probabilities: shape (N,), 0 to 1.
        cats: shape (N,), bool.
        threshold: lies within the band.
        trust: 0.5 to 1.

    Raises:
        ValueError: there are no cats, or nothing but cats.
    """
    _need_both(cats)
    cuts = np.append(np.unique(probabilities), [threshold, 1.0])
    below = [cut for cut in cuts if cut <= threshold and _share(~cats[probabilities < cut]) >= trust]
    above = [cut for cut in cuts if cut >= threshold and _share(cats[probabilities >= cut]) >= trust]
    return float(max(below)), float(min(above))


@dataclass(frozen=True)
class Bin:
    """Photos with similar probabilities (a bar of a reliability diagram).

    Attributes:
        low: least probability, 0 to 1.
        high: end of the probabilities.
        said: their mean.
        cats: how many of the photos are cats, with the interval.
    """

    low: float
    high: float
    said: float
    cats: Rate


def reliability(probabilities: np.ndarray, cats: np.ndarray, bins: int = 10) -> list[Bin]:
    """Return how often photos are cats, by their probability, in bins of equal width that have photos."""
    which = np.minimum((probabilities * bins).astype(int), bins - 1)
    found = []
    for each in np.unique(which):
        inside = which == each
        cats_inside = rate(int(cats[inside].sum()), int(inside.sum()))
        low, high = int(each) / bins, (int(each) + 1) / bins
        found.append(Bin(low, high, float(probabilities[inside].mean()), cats_inside))
    return found


def calibration_error(probabilities: np.ndarray, cats: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error over bins of equal width (Naeini et al., 2015), 0 to 1."""
    found = reliability(probabilities, cats, bins)
    total = max(len(probabilities), 1)
    return sum(abs(each.said - each.cats.value) * each.cats.total for each in found) / total


def operating_point(probabilities: np.ndarray, cats: np.ndarray) -> Threshold:
    """Return the threshold and the band "not sure" that photos for choosing choose.

    Args:
        probabilities: shape (N,), 0 to 1.
        cats: shape (N,), bool.

    Raises:
        ValueError: there are no cats, or nothing but cats.
    """
    cut = choose_threshold(probabilities, cats)
    return Threshold(cut, unsure_band(probabilities, cats, cut, TRUST))


def recall_at_rate(probabilities: np.ndarray, cats: np.ndarray, false_positive_rate: float) -> float:
    """Return the largest recall of a threshold at which so many of the photos without a cat are called cats.

    Args:
        probabilities: shape (N,); any score that rises with them does as well.
        cats: shape (N,), bool.
        false_positive_rate: at most, 0 to 1.
    """
    others = np.sort(probabilities[~cats])[::-1]
    cut = others[int(false_positive_rate * len(others))]
    return float((probabilities[cats] > cut).mean())


def recall_at_precision(probabilities: np.ndarray, cats: np.ndarray, precision: float) -> float:
    """Return the largest recall that any threshold reaches with at least that precision.

    Args:
        probabilities: shape (N,), 0 to 1.
        cats: shape (N,), bool.
        precision: 0 to 1.

    Returns:
        0 to 1; 0 where no threshold is precise enough, or there are no cats.
    """
    order = np.argsort(-probabilities, kind="stable")
    # Photos of one probability fall on the same side of every threshold.
    last = np.flatnonzero(np.append(np.diff(probabilities[order]), -1.0))
    found = np.cumsum(cats[order])[last]
    enough = found[found / (last + 1) >= precision]
    return float(enough.max() / cats.sum()) if len(enough) and cats.any() else 0.0


@dataclass(frozen=True)
class Calibration:
    """What calibration changed.

    Attributes:
        ece_before: expected calibration error without it, 0 to 1.
        ece_after: with it.
        log_loss_before: mean negative log-likelihood without it, in nats.
        log_loss_after: with it.
    """

    ece_before: float
    ece_after: float
    log_loss_before: float
    log_loss_after: float


def calibration(before: np.ndarray, after: np.ndarray, cats: np.ndarray) -> Calibration:
    """Measure probabilities before and after calibration, each of shape (N,), against what photos show."""
    ece = [calibration_error(each, cats) for each in (before, after)]
    loss = [float(log_loss(cats, each, labels=[False, True])) for each in (before, after)]
    return Calibration(*ece, *loss)


@dataclass(frozen=True)
class Paired:
    """Two models' answers to the same photos.

    Attributes:
        both: photos that both are right on.
        neither: photos that neither is right on.
        only_a: photos that the first alone is right on.
        only_b: photos that the second alone is right on.
        p_value: how likely so uneven a pair of counts is if both are equally good, two-sided, 0 to 1.
        p_b_worse: how likely so many photos that the first alone is right on are if the second is no worse.
    """

    both: int
    neither: int
    only_a: int
    only_b: int
    p_value: float
    p_b_worse: float


def mcnemar(right_a: np.ndarray, right_b: np.ndarray) -> Paired:
    """Compare two models on the same photos by the exact McNemar test (Q. McNemar, 1947).

    Args:
        right_a: shape (N,), bool: whether the first model is right on each photo.
        right_b: shape (N,), bool: whether the second one is.
    """
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    unlike = only_a + only_b
    return Paired(
        both=int((right_a & right_b).sum()),
        neither=int((~right_a & ~right_b).sum()),
        only_a=only_a,
        only_b=only_b,
        p_value=float(binomtest(only_a, unlike).pvalue) if unlike else 1.0,
        p_b_worse=float(binomtest(only_a, unlike, alternative="greater").pvalue) if unlike else 1.0,
    )


def _share(which: np.ndarray) -> float:
    return float(which.mean()) if len(which) else 1.0


def _need_both(cats: np.ndarray) -> None:
    if not cats.any() or cats.all():
        raise ValueError("a threshold needs photos of cats and of something else")
