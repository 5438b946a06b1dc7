"""The data set: decoded pixels in a memory-mapped cache, labels, and the boxes of the cats.

Training crops out of the photos, so they are kept larger than the model's side: a crop of a third is still
sharp. One file holds all photos of one side; a photo has its row by the hash of its file, so that added
photos are added to the file and others stay where they are.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cat_model.atomic import write_durably
from cat_model.photo import DECODE_VERSION, PhotoError, decode, resize
from train.config import TrainError
from train.data.augment import Example
from train.data.scan import PhotoRecord, in_threads

LARGE = 416
"""Pixels of each side at which photos are kept for training."""
CHUNK = 1_024
"""Photos that are decoded between two notes of what is done."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, as fractions of the photo's width and height."""


@dataclass(frozen=True)
class Pixels:
    """Photos on disk, by their position in a list of records.

    Attributes:
        stored: memory map of shape (M, side, side, 3), uint8, RGB.
        rows: shape (N,): the row of each photo.
    """

    stored: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        """Return N."""
        return len(self.rows)

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        """Return one photo, shape (side, side, 3), or several, in memory."""
        return self.stored[self.rows[index]]


def pixels(root: Path, records: Sequence[PhotoRecord], side: int, cache: Path) -> Pixels:
    """Return photos squeezed to a square, decoded at the first call for each.

    Args:
        root: folder of groups that the records' paths start from.
        records: which photos, in which order.
        side: pixels of each side.
        cache: folder of the file; stopped in between, it goes on after the last chunk.

    Raises:
        TrainError: a photo is no longer there, or no longer a photo.
    """
    cache.mkdir(parents=True, exist_ok=True)
    file = cache / f"pixels-{side}-v{DECODE_VERSION}.u8"
    index_file = file.with_suffix(".json")
    index: dict[str, int] = json.loads(index_file.read_text()) if index_file.exists() else {}
    missing = list({r.sha256: r for r in records if r.sha256 not in index}.values())
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        photos = in_threads(lambda record: _read(root, record, side), chunk, "decoding photos")
        with file.open("r+b" if file.exists() else "w+b") as opened:
            opened.seek(len(index) * side * side * 3)  # over what a stop left behind
            for photo in photos:
                opened.write(photo.tobytes())
        index |= {record.sha256: len(index) + number for number, record in enumerate(chunk)}
        write_durably(index_file, json.dumps(index).encode())
    stored = np.memmap(file, np.uint8, "r", shape=(len(index), side, side, 3))
    return Pixels(stored, np.array([index[record.sha256] for record in records], dtype=np.int64))


def _read(root: Path, record: PhotoRecord, side: int) -> np.ndarray:
    try:
        return resize(decode(root / record.path), side)
    except PhotoError as error:
        raise TrainError(f"{root / record.path} has changed: {error}") from error


@dataclass(frozen=True)
class Examples:
    """Photos to learn from.

    Attributes:
        photos: their pixels.
        labels: shape (N,), bool: which show a cat.
        boxes: of each photo the boxes of its cats, shape (K, 4), float32; K is 0 where none are known.
    """

    photos: Pixels
    labels: np.ndarray
    boxes: Sequence[np.ndarray]

    def __getitem__(self, index: int) -> Example:
        """Return one photo."""
        return Example(self.photos[index], bool(self.labels[index]), self.boxes[index])


def read_boxes(path: Path) -> dict[Path, list[Box]]:
    """Return the boxes of cats by the photos' absolute paths.

    The file is a CSV with the columns file, animal, x0, y0, x1 and y1; `file` starts at the CSV's folder.

    Raises:
        TrainError: the file cannot be read, or a line holds no box.
    """
    found: dict[Path, list[Box]] = {}
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


def boxes_of(
    root: Path, records: Sequence[PhotoRecord], boxes: Mapping[Path, Sequence[Box]]
) -> list[np.ndarray]:
    """Return the boxes of each photo's cats, shape (K, 4), float32; of photos without a cat none."""
    return [
        np.array(boxes.get((root / record.path).resolve(), ()) if record.is_cat else (), np.float32).reshape(
            -1, 4
        )
        for record in records
    ]
