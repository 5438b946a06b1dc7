"""Each file of the photos is decoded once: here it becomes a record, a thumbnail and a few measures."""

import base64
import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import imagehash
import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from cat_model import folders
from cat_model.bundle import sha256
from cat_model.photo import DECODE_VERSION, PhotoError, decode, readable
from train.config import TrainError
from train.data import duplicates
from train.data.cache import Cache, key
from train.data.duplicates import Prints

MEASURED_SIDE = 512
"""Light and blur are measured on a picture of at most so many pixels a side: big photos take no longer."""

T = TypeVar("T")


@dataclass(frozen=True)
class PhotoRecord:
    """One photo of the manifest.

    Attributes:
        path: file, relative to the folder of groups.
        group: name of its folder, or the one that a person's decision gave it.
        sha256: of the file's bytes.
        bytes: size of the file.
        width: pixels, upright.
        height: pixels, upright.
        phash: perceptual hash, 16 hexadecimal digits (J. Zauner, 2010, through `imagehash`).
        mirrored: perceptual hash of the mirrored photo.
        family: the same for near-duplicates: the first 16 digits of the first one's sha256.
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
    family: str = ""
    split: str = ""

    @property
    def is_cat(self) -> bool:
        """Whether the photo's group is a positive one."""
        return self.group.startswith("cat")


@dataclass(frozen=True)
class Refusal:
    """A file that is not a usable photo, and why; its sha256 is empty where it could not be read at all."""

    path: str
    reason: str
    sha256: str


@dataclass(frozen=True)
class ScannedPhoto:
    """A photo of a folder as it was decoded once.

    Attributes:
        record: the photo's line of the manifest.
        thumbnail: greys, `duplicates.SIDE` squared bytes.
        measures: cleanvision's properties of the picture by name, such as "brightness" and "entropy".
    """

    record: PhotoRecord
    thumbnail: bytes
    measures: dict[str, float]


def read_folder(root: Path, cache: Path | None = None) -> tuple[list[ScannedPhoto], list[Refusal]]:
    """Read every file of every group; a file that has not changed since is not read again.

    Args:
        root: folder of groups; what `cat_model.folders` calls junk is passed over.
        cache: folder that keeps what was seen; None to keep nothing.

    Returns:
        The photos, sorted by path, with their families, and the files that could not be read as photos.

    Raises:
        TrainError: there is no such folder.
    """
    if not root.is_dir():
        raise TrainError(f"There is no folder {root}. `python -m train fetch` gets a public set of photos.")
    paths, unlisted = _files(root)
    code = key(DECODE_VERSION, readable(), duplicates, sys.modules[__name__])
    table, keys = Cache(cache), {path: _state(root / path, code) for path in paths}
    kept = table.get(keys.values())
    new = [path for path in paths if keys[path] not in kept]
    results = in_threads(lambda path: _read(root, path), new, "reading photos")
    fresh = dict(zip(new, results, strict=True))
    # What could not be read may be readable next time, though its size and date are the same.
    known = {keys[path]: _pack(result) for path, result in fresh.items() if not _unread(result)}
    table.put(known)
    seen = [fresh[path] if path in fresh else _unpack(kept[keys[path]]) for path in paths]
    scanned = [result for result in seen if isinstance(result, ScannedPhoto)]
    refused = [result for result in seen if isinstance(result, Refusal)]
    return _with_families(scanned, table), refused + unlisted


def _files(root: Path) -> tuple[list[Path], list[Refusal]]:
    """Return the files of all groups, relative to their folder and sorted, and the folders that do not open.

    A file that two groups link to is in both: the checks are to see that.
    """
    errors: list[OSError] = []
    groups = [path for path in root.iterdir() if path.is_dir() and not folders.is_junk(path.name, True)]
    found = [path for group in groups for path in folders.files(group, errors.append) if path.is_file()]
    unlisted = [
        Refusal(
            Path(error.filename).relative_to(root).as_posix(),
            f"This folder cannot be read: {error.strerror}.",
            "",
        )
        for error in errors
    ]
    return sorted(path.relative_to(root) for path in found), unlisted


def prints(scanned: Sequence[ScannedPhoto]) -> Prints:
    """Return what is compared to find near-duplicates."""
    return Prints(
        hashes=np.array([int(photo.record.phash, 16) for photo in scanned], dtype=np.uint64),
        mirrored=np.array([int(photo.record.mirrored, 16) for photo in scanned], dtype=np.uint64),
        thumbnails=duplicates.stack([photo.thumbnail for photo in scanned]),
    )


def _state(path: Path, code: str) -> str:
    status = path.stat()
    return key(code, path.absolute(), status.st_size, status.st_mtime_ns)


def _unread(result: ScannedPhoto | Refusal) -> bool:
    return isinstance(result, Refusal) and not result.sha256


def _read(root: Path, path: Path) -> ScannedPhoto | Refusal:
    data = None
    try:
        data = (root / path).read_bytes()
        image = decode(data)
    except (PhotoError, OSError) as error:
        return Refusal(path.as_posix(), str(error), "" if data is None else sha256(data))
    record = PhotoRecord(
        path=path.as_posix(),
        group=path.parts[0],
        sha256=sha256(data),
        bytes=len(data),
        width=image.width,
        height=image.height,
        phash=str(imagehash.phash(image)),
        mirrored=str(imagehash.phash(ImageOps.mirror(image))),
    )
    return ScannedPhoto(record, duplicates.thumbnail(image).tobytes(), _measure(image))


def _measure(image: Image.Image) -> dict[str, float]:
    from cleanvision.issue_managers import image_property as cleanvision

    small = image.copy()
    small.thumbnail((MEASURED_SIDE, MEASURED_SIDE))
    measures = {}
    for whole in (cleanvision.AspectRatioProperty(), cleanvision.SizeProperty()):
        measures |= whole.calculate(image)
    for light in (cleanvision.BrightnessProperty("dark"), cleanvision.EntropyProperty()):
        measures |= light.calculate(small)
    measures |= cleanvision.BlurrinessProperty().calculate(small)
    return {name: float(value) for name, value in measures.items()}


def _with_families(scanned: Sequence[ScannedPhoto], table: Cache) -> list[ScannedPhoto]:
    """Fill in the families: copies byte by byte are one photo, whatever it shows."""
    distinct = {photo.record.sha256: photo for photo in scanned}
    mine = key("families", duplicates, *distinct)
    kept = table.get([mine])
    if not kept:
        numbers = duplicates.families(prints(list(distinct.values()))).tolist() if distinct else []
        kept = {mine: json.dumps(numbers).encode()}
        table.put(kept)
    number_of = dict(zip(distinct, json.loads(kept[mine]), strict=True))
    first: dict[int, str] = {}
    for digest, number in number_of.items():
        first.setdefault(number, digest[:16])
    return [
        dataclasses.replace(
            photo, record=dataclasses.replace(photo.record, family=first[number_of[photo.record.sha256]])
        )
        for photo in scanned
    ]


def _pack(result: ScannedPhoto | Refusal) -> bytes:
    stored = dataclasses.asdict(result)
    if isinstance(result, ScannedPhoto):
        stored["thumbnail"] = base64.b64encode(result.thumbnail).decode()
    return json.dumps(stored).encode()


def _unpack(kept: bytes) -> ScannedPhoto | Refusal:
    stored = json.loads(kept)
    if "reason" in stored:
        return Refusal(**stored)
    thumbnail = base64.b64decode(stored["thumbnail"])
    return ScannedPhoto(PhotoRecord(**stored["record"]), thumbnail, stored["measures"])


def in_threads(work: Callable[..., T], items: Sequence | Iterable, title: str) -> list[T]:
    """Map over items on all cores (Pillow decodes outside Python's lock) with a progress bar."""
    items = list(items)
    with ThreadPoolExecutor() as pool:
        done = pool.map(work, items)
        return list(tqdm(done, total=len(items), desc=title, unit="photo", leave=False, disable=None))
