"""How far photos have moved from those of an earlier run: a profile of each, and the distances between."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ks_2samp

from train.checks_policy import Finding, Policy
from train.looks import Look

QUANTILES = np.linspace(0, 1, 101)
DIRECTIONS = 8
"""Embeddings are compared along so many random directions, the same ones for every run."""
CHANCE = 1.36
"""Samples of one kind differ by more than CHANCE * sqrt(1/n + 1/m) in one of 20 cases (N. Smirnov, 1948)."""


@dataclass(frozen=True)
class Profile:
    """What is remembered of a run's photos.

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


def profile(looks: Sequence[Look], features: np.ndarray, embedder: str) -> Profile:
    """Describe photos by their sizes, light, sharpness, groups and embeddings (N, C)."""
    directions = np.random.default_rng(0).normal(size=(features.shape[1], DIRECTIONS))
    projected = features @ (directions / np.linalg.norm(directions, axis=0))
    numbers = {
        "width": [look.record.width for look in looks],
        "height": [look.record.height for look in looks],
        "file size": [look.record.bytes for look in looks],
        "brightness": [look.measures["brightness"] for look in looks],
        "sharpness": [look.measures["blurriness"] for look in looks],
    } | {f"embedding {index + 1}": column for index, column in enumerate(projected.T)}
    return Profile(
        embedder=embedder,
        photos=len(looks),
        groups=dict(sorted(Counter(look.record.group for look in looks).items())),
        quantiles={name: np.quantile(values, QUANTILES).tolist() for name, values in numbers.items()},
    )


def drift(new: Profile, old: Profile, policy: Policy) -> list[Finding]:
    """List what differs: numbers by their Kolmogorov-Smirnov distance, group shares by total variation."""
    far = policy.rules["drift"]["farthest"] + CHANCE * np.sqrt(1 / new.photos + 1 / old.photos)
    distances = {
        name: float(ks_2samp(values, old.quantiles[name]).statistic)
        for name, values in new.quantiles.items()
        if name in old.quantiles and (new.embedder == old.embedder or not name.startswith("embedding"))
    }
    distances["shares of groups"] = 0.5 * sum(
        abs(new.groups.get(group, 0) / new.photos - old.groups.get(group, 0) / old.photos)
        for group in {*new.groups, *old.groups}
    )
    return [
        Finding("drift", name, "", 1 - distance, f"distance {distance:.2f}; up to {far:.2f} is tolerated")
        for name, distance in distances.items()
        if distance > far
    ]
