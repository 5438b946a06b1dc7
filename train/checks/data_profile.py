"""Data drift between two runs' photos: a profile of each, and two-sample Kolmogorov-Smirnov distances."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import ks_2samp

from train.checks.policy import Issue, Policy
from train.data.scan import ScannedPhoto

QUANTILES = np.linspace(0, 1, 101)
DIRECTIONS = 8
"""Embeddings are compared along so many random directions, the same ones for every run."""
CHANCE = 1.36
"""Samples of one kind differ by more than CHANCE * sqrt(1/n + 1/m) in one of 20 cases (N. Smirnov, 1948)."""


@dataclass(frozen=True)
class Profile:
    """Statistics of a run's photos.

    Attributes:
        embedder: name of what made the embeddings; others cannot be compared.
        photos: how many.
        groups: photos in each group.
        quantiles: 101 quantiles of each number, such as "brightness" and "width".
    """

    embedder: str
    photos: int
    groups: Mapping[str, int]
    quantiles: Mapping[str, Sequence[float]]


def profile(scanned: Sequence[ScannedPhoto], features: np.ndarray, embedder: str) -> Profile:
    """Describe photos by their sizes, light, sharpness, groups and embeddings (N, C)."""
    directions = np.random.default_rng(0).normal(size=(features.shape[1], DIRECTIONS))
    projected = features @ (directions / np.linalg.norm(directions, axis=0))
    numbers = {
        "width": [photo.record.width for photo in scanned],
        "height": [photo.record.height for photo in scanned],
        "file size": [photo.record.bytes for photo in scanned],
        "brightness": [photo.measures["brightness"] for photo in scanned],
        "sharpness": [photo.measures["blurriness"] for photo in scanned],
    } | {f"embedding {index + 1}": column for index, column in enumerate(projected.T)}
    return Profile(
        embedder=embedder,
        photos=len(scanned),
        groups=dict(sorted(Counter(photo.record.group for photo in scanned).items())),
        quantiles={name: np.quantile(values, QUANTILES).tolist() for name, values in numbers.items()},
    )


def _kolmogorov_smirnov(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the two-sample Kolmogorov-Smirnov distance, 0 to 1."""
    result: Any = ks_2samp(one, other)  # SciPy makes the result's class when it is called
    return float(result.statistic)


def drift(new: Profile, old: Profile, policy: Policy) -> list[Issue]:
    """List what differs: numbers by their Kolmogorov-Smirnov distance, group shares by total variation."""
    far = policy.rules["drift"]["farthest"] + CHANCE * np.sqrt(1 / new.photos + 1 / old.photos)
    distances = {
        name: _kolmogorov_smirnov(values, old.quantiles[name])
        for name, values in new.quantiles.items()
        if name in old.quantiles and (new.embedder == old.embedder or not name.startswith("embedding"))
    }
    distances["shares of groups"] = 0.5 * sum(
        abs(new.groups.get(group, 0) / new.photos - old.groups.get(group, 0) / old.photos)
        for group in {*new.groups, *old.groups}
    )
    return [
        Issue("drift", name, "", 1 - distance, f"distance {distance:.2f}; up to {far:.2f} is tolerated")
        for name, distance in distances.items()
        if distance > far
    ]
