"""Photos that are probably in the wrong group: cleanlab on cross-validated answers from frozen features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import cat_model
from cat_model import photo as photo_module
from cat_model.bundle import sha256
from cat_model.photo import decode, resize
from train.checks_photos import PHOTOS
from train.checks_policy import Finding
from train.config import TrainError
from train.looks import PhotoRecord, in_threads
from train.memo import Memo, key

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


def embedder(backbone: str, weights: Path | None) -> Embedder:
    """Return the pretrained backbone where its file is given, or else the model that is shipped.

    The backbone has never seen the labels that are doubted; the shipped model may know a few by heart.

    Raises:
        TrainError: the weights cannot be read.
    """
    if weights is None:
        shipped = cat_model.load()

        def embed(pixels: np.ndarray) -> np.ndarray:
            batches = np.array_split(pixels, max(1, len(pixels) // BATCH))
            return np.concatenate([shipped.outputs(batch).embedding for batch in batches])

        return Embedder(f"shipped model {shipped.bundle.version}", shipped.bundle.side, lambda: embed)
    try:
        digest = sha256(weights.read_bytes())
    except OSError as error:
        raise TrainError(f"The weights in {weights} cannot be read: {error.strerror}.") from error

    def start() -> Callable[[np.ndarray], np.ndarray]:
        from train import model

        built = model.build(backbone, SIDE, weights)
        return lambda pixels: built.embed(pixels, BATCH)

    return Embedder(f"{backbone} {digest[:16]}", SIDE, start)


def embeddings(root: Path, records: Sequence[PhotoRecord], frozen: Embedder, cache: Path) -> np.ndarray:
    """Return the features of photos; those of a content that was embedded before come from the cache.

    Returns:
        Shape (N, C), float32.
    """
    memo, code = Memo(cache), key(photo_module, frozen.name)
    keys = [f"embedding {code} {record.sha256}" for record in records]
    kept = memo.get(keys)
    new = {k: record for k, record in zip(keys, records, strict=True) if k not in kept}
    embed = frozen.start() if new else None
    while new:
        chunk = [new.popitem() for _ in range(min(CHUNK, len(new)))]
        paths = [root / record.path for _, record in chunk]
        shown = in_threads(lambda path: resize(decode(path), frozen.side), paths, "resizing photos")
        features = embed(np.stack(shown)).reshape(len(chunk), -1).astype(np.float16)
        fresh = {k: row.tobytes() for (k, _), row in zip(chunk, features, strict=True)}
        memo.put(fresh)
        kept |= fresh
    return np.stack([np.frombuffer(kept[k], np.float16) for k in keys]).astype(np.float32)


def suspects(records: Sequence[PhotoRecord], features: np.ndarray) -> list[Finding]:
    """List photos whose features look like another group's, the least likely label first.

    Each photo is judged by a model that has seen neither it nor its near-duplicates (confident learning,
    C. Northcutt et al., 2021, through cleanlab).

    Args:
        records: N photos.
        features: shape (N, C).

    Returns:
        The findings; none where a group has too few families to be cross-validated.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names, given = np.unique([record.group for record in records], return_inverse=True)
    families = [record.family for record in records]
    if not enough(records):
        return []
    probabilities = cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=200)),
        features,
        given,
        groups=families,
        cv=StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0),
        method="predict_proba",
    )
    quality = get_label_quality_scores(given, probabilities)
    issues = find_label_issues(given, probabilities, filter_by="predicted_neq_given", n_jobs=1)
    found = []
    for index in np.flatnonzero(issues):
        record, best = records[index], probabilities[index].argmax()
        note = f"in {record.group}; looks like {names[best]} ({probabilities[index, best]:.2f})"
        path = f"{PHOTOS}/{record.path}"
        found.append(Finding("label", path, record.sha256, float(quality[index]), note))
    return found


def enough(records: Sequence[PhotoRecord]) -> bool:
    """Whether every group has the families that cross-validation needs."""
    families: dict[str, set[str]] = {}
    for record in records:
        families.setdefault(record.group, set()).add(record.family)
    return all(len(members) >= 2 * FOLDS for members in families.values())
