"""Near-duplicates: photos that are one another re-scaled, re-compressed, mirrored or cropped a little.

Photos whose perceptual hashes are near, and whose thumbnails look alike, are candidates. A candidate's
thumbnail is then shifted and stretched until it lies on the other's as well as it can; what still agrees is a
near-duplicate. The hashes alone cannot tell a crop by 5 % from another photo: both differ in 10 to 20 bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cat_model.photo import resize

SIDE = 32
"""Pixels of each side of a thumbnail."""
NEAR = 20
"""Bits of 64 in which the perceptual hashes of candidates may differ."""
ALIKE = 0.75
"""Correlation of coarse thumbnails (8 × 8) that candidates have at least."""
SAME = 0.8
"""Correlation of the edges in aligned thumbnails that near-duplicates have at least. Photos cropped by 5 % on
every side reach 0.85 and more; two skies over two meadows, which agree in all but detail, 0.4."""
STEPS = 6
FARTHEST = 3.0
"""Thumbnail pixels that an edge may move by in one direction: 9 % of the side."""
CHUNK = 2000


@dataclass(frozen=True)
class Prints:
    """What is compared of N photos.

    Attributes:
        hashes: shape (N,), uint64: perceptual hashes (J. Zauner, 2010).
        mirrored: shape (N,), uint64: those of the mirrored photos.
        thumbnails: shape (N, SIDE, SIDE), uint8: as `thumbnail` makes them.
    """

    hashes: np.ndarray
    mirrored: np.ndarray
    thumbnails: np.ndarray

    def __len__(self) -> int:
        """Return N."""
        return len(self.hashes)


def thumbnail(image: Image.Image) -> np.ndarray:
    """Return an RGB picture as greys of shape (SIDE, SIDE), uint8."""
    return np.asarray(Image.fromarray(resize(image, SIDE)).convert("L"))


def families(prints: Prints) -> np.ndarray:
    """Number the families of near-duplicates.

    Returns:
        Shape (N,), int: photos with the same number are linked by near-duplicates.
    """
    first, second = pairs(prints)
    links = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(len(prints),) * 2)
    return connected_components(links, directed=False)[1]


def pairs(prints: Prints, others: Prints | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of near-duplicates, among photos or between photos and others.

    Returns:
        Two arrays of one length, int: index of a photo, and index of its near-duplicate (a later photo, or
        one of the others).
    """
    against = others or prints
    found: list[np.ndarray] = []
    for flipped, hashes in ((False, against.hashes), (True, against.mirrored)):
        coarse, coarse_against = _coarse(prints.thumbnails), _coarse(_flip(against.thumbnails, flipped))
        rows = []
        for index, value in enumerate(prints.hashes):
            start = 0 if others else index + 1
            near = np.flatnonzero(np.bitwise_count(hashes[start:] ^ value) <= NEAR) + start
            near = near[coarse_against[near] @ coarse[index] >= ALIKE]
            rows.append(np.stack([np.full(len(near), index), near]))
        candidates = np.concatenate(rows, axis=1) if rows else np.empty((2, 0), int)
        for chunk in np.array_split(candidates, max(1, candidates.shape[1] // CHUNK), axis=1):
            left = prints.thumbnails[chunk[0]].astype(np.float32)
            right = _flip(against.thumbnails[chunk[1]], flipped).astype(np.float32)
            # Either may be a part of the other; a thumbnail can only be aligned to what it covers.
            agreement = np.maximum(_align(left, right), _align(right, left))
            found.append(chunk[:, agreement >= SAME])
    first, second = np.unique(np.concatenate(found, axis=1), axis=1)
    return first, second


def _flip(thumbnails: np.ndarray, flipped: bool) -> np.ndarray:
    return thumbnails[:, :, ::-1] if flipped else thumbnails


def _coarse(thumbnails: np.ndarray) -> np.ndarray:
    blocks = thumbnails.reshape(len(thumbnails), 8, SIDE // 8, 8, SIDE // 8).mean((2, 4))
    return _normalise(blocks).reshape(len(thumbnails), -1)


def _normalise(pictures: np.ndarray) -> np.ndarray:
    """Take the mean away and divide by what is left, so that a sum of products is a correlation."""
    centred = pictures - pictures.mean((1, 2), keepdims=True)
    return centred / _length(centred)


def _length(centred: np.ndarray) -> np.ndarray:
    return np.maximum(np.linalg.norm(centred, axis=(1, 2), keepdims=True), 1e-6)


def _align(fixed: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Shift and stretch thumbnails until they agree best with others (B. Lucas and T. Kanade, 1981).

    Args:
        fixed: shape (N, SIDE, SIDE), float32.
        moving: of the same shape; the pictures of which `fixed` may be parts.

    Returns:
        Shape (N,), float: how well the edges agree where the pictures agree best: correlations, -1 to 1.
    """
    fixed = _normalise(fixed)
    down, across = np.gradient(moving, axis=(1, 2))
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
    move = np.zeros((len(fixed), 4), np.float32)  # shift and stretch across, shift and stretch down
    best, aligned = np.full(len(fixed), -1.0), moving.copy()
    for step in range(STEPS + 1):
        columns = _sampling(move[:, 0], move[:, 1], ramp).transpose(0, 2, 1)
        rows = _sampling(move[:, 2], move[:, 3], ramp)
        seen = rows @ moving @ columns
        centred = seen - seen.mean((1, 2), keepdims=True)
        length = _length(centred)
        error = fixed - centred / length
        agreement = (fixed * centred / length).sum((1, 2))
        better = agreement > best
        best[better], aligned[better] = agreement[better], seen[better]
        if step == STEPS:
            break
        x, y = rows @ across @ columns / length, rows @ down @ columns / length
        slopes = np.stack([x, x * ramp, y, y * ramp[:, None]], axis=1).reshape(len(fixed), 4, SIDE * SIDE)
        slopes -= slopes.mean(2, keepdims=True)
        squares = slopes @ slopes.transpose(0, 2, 1) + 1e-4 * np.eye(4, dtype=np.float32)
        change = np.linalg.solve(squares, slopes @ error.reshape(len(fixed), SIDE * SIDE, 1))[..., 0]
        move = np.clip(move + change, -FARTHEST, FARTHEST)
    return (_edges(fixed) * _edges(aligned)).sum((1, 2))


def _edges(pictures: np.ndarray) -> np.ndarray:
    """Return the differences of neighbours down and across, normalised."""
    down, across = np.diff(pictures, axis=1)[:, :, 1:], np.diff(pictures, axis=2)[:, 1:]
    return _normalise(np.concatenate([down, across], axis=1))


def _sampling(shift: np.ndarray, stretch: np.ndarray, ramp: np.ndarray) -> np.ndarray:
    """Return matrices (N, SIDE, SIDE) that interpolate a line of pixels at shifted, stretched places."""
    pixels = np.arange(SIDE, dtype=np.float32)
    places = np.clip(pixels + shift[:, None] + stretch[:, None] * ramp, 0, SIDE - 1)
    return np.maximum(0, 1 - np.abs(places[:, :, None] - pixels))


def stack(thumbnails: Sequence[bytes]) -> np.ndarray:
    """Return thumbnails kept as bytes as one array of shape (N, SIDE, SIDE), uint8."""
    return np.frombuffer(b"".join(thumbnails), np.uint8).reshape(-1, SIDE, SIDE)
