"""Where in a photo its cats are, for training that looks at places: a CSV of boxes becomes small pictures.

    file,animal,x0,y0,x1,y1
    train/cat/one.jpg,cat,0.17,0.29,0.70,0.65

`file` starts at the folder that the CSV lies in; corners are shares of the photo's width and height.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from train.config import OPENIMAGES, TrainConfig, TrainError
from train.looks import PhotoRecord

SIDE = 64
"""Pixels of each side of the pictures that show where the cats are."""
COVERED, BARE = 0.4, 0.05
"""Shares of a cell that a cat covers: from the first on it shows a cat, below the second it does not."""
UNKNOWN = -1.0

Corners = tuple[float, float, float, float]


def require_use(config: TrainConfig) -> None:
    """Make sure that boxes teach a configuration something.

    Raises:
        TrainError: they would not.
    """
    if not config.learns_places:
        raise TrainError(
            "--boxes is for a recipe with strongest and without mixup, and for a backbone other than "
            f"{OPENIMAGES}; give one by --config (such as train/recipe.json), or leave --boxes out."
        )


def read(path: Path) -> dict[Path, list[Corners]]:
    """Return the boxes of cats by the photos' absolute paths.

    Raises:
        TrainError: the file cannot be read, or a line holds no box.
    """
    found: dict[Path, list[Corners]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                left, top, right, bottom = (float(row[name]) for name in ("x0", "y0", "x1", "y1"))
                if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
                    raise ValueError(f"the box {left}, {top}, {right}, {bottom} of {row['file']} is none")
                if row["animal"] == "cat":
                    photo = (path.parent / row["file"]).resolve()
                    found.setdefault(photo, []).append((left, top, right, bottom))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainError(f"The boxes in {path} cannot be read: {error}") from error
    return found


def draw(
    root: Path, records: Sequence[PhotoRecord], boxes: Mapping[Path, Sequence[Corners]]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw where the cats of photos are.

    Args:
        root: folder of groups the records' paths start from.
        records: which photos, in which order.
        boxes: as `read` returns them.

    Returns:
        Pictures (N, SIDE, SIDE), uint8, 255 where a cat is; and whether that is known, (N,), bool: of every
        photo without a cat, and of those with boxes.
    """
    pictures = np.zeros((len(records), SIDE, SIDE), np.uint8)
    known = np.array([not record.is_cat for record in records])
    for index, record in enumerate(records):
        of_photo = boxes.get((root / record.path).resolve(), ()) if record.is_cat else ()
        for left, top, right, bottom in of_photo:
            rows = slice(round(top * SIDE), max(round(bottom * SIDE), round(top * SIDE) + 1))
            pictures[index, rows, round(left * SIDE) : max(round(right * SIDE), round(left * SIDE) + 1)] = 255
        known[index] |= len(of_photo) > 0
    return pictures, known


def targets(covered: np.ndarray) -> np.ndarray:
    """Return what cells are to be taught: 1 a cat, 0 none, UNKNOWN where a cat only just reaches into it.

    Args:
        covered: share of each cell that cats cover, 0 to 1, any shape.

    Returns:
        The same shape, float32.
    """
    return np.select([covered >= COVERED, covered < BARE], [1.0, 0.0], UNKNOWN).astype(np.float32)
