"""Whether the model should look again, at tiles, where a look at the whole photo leaves a doubt; and how."""

from collections.abc import Iterable, Iterator

import numpy as np
from sklearn.linear_model import LogisticRegression

from cat_model.bundle import SecondLook
from cat_model.photo import Photo, decode
from cat_model.predict import Predictor, combine, logit
from export import measure
from train import evaluate, stress
from train.dataset import CHOOSING, PEOPLE, VALIDATION, PhotoRecord
from train.run import Run

TILE = 0.62
"""Share of a photo's side that a tile takes: neighbours overlap by a third, so no cat is only cut."""
DOUBTS = ((0.02, 0.9), (0.05, 0.99), (0.02, 0.99))
"""Probabilities of the whole photo that may leave a doubt, least and end: the photos for choosing decide."""
PRECISION = 0.99
EVERY = 4
"""Of the stressed validation photos, each of so many decides whether the second look is kept."""


def choose(model: bytes, run: Run) -> SecondLook | None:
    """Fit second looks on the photos for choosing; return the one that finds most cats as precisely.

    The whole's logit and the strongest tile's are weighed by logistic regression. The judge is the mean of
    the recalls at precision 0.99 on stressed validation photos and on people's.

    Args:
        model: bytes of the .tflite file.
        run: that trained it.

    Returns:
        None where a second look does not pay, or nothing leaves a doubt.
    """
    looking = measure.predictor(model, run.config.side, None)
    records = [record for split in CHOOSING for record in run.manifest(split)]
    seen = look_twice(looking, (path for split in CHOOSING for path in measure.paths(run, split)))
    cats = np.array([record.is_cat for record in records])
    judging = [
        (look_twice(looking, photos), np.array([record.is_cat for record in shown]))
        for photos, shown in _judging(run)
    ]
    looks: list[SecondLook | None] = [None, *filter(None, (fit(seen, cats, *doubt) for doubt in DOUBTS))]
    recalls = [
        np.mean(
            [evaluate.recall_at_precision(both(again, look), truth, PRECISION) for again, truth in judging]
        )
        for look in looks
    ]
    for look, recall in zip(looks, recalls, strict=True):
        band = f"a second look from {look.low} to {look.high}" if look else "one look"
        print(f"Mean recall at precision {PRECISION} with {band}: {recall:.3f}")
    return looks[int(np.argmax(recalls))]  # of equals the first, which costs less


def fit(seen: np.ndarray, cats: np.ndarray, low: float, high: float) -> SecondLook | None:
    """Fit the weights of a second look.

    Args:
        seen: as `look_twice` returns it.
        cats: shape (N,), bool.
        low: least probability of the whole photo that leaves a doubt.
        high: end of those probabilities.

    Returns:
        None where all photos that leave a doubt are cats, or none is.
    """
    doubtful = (seen[:, 0] >= low) & (seen[:, 0] < high)
    if len(np.unique(cats[doubtful])) < 2:
        return None
    weighing = LogisticRegression().fit(logit(seen[doubtful]), cats[doubtful])
    (first, strongest), bias = weighing.coef_[0].tolist(), float(weighing.intercept_[0])
    return SecondLook(low, high, TILE, first, strongest, bias)


def look_twice(looking: Predictor, photos: Iterable[Photo]) -> np.ndarray:
    """Return probabilities of the whole and of the strongest tile (NaN without a doubt), shape (N, 2)."""
    least, end = min(low for low, _ in DOUBTS), max(high for _, high in DOUBTS)

    def work(batch: list[Photo]) -> np.ndarray:
        images = [decode(photo, at_least=2 * looking.bundle.side) for photo in batch]
        seen = np.full((len(batch), 2), np.nan)
        seen[:, 0] = looking.whole(images)
        doubtful = np.flatnonzero((seen[:, 0] >= least) & (seen[:, 0] < end))
        if len(doubtful):
            seen[doubtful, 1] = looking.strongest_tile([images[index] for index in doubtful], TILE)
        return seen

    return measure.in_batches(work, photos)


def both(seen: np.ndarray, look: SecondLook | None) -> np.ndarray:
    """Return the probabilities after a second look, shape (N,), from what `look_twice` returned."""
    probabilities = seen[:, 0].copy()
    if look:
        doubtful = (probabilities >= look.low) & (probabilities < look.high)
        probabilities[doubtful] = combine(*seen[doubtful].T, look)
    return probabilities


def share(look: SecondLook | None, whole: np.ndarray) -> float:
    """Return the share of photos, 0 to 1, that get a second look after such a first one, shape (N,)."""
    return float(((whole >= look.low) & (whole < look.high)).mean()) if look else 0.0


def _judging(run: Run) -> Iterator[tuple[Iterable[Photo], list[PhotoRecord]]]:
    """Yield the photos that decide, set by set: stressed validation photos, then people's."""
    validation, people = run.manifest(VALIDATION)[::EVERY], run.manifest(PEOPLE)
    distorted = (photo for name in stress.SLICES for photo in stress.photos(run.photos, validation, name))
    yield distorted, validation * len(stress.SLICES)
    if people:
        yield measure.paths(run, PEOPLE), people
