"""The manifest of photos, and a split by content hash that near-duplicates never straddle.

    DIR/cat/*.jpg   DIR/dog/*.jpg   DIR/selfie/*.jpg   DIR/misc/*.jpg

One folder is one group. The groups named cat* are positives; every other one is a negative and a slice of
the evaluation.
"""

import csv
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from cat_model.bundle import sha256
from train.config import TrainError
from train.data.scan import PhotoRecord, Refusal, read_folder

TRAIN, VALIDATION, TEST, WILD, PEOPLE = "train", "validation", "test", "wild", "people"
CHOOSING = (VALIDATION, PEOPLE)
"""Splits that nothing is learned from and everything is chosen on: epoch, calibration, threshold."""


def scan(root: Path, cache: Path | None = None) -> tuple[list[PhotoRecord], list[Refusal]]:
    """Read every file of every group.

    Args:
        root: folder of groups; hidden files and folders are passed over.
        cache: folder that keeps what was seen, so that an unchanged file is not read again; or None.

    Returns:
        The photos, sorted by path, and the files that could not be read as photos.

    Raises:
        TrainError: there is no such folder, or no group with photos, or no cats, or only cats.
    """
    scanned, refusals = read_folder(root, cache)
    records = [photo.record for photo in scanned]
    require_both(root, records)
    return records, refusals


def require_both(root: Path, records: Iterable[PhotoRecord]) -> None:
    """Raise TrainError unless there are photos of cats and of something else."""
    groups = {record.group: record.is_cat for record in records}
    if set(groups.values()) != {True, False}:
        raise TrainError(
            f"{root} must hold one folder a group, with photos in at least one named cat… and one other; "
            f"found {sorted(groups) or 'no photos'}."
        )


def sample(records: Sequence[PhotoRecord], per_group: int, seed: int) -> list[PhotoRecord]:
    """Keep at most `per_group` photos of each group, chosen by a seeded draw."""
    order = np.random.default_rng(seed).permutation(len(records))
    kept: dict[str, list[int]] = {}
    for index in order:
        chosen = kept.setdefault(records[index].group, [])
        if len(chosen) < per_group:
            chosen.append(int(index))
    return [records[index] for index in sorted(i for chosen in kept.values() for i in chosen)]


def assign_splits(
    records: Sequence[PhotoRecord], test_percent: int, validation_percent: int
) -> list[PhotoRecord]:
    """Put each photo into train, validation or test by its content, so that it stays there for good.

    The first eight hexadecimal digits of the file's SHA-256, modulo 100, decide: below `test_percent` it is a
    test photo, in the next `validation_percent` a validation photo. A family of near-duplicates goes where
    its smallest SHA-256 goes. So added photos move no other, but for near-duplicates of what is added.

    Raises:
        TrainError: a split has no cat, or nothing else.
    """
    first: dict[str, str] = {}
    for record in records:
        first[record.family] = min(first.get(record.family, record.sha256), record.sha256)

    def split(record: PhotoRecord) -> str:
        percent = int(first[record.family][:8], 16) % 100
        if percent < test_percent:
            return TEST
        return VALIDATION if percent < test_percent + validation_percent else TRAIN

    placed = [dataclasses.replace(record, split=split(record)) for record in records]
    for name in (TRAIN, VALIDATION, TEST):
        if {record.is_cat for record in placed if record.split == name} != {True, False}:
            raise TrainError(
                f"The {name} split of {len(records)} photos has none of a cat or none of anything else: "
                "more photos are needed."
            )
    return placed


def fingerprint(records: Iterable[PhotoRecord]) -> str:
    """Return a SHA-256 that changes when a photo, its group or its split does."""
    lines = sorted(f"{record.sha256} {record.group} {record.split}\n" for record in records)
    return sha256("".join(lines).encode())


def labels(records: Sequence[PhotoRecord]) -> np.ndarray:
    """Return shape (N,), float32: 1 for a cat, 0 for anything else."""
    return np.array([record.is_cat for record in records], dtype=np.float32)


def write_manifest(path: Path, records: Sequence[PhotoRecord]) -> None:
    """Write the records as CSV, one line a photo."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(PhotoRecord)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(record) for record in records)


def read_manifest(path: Path) -> list[PhotoRecord]:
    """Read what `write_manifest` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            PhotoRecord(**{**row, **{name: int(row[name]) for name in ("bytes", "width", "height")}})
            for row in csv.DictReader(file)
        ]
