"""Folders of photos become a manifest, splits that near-duplicates never straddle, and cached pixels.

    DIR/cat/*.jpg   DIR/dog/*.jpg   DIR/selfie/*.jpg   DIR/misc/*.jpg

One folder is one group. The groups named cat* are positives; every other one is a negative and a slice of
the evaluation.
"""

import csv
import dataclasses
import hashlib
import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from cat_model import photo as photo_module
from cat_model.bundle import sha256
from cat_model.photo import PhotoError, decode, resize
from train.config import TrainError
from train.looks import PhotoRecord, Refusal, in_threads, look

TRAIN, VALIDATION, TEST, WILD, PEOPLE = "train", "validation", "test", "wild", "people"
CHOOSING = (VALIDATION, PEOPLE)
"""Splits that nothing is learned from and everything is chosen on: epoch, calibration, threshold."""
FOLDS = 20
TEST_FOLDS, VALIDATION_FOLDS = 4, 4
"""Of 20 parts: the threshold, and the lower end of the test's intervals, each need hundreds of cats."""


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
    looks, refusals = look(root, cache)
    records = [look.record for look in looks]
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


def assign_splits(records: Sequence[PhotoRecord], seed: int) -> list[PhotoRecord]:
    """Put each photo into train (60 %), validation (20 %) or test (20 %), stratified by group.

    Near-duplicates, mirrored ones too, always go together.

    Raises:
        TrainError: a group has too few photos to be split.
    """
    groups = [record.group for record in records]
    for group in sorted(set(groups)):
        if groups.count(group) < FOLDS:
            few = groups.count(group)
            raise TrainError(f"Group {group} has {few} photos; {FOLDS} are needed to split it.")
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    splits = np.full(len(records), TRAIN, dtype=object)
    for fold, (_, members) in enumerate(folds.split(groups, groups, [record.family for record in records])):
        if fold < TEST_FOLDS:
            splits[members] = TEST
        elif fold < TEST_FOLDS + VALIDATION_FOLDS:
            splits[members] = VALIDATION
    return [dataclasses.replace(r, split=str(s)) for r, s in zip(records, splits, strict=True)]


def fingerprint(records: Iterable[PhotoRecord]) -> str:
    """Return a SHA-256 that changes when a photo, its group or its split does."""
    lines = sorted(f"{record.sha256} {record.group} {record.split}\n" for record in records)
    return sha256("".join(lines).encode())


def pixels(root: Path, records: Sequence[PhotoRecord], side: int, cache: Path) -> np.ndarray:
    """Return every photo as the model sees it, resized once and cached on disk.

    Args:
        root: folder of groups the records' paths start from.
        records: which photos, in which order.
        side: pixels of each side.
        cache: folder of the cache; its files are named after the photos' hashes and the resizing code.

    Returns:
        Read-only memory map of shape (N, side, side, 3), uint8, RGB.

    Raises:
        TrainError: a photo is no longer there, or no longer a photo.
    """
    digest = hashlib.sha256(inspect.getsource(photo_module).encode())
    digest.update("".join(record.sha256 for record in records).encode())
    path = cache / f"pixels-{side}-{digest.hexdigest()[:16]}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        shape = (len(records), side, side, 3)
        array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)

        def fill(index: int) -> None:
            try:
                array[index] = resize(decode(root / records[index].path), side)
            except PhotoError as error:
                raise TrainError(f"{root / records[index].path} has changed: {error}") from error

        in_threads(fill, range(len(records)), "resizing photos")
        array.flush()
        partial.rename(path)
    return np.load(path, mmap_mode="r")


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
