"""Box-aware augmentation: random crops and photometric changes of a photo, and where the cat is in each.

Every view is one affine crop at twice the model's side, halved, then changed in light, colour and sharpness.
Crops know the photo's boxes: one that lost the cat is a negative, one that only cut it is not learned from.
Cats and others are changed in the same ways and as often, so that no change becomes a hint.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from train.data import corruptions

UNKNOWN = -1.0
"""Target of a cell that nothing is known of."""
EMPTY_FRAMES = 0.03
"""Fraction of the photos without a cat that become a webcam's frame of nobody."""
FAR, NEAR = 0.30, 0.45
"""Fractions of views that show the photo small in a scene, and a part of it enlarged."""
FARTHEST, NEAREST, NEAREST_UNKNOWN = 3.6, 0.3, 0.62
"""Side of what is seen, in sides of the photo: far views at most, near ones at least. Without boxes of the
cat a near view takes more, so that it hardly loses it."""
LOST, CUT = 0.04, 0.35
"""Visible fraction of the cats' area below which a view shows none, and below which it is not learned
from."""
COVERED, BARE = 0.5, 0.05
"""Fraction of a cell that cats cover above which it shows a cat, and below which it shows none."""
GRID = 64
"""Points of each side at which it is seen what the boxes cover."""
LUMA = np.array([0.299, 0.587, 0.114])

Scene = Callable[[], np.ndarray]
"""Draws another photo, without a cat: uint8 RGB of shape (S, S, 3)."""


@dataclass(frozen=True)
class View:
    """One augmented view.

    Attributes:
        pixels: shape (side, side, 3), uint8, RGB.
        label: 1.0 for a cat, else 0.0.
        weight: 0.0 where the view shows too little of the cat to learn from, else 1.0.
        cells: shape (cells, cells), float32: 1 a cat, 0 none, UNKNOWN.
    """

    pixels: np.ndarray
    label: float
    weight: float
    cells: np.ndarray


@dataclass(frozen=True)
class Example:
    """A photo to make views of.

    Attributes:
        pixels: shape (S, S, 3), uint8, RGB: the whole photo, squeezed.
        is_cat: whether it shows a cat.
        boxes: shape (K, 4), float32: left, top, right and bottom of each cat as fractions; K is 0 where they
            are not known, or there is none.
    """

    pixels: np.ndarray
    is_cat: bool
    boxes: np.ndarray


@dataclass(frozen=True)
class Size:
    """Of a view: pixels of each side, and cells of each side of the cat map."""

    side: int
    cells: int


def view(example: Example, size: Size, strength: float, rng: np.random.Generator, scene: Scene) -> View:
    """Make one view of a photo.

    Args:
        example: the photo.
        size: of the view.
        strength: how often and how much is changed; 0 mirrors only, 1 is the full range.
        rng: decides what happens; the same state gives the same view.
        scene: another photo, for what surrounds or covers this one.
    """
    if not example.is_cat and rng.random() < EMPTY_FRAMES * strength:
        frame = np.asarray(corruptions.empty_frame((size.side, size.side), rng))
        return View(frame, 0.0, 1.0, np.zeros((size.cells, size.cells), np.float32))
    matrix, far = _crop(example, strength, rng)
    double = 2 * size.side
    seen = _warp(example.pixels, matrix, double, cv2.BORDER_REFLECT_101)
    other = cv2.resize(scene(), (double, double))
    if far and rng.random() < 0.75:
        inside = _warp(np.ones(example.pixels.shape[:2], np.uint8), matrix, double, cv2.BORDER_CONSTANT)
        seen = np.where(inside[..., None] > 0, seen, other)
    if rng.random() < 0.15 * strength:
        seen = _occlude(seen, other, rng)
    pixels = cv2.resize(seen, (size.side, size.side), interpolation=cv2.INTER_AREA)
    label, weight, cells = _truth(example, matrix, size.cells)
    return View(photometric(pixels, strength, rng), label, weight, cells)


def _crop(example: Example, strength: float, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Choose what is seen: the matrix from the view's coordinates (0 to 1) to the photo's, and whether
    far."""
    kind, known = rng.random(), len(example.boxes) > 0
    far, near = kind < FAR * strength, FAR * strength <= kind < (FAR + NEAR) * strength
    scale = 1.0
    if far:
        scale = float(np.exp(rng.uniform(0, np.log(FARTHEST))))
    if near:
        least = NEAREST if known or not example.is_cat else NEAREST_UNKNOWN
        scale = float(rng.uniform(least, 1))
    squeeze = float(np.exp(rng.uniform(-0.22, 0.22) * strength))
    extent = np.array([scale * squeeze, scale / squeeze])
    slack = np.abs(1 - extent) / 2 if far or near else np.zeros(2)
    centre = 0.5 + rng.uniform(-1, 1, 2) * slack
    if near and known and rng.random() < 0.5:
        left, top, right, bottom = example.boxes[rng.integers(len(example.boxes))]
        middle = np.array([left + right, top + bottom]) / 2
        room = np.maximum(1 - extent, 0) / 2
        centre = np.clip(middle + rng.uniform(-0.15, 0.15, 2) * extent, 0.5 - room, 0.5 + room)
    angle = rng.uniform(-0.38, 0.38) if rng.random() < 0.35 * strength else 0.0
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos * mirror, -sin], [sin * mirror, cos]]) * extent[:, None]
    return np.column_stack([turn, centre - turn @ (0.5, 0.5)]), far


def _warp(photo: np.ndarray, matrix: np.ndarray, side: int, border: int) -> np.ndarray:
    """Return what is seen of a photo, `side` pixels a side."""
    size = np.array(photo.shape[1::-1])
    pixels = matrix * size[:, None]
    # Pixel i of the view has its centre at (i + 0.5) / side; the photo's pixels are counted from their
    # centres.
    pixels[:, 2] += pixels[:, :2].sum(axis=1) * 0.5 / side - 0.5
    pixels[:, :2] /= side
    nearest = border == cv2.BORDER_CONSTANT
    flags = (cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(photo, pixels, (side, side), flags=flags, borderMode=border)


def _truth(example: Example, matrix: np.ndarray, cells: int) -> tuple[float, float, np.ndarray]:
    """Return the label, the weight and the cells' targets of a view."""
    if not example.is_cat:
        return 0.0, 1.0, np.zeros((cells, cells), np.float32)
    if not len(example.boxes):
        return 1.0, 1.0, np.full((cells, cells), UNKNOWN, np.float32)
    at = (np.arange(GRID) + 0.5) / GRID
    x, y = np.meshgrid(at, at)
    u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
    v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
    covered = np.zeros((GRID, GRID), bool)
    for left, top, right, bottom in example.boxes:
        covered |= (u >= left) & (u <= right) & (v >= top) & (v <= bottom)
    spans = example.boxes[:, 2:] - example.boxes[:, :2]
    area = max(float(spans.prod(axis=1).sum()), 1e-6)
    visible = covered.mean() * abs(np.linalg.det(matrix[:, :2])) / area
    fraction = cv2.resize(covered.astype(np.float32), (cells, cells), interpolation=cv2.INTER_AREA)
    targets = np.select([fraction > COVERED, fraction < BARE], [1.0, 0.0], UNKNOWN).astype(np.float32)
    return float(visible >= LOST), float(not LOST <= visible < CUT), targets


def _occlude(seen: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cover a rectangle of 5 to 35 % of the area with another photo or a colour."""
    width = rng.uniform(0.2, 0.6)
    height = min(rng.uniform(0.05, 0.35) / width, 1.0)
    side = len(seen)
    left, top = (int(rng.uniform(0, 1 - part) * side) for part in (width, height))
    rows, columns = slice(top, top + round(height * side)), slice(left, left + round(width * side))
    covered = seen.copy()
    covered[rows, columns] = other[rows, columns] if rng.random() < 0.5 else rng.integers(0, 256, 3)
    return covered


def photometric(pixels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Change sharpness, light, colours, noise and compression of a view, (side, side, 3), uint8, RGB."""
    pixels = _sharpness(pixels, strength, rng)
    dark = rng.random() < 0.15 * strength
    pixels = _colours(_light(pixels, dark, strength, rng), strength, rng)
    noise = rng.uniform(0.005, 0.06) if rng.random() < 0.25 * strength else 0.0
    if noise or dark:
        pixels = _noisy(pixels, max(noise, 0.01 if dark else 0.0), rng)
    if rng.random() < 0.25 * strength:
        pixels = np.asarray(corruptions.jpeg(Image.fromarray(pixels), int(rng.integers(20, 90))))
    return pixels


def _sharpness(pixels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Lose detail by a low resolution, or by a motion of the camera."""
    kind, side = rng.random() / max(strength, 1e-9), len(pixels)
    for below, fraction in ((0.05, 0.3), (0.12, 0.45), (0.2, 0.65)):
        if kind < below:
            few = round(side * fraction)
            small = cv2.resize(pixels, (few, few), interpolation=cv2.INTER_AREA)
            return cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)
    if kind >= 0.27:
        return pixels
    reach, angle = rng.uniform(0.008, 0.027) * side, rng.uniform(0, np.pi)
    size = 2 * int(np.ceil(reach)) + 1
    kernel = np.zeros((size, size), np.float32)
    for at in np.linspace(-reach, reach, 2 * size):
        kernel[round(size // 2 + at * np.sin(angle)), round(size // 2 + at * np.cos(angle))] += 1
    return cv2.filter2D(pixels, -1, kernel / kernel.sum())


def _light(pixels: np.ndarray, dark: bool, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast and gamma, by one table of grey levels."""
    brightness, contrast, gamma = np.exp(rng.uniform(-1, 1, 3) * (0.35, 0.35, 0.3) * strength)
    if dark:
        brightness = rng.uniform(0.15, 0.7)
    levels = np.arange(256) * brightness
    mean = float(pixels.mean()) * brightness
    levels = ((levels - mean) * contrast + mean).clip(0, 255)
    return cv2.LUT(pixels, np.rint((levels / 255) ** gamma * 255).astype(np.uint8))


def _colours(pixels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Change saturation and tint and lay a haze over all, by one matrix."""
    saturation = 0.0 if rng.random() < 0.06 * strength else 1 + rng.uniform(-0.6, 0.6) * strength
    tint = np.exp(rng.normal(0, 0.15, 3)) if rng.random() < 0.25 * strength else np.ones(3)
    haze = rng.uniform(0, 60, 3) if rng.random() < 0.05 * strength else np.zeros(3)
    mixed = saturation * np.eye(3) + (1 - saturation) * LUMA
    factors = tint * (1 - haze / 255)
    return cv2.transform(pixels, np.column_stack([mixed * factors[:, None], haze]))


def _noisy(pixels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Add a sensor's noise; `noise` is its standard deviation as a fraction of white."""
    # A prime number of grains, used again and again: many times faster, and no repeats line up.
    grain = np.resize(rng.standard_normal(65_537, np.float32) * (255 * noise), pixels.shape)
    return (pixels + grain).clip(0, 255).astype(np.uint8)
