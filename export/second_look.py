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
DOUBT = (0.02, 0.9)
"""Probabilities of the whole photo that leave a doubt."""
PRECISION = 0.99
EVERY = 4
"""Of the stressed validation photos, each of so many decides whether the second look is kept."""


def choose(model: bytes, run: Run) -> SecondLook | None:
    """Fit the second look on the photos for choosing; keep it if it finds more cats as precisely.

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
    look = fit(seen, cats)
    if look is None:
        return None
    once, twice = [], []
    for photos, shown in _judging(run):
        again = look_twice(looking, photos)
        truth = np.array([record.is_cat for record in shown])
        once.append(evaluate.recall_at_precision(again[:, 0], truth, PRECISION))
        twice.append(evaluate.recall_at_precision(both(again, look), truth, PRECISION))
    print(f"Recall at precision {PRECISION}: {np.round(once, 3)} at one look, {np.round(twice, 3)} at two.")
    return look if np.mean(twice) > np.mean(once) else None


def fit(seen: np.ndarray, cats: np.ndarray) -> SecondLook | None:
    """Fit the weights of a second look.

    Args:
        seen: as `look_twice` returns it.
        cats: shape (N,), bool.

    Returns:
        None where all photos that leave a doubt are cats, or none is.
    """
    doubtful = ~np.isnan(seen[:, 1])
    if len(np.unique(cats[doubtful])) < 2:
        return None
    weighing = LogisticRegression().fit(logit(seen[doubtful]), cats[doubtful])
    (first, strongest), bias = weighing.coef_[0].tolist(), float(weighing.intercept_[0])
    return SecondLook(*DOUBT, TILE, first, strongest, bias)


def look_twice(looking: Predictor, photos: Iterable[Photo]) -> np.ndarray:
    """Return probabilities of the whole and of the strongest tile (NaN without a doubt), shape (N, 2)."""

    def work(batch: list[Photo]) -> np.ndarray:
        images = [decode(photo, at_least=2 * looking.bundle.side) for photo in batch]
        seen = np.full((len(batch), 2), np.nan)
        seen[:, 0] = looking.whole(images)
        doubtful = np.flatnonzero((seen[:, 0] >= DOUBT[0]) & (seen[:, 0] < DOUBT[1]))
        if len(doubtful):
            seen[doubtful, 1] = looking.strongest_tile([images[index] for index in doubtful], TILE)
        return seen

    return measure.in_batches(work, photos)


def both(seen: np.ndarray, look: SecondLook) -> np.ndarray:
    """Return the probabilities after a second look, shape (N,), from what `look_twice` returned."""
    probabilities, doubtful = seen[:, 0].copy(), ~np.isnan(seen[:, 1])
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
