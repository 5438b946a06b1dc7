"""Label errors by confident learning (C. Northcutt et al., 2021): cleanlab on frozen features.

Only "cat" and "no cat" are told apart: the other groups may overlap, and the model never tells them apart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import cat_model
from cat_model.photo import DECODE_VERSION, decode, resize
from train.checks.images import PHOTOS
from train.checks.policy import Issue
from train.config import TrainConfig, find_backbone
from train.data.cache import Cache, key
from train.data.scan import PhotoRecord, in_threads

SIDE = 224
"""Pixels of each side of the photos that a pretrained backbone is shown."""
FOLDS = 5
STRENGTH = 1e-3
"""Inverse strength of L2 regularisation of the probabilities' model; anything near does as well."""
BATCH, CHUNK = 64, 1024


@dataclass(frozen=True)
class Embedder:
    """A frozen network that turns photos into features.

    Attributes:
        name: what it is, with a digest; features of one name can be compared.
        side: pixels of each side of the photos it takes.
        start: returns a function from pixels (N, side, side, 3), uint8, to features (N, C); may take long.
    """

    name: str
    side: int
    start: Callable[[], Callable[[np.ndarray], np.ndarray]]


def embedder(backbone: str) -> Embedder:
    """Return the pretrained backbone, which has never seen the labels that are checked.

    Without one (the tiny backbone is not pretrained) it is the shipped model, which may know a few by heart.
    """
    found = find_backbone(backbone)
    if found.variant is None:
        shipped = cat_model.load()

        def embed(pixels: np.ndarray) -> np.ndarray:
            batches = np.array_split(pixels, max(1, len(pixels) // BATCH))
            return np.concatenate([shipped.cascade.runtime.run(batch).embedding for batch in batches])

        return Embedder(f"shipped model {shipped.bundle.version}", shipped.bundle.side, lambda: embed)

    def start() -> Callable[[np.ndarray], np.ndarray]:
        from train.models import heads

        built, _ = heads.build(TrainConfig(backbone=backbone, side=SIDE))
        # Without the last entry, the cat map's: its head is untrained.
        return lambda pixels: built.embed(pixels, BATCH)[:, :-1]

    return Embedder(f"{backbone} {found.weights}", SIDE, start)


def embeddings(root: Path, records: Sequence[PhotoRecord], frozen: Embedder, cache: Path) -> np.ndarray:
    """Return the features of photos; those of a content that was embedded before come from the cache.

    Returns:
        Shape (N, C), float32.
    """
    table, code = Cache(cache), key(DECODE_VERSION, frozen.name)
    keys = [f"embedding {code} {record.sha256}" for record in records]
    kept = table.get(keys)
    new = {k: record for k, record in zip(keys, records, strict=True) if k not in kept}
    if new:
        kept |= _embed(root, new, frozen, table)
    return np.stack([np.frombuffer(kept[k], np.float16) for k in keys]).astype(np.float32)


def _embed(root: Path, new: Mapping[str, PhotoRecord], frozen: Embedder, table: Cache) -> dict[str, bytes]:
    """Embed photos by their keys; each chunk is kept as soon as it is done."""
    embed, left, done = frozen.start(), dict(new), {}
    while left:
        chunk = [left.popitem() for _ in range(min(CHUNK, len(left)))]
        paths = [root / record.path for _, record in chunk]
        shown = in_threads(lambda path: resize(decode(path), frozen.side), paths, "resizing photos")
        features = embed(np.stack(shown)).reshape(len(chunk), -1).astype(np.float16)
        fresh = {k: row.tobytes() for (k, _), row in zip(chunk, features, strict=True)}
        table.put(fresh)
        done |= fresh
    return done


def suspects(records: Sequence[PhotoRecord], features: np.ndarray) -> list[Issue]:
    """List photos whose features speak against their label, cat or no cat, the least likely label first.

    Each photo is predicted by a model that has seen neither it nor its near-duplicates (confident learning,
    C. Northcutt et al., 2021, through cleanlab).

    Args:
        records: N photos.
        features: shape (N, C).

    Returns:
        The issues; none where a group has too few families to be cross-validated.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    given = np.array([record.is_cat for record in records]).astype(int)
    families = [record.family for record in records]
    if not enough(records):
        return []
    probabilities = np.asarray(
        cross_val_predict(
            make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=200)),
            features,
            given,
            groups=families,
            cv=StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0),
            method="predict_proba",
        )
    )
    quality = get_label_quality_scores(given, probabilities)
    issues = find_label_issues(given, probabilities, filter_by="predicted_neq_given", n_jobs=1)
    found = []
    for index in np.flatnonzero(issues).tolist():
        record, best = records[index], probabilities[index].argmax()
        shown = "a cat" if best else "no cat"
        note = f"in {record.group}; looks like {shown} ({probabilities[index, best]:.2f})"
        path = f"{PHOTOS}/{record.path}"
        found.append(Issue("label", path, record.sha256, float(quality[index]), note))
    return found


def enough(records: Sequence[PhotoRecord]) -> bool:
    """Whether every group has the families that cross-validation needs."""
    families: dict[str, set[str]] = {}
    for record in records:
        families.setdefault(record.group, set()).add(record.family)
    return all(len(members) >= 2 * FOLDS for members in families.values())
