"""Folders of photos become a manifest, splits that near-duplicates never straddle, and cached pixels.

    DIR/cat/*.jpg   DIR/dog/*.jpg   DIR/selfie/*.jpg   DIR/misc/*.jpg

One folder is one group. The groups named cat* are positives; every other one is a negative and a slice of
the evaluation.
"""

import csv
import dataclasses
import hashlib
import inspect
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import imagehash
import numpy as np
from PIL import ImageOps
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from cat_model import photo as photo_module
from cat_model.bundle import sha256
from cat_model.photo import PhotoError, decode, resize
from train.config import TrainError

TRAIN, VALIDATION, TEST, WILD, PEOPLE = "train", "validation", "test", "wild", "people"
CHOOSING = (VALIDATION, PEOPLE)
"""Splits that nothing is learned from and everything is chosen on: epoch, calibration, threshold."""
FOLDS = 20
TEST_FOLDS, VALIDATION_FOLDS = 4, 4
"""Of 20 parts: the threshold, and the lower end of the test's intervals, each need hundreds of cats."""
NEAR = 6
"""Photos whose 64-bit perceptual hashes differ in at most so many bits count as near-duplicates."""

T = TypeVar("T")


@dataclass(frozen=True)
class PhotoRecord:
    """One photo of the manifest.

    Attributes:
        path: file, relative to the folder of groups.
        group: name of its folder.
        sha256: of the file's bytes.
        bytes: size of the file.
        width: pixels, upright.
        height: pixels, upright.
        phash: perceptual hash, 16 hexadecimal digits (J. Zauner, 2010, through `imagehash`).
        mirrored: perceptual hash of the mirrored photo.
        split: "train", "validation", "test", "wild" or "people"; empty until it is assigned.
    """

    path: str
    group: str
    sha256: str
    bytes: int
    width: int
    height: int
    phash: str
    mirrored: str
    split: str = ""

    @property
    def is_cat(self) -> bool:
        """Whether the photo's group is a positive one."""
        return self.group.startswith("cat")


@dataclass(frozen=True)
class Refusal:
    """A file that is not a usable photo, and why."""

    path: str
    reason: str


def scan(root: Path) -> tuple[list[PhotoRecord], list[Refusal]]:
    """Read every file of every group.

    Args:
        root: folder of groups; hidden files and folders are passed over.

    Returns:
        The photos, sorted by path, and the files that could not be read as photos.

    Raises:
        TrainError: there is no such folder, or no group with photos, or no cats, or only cats.
    """
    if not root.is_dir():
        raise TrainError(f"There is no folder {root}. `python -m train fetch` gets a public set of photos.")
    paths = sorted(
        path.relative_to(root)
        for path in root.glob("*/**/*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    results = _in_threads(lambda path: _read(root, path), paths, "reading photos")
    records = [result for result in results if isinstance(result, PhotoRecord)]
    if {record.is_cat for record in records} != {True, False}:
        raise TrainError(
            f"{root} must hold one folder a group, with photos in at least one named cat… and one other; "
            f"found {sorted({record.group for record in records}) or 'no photos'}."
        )
    return records, [result for result in results if isinstance(result, Refusal)]


def _read(root: Path, path: Path) -> PhotoRecord | Refusal:
    try:
        data = (root / path).read_bytes()
        image = decode(data)
    except (PhotoError, OSError) as error:
        return Refusal(str(path), str(error))
    return PhotoRecord(
        path=path.as_posix(),
        group=path.parts[0],
        sha256=sha256(data),
        bytes=len(data),
        width=image.width,
        height=image.height,
        phash=str(imagehash.phash(image)),
        mirrored=str(imagehash.phash(ImageOps.mirror(image))),
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
    for fold, (_, members) in enumerate(folds.split(groups, groups, near_duplicates(records))):
        if fold < TEST_FOLDS:
            splits[members] = TEST
        elif fold < TEST_FOLDS + VALIDATION_FOLDS:
            splits[members] = VALIDATION
    return [dataclasses.replace(r, split=str(s)) for r, s in zip(records, splits, strict=True)]


def near_duplicates(records: Sequence[PhotoRecord]) -> np.ndarray:
    """Number the families of near-duplicates by perceptual hash.

    Returns:
        Shape (N,), int: photos with the same number are linked by near-duplicates.
    """
    hashes = np.array([int(record.phash, 16) for record in records], dtype=np.uint64)
    mirrored = np.array([int(record.mirrored, 16) for record in records], dtype=np.uint64)
    rows, columns = [], []
    for index, value in enumerate(hashes):
        later = slice(index + 1, None)
        near = np.bitwise_count(hashes[later] ^ value) <= NEAR
        near |= np.bitwise_count(mirrored[later] ^ value) <= NEAR
        found = np.flatnonzero(near) + index + 1
        columns.append(found)
        rows.append(np.full(len(found), index))
    row, column = np.concatenate(rows), np.concatenate(columns)
    links = coo_array((np.ones(len(row), dtype=bool), (row, column)), shape=(len(records),) * 2)
    return connected_components(links, directed=False)[1]


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

        _in_threads(fill, range(len(records)), "resizing photos")
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


def _in_threads(work: Callable[..., T], items: Sequence, title: str) -> list[T]:
    """Map over items on all cores (Pillow decodes outside Python's lock) with a progress bar."""
    with ThreadPoolExecutor() as pool:
        done = pool.map(work, items)
        return list(tqdm(done, total=len(items), desc=title, unit="photo", leave=False, disable=None))
