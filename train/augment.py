"""Augmentation: people's photos made out of well-framed ones: the model learns cats, not framing or light.

Cats and others alike are changed, in the same ways and as often, so that no change becomes a hint.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from train import distort

EMPTY_FRAMES = 0.03
"""Share of the photos without a cat that become a webcam's frame of nobody."""

Scene = Callable[[], np.ndarray]
"""Draws another photo, without a cat: uint8 RGB of shape (side, side, 3)."""


def augment(pixels: np.ndarray, strength: float, lot: np.random.Generator, scene: Scene) -> np.ndarray:
    """Change a photo as cameras, hands and apps do: framing, light, colours, sharpness, things in the way.

    Args:
        pixels: shape (side, side, 3), uint8, RGB.
        strength: how often and how much is changed; 0 changes left and right only, 1 is the full range.
        lot: decides what happens; the same state gives the same photo.
        scene: another photo, for what surrounds or covers this one.

    Returns:
        Shape (side, side, 3), uint8, RGB.
    """
    photo = Image.fromarray(pixels)
    if lot.random() < 0.5:
        photo = ImageOps.mirror(photo)
    for change in (_frame, _turn, _cover, _light, _colours, _sharpness, _camera):
        photo = change(photo, strength, lot, scene)
    return np.asarray(photo)


def follow(picture: np.ndarray, strength: float, lot: np.random.Generator, scene: Scene) -> np.ndarray:
    """Move a picture of places as `augment` moves a photo, with the same strength and state of `lot`.

    Args:
        picture: shape (S, S), uint8: 255 where something is.
        strength: as for the photo.
        lot: in the state that the photo's was in before.
        scene: draws as often as the photo's does; what it returns is where nothing is.

    Returns:
        Shape (S, S), uint8: how much of each place is covered, 0 to 255. What lies in front is not heeded.
    """
    places = Image.fromarray(picture).convert("RGB")
    if lot.random() < 0.5:
        places = ImageOps.mirror(places)
    # A photo's own surroundings, blurred, show nothing that could be taught.
    framed = _frame(places, strength, lot, scene, own=Image.new("RGB", places.size))
    return np.asarray(_turn(framed, strength, lot, scene))[..., 0]


def empty(side: int, lot: np.random.Generator) -> np.ndarray:
    """Return a webcam's frame that shows nobody, shape (side, side, 3), uint8, RGB."""
    return np.asarray(distort.empty_frame((side, side), lot))


def _happens(share: float, strength: float, lot: np.random.Generator) -> bool:
    return bool(lot.random() < share * strength)


def _frame(
    photo: Image.Image,
    strength: float,
    lot: np.random.Generator,
    scene: Scene,
    own: Image.Image | None = None,
) -> Image.Image:
    """Far away in a scene or in its `own` surroundings (without them, itself, blurred), or close and cut off.

    A little squeezed, too, as the model's square does to photos.
    """
    place, squeeze = (lot.random(), lot.random()), np.exp(lot.uniform(-0.2, 0.2) * strength)
    width = round(photo.width * squeeze)
    middle = (photo.width - width) / 2
    photo = photo.resize(photo.size, Image.Resampling.BILINEAR, box=_inside(photo, middle, width))
    kind = lot.random()
    if kind < 0.3 * strength:
        share = np.exp(lot.uniform(np.log(0.33), 0))
        around = Image.fromarray(scene()) if lot.random() < 0.6 else own
        return distort.zoom_out(photo, share, place, around)
    if kind < 0.6 * strength:
        return distort.crop(photo, lot.uniform(0.6, 1.0), place)
    return photo


def _inside(photo: Image.Image, left: float, width: float) -> tuple[float, float, float, float]:
    """Return the box of that width about the middle; where it is wider than the photo, the height shrinks."""
    if width <= photo.width:
        return (left, 0, left + width, photo.height)
    height = photo.height * photo.width / width
    top = (photo.height - height) / 2
    return (0, top, photo.width, top + height)


def _turn(photo: Image.Image, strength: float, lot: np.random.Generator, _: Scene) -> Image.Image:
    return distort.rotate(photo, lot.normal(0, 12)) if _happens(0.3, strength, lot) else photo


def _cover(photo: Image.Image, strength: float, lot: np.random.Generator, scene: Scene) -> Image.Image:
    if not _happens(0.15, strength, lot):
        return photo
    shape, share = ("rectangle", "blobs")[lot.integers(2)], lot.uniform(0.05, 0.35)
    return distort.occlude(photo, share, shape, lot, Image.fromarray(scene()) if lot.random() < 0.5 else None)


def _light(photo: Image.Image, strength: float, lot: np.random.Generator, _: Scene) -> Image.Image:
    if _happens(0.12, strength, lot):
        return distort.low_light(photo, lot.uniform(0.2, 0.7), lot.uniform(0.005, 0.05), lot)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast):
        photo = enhance(photo).enhance(np.exp(lot.uniform(-0.35, 0.35) * strength))
    return photo


def _colours(photo: Image.Image, strength: float, lot: np.random.Generator, _: Scene) -> Image.Image:
    if _happens(0.15, strength, lot):
        photo = distort.colour_filter(photo, str(lot.choice(list(distort.FILTERS))), lot.uniform(0.3, 1.0))
    else:
        photo = ImageEnhance.Color(photo).enhance(1 + lot.uniform(-0.6, 0.6) * strength)
    return distort.vignette(photo, lot.uniform(0.2, 0.7)) if _happens(0.1, strength, lot) else photo


def _sharpness(photo: Image.Image, strength: float, lot: np.random.Generator, _: Scene) -> Image.Image:
    kind = lot.random()
    if kind < 0.06 * strength:
        return distort.motion_blur(photo, lot.uniform(0.02, 0.07), lot.uniform(0, 180))
    if kind < 0.12 * strength:
        return distort.defocus(photo, lot.uniform(0.004, 0.016))
    return photo


def _camera(photo: Image.Image, strength: float, lot: np.random.Generator, _: Scene) -> Image.Image:
    kind = lot.random()
    if kind < 0.08 * strength:
        cast = tuple(lot.uniform(0.75, 1.2, 3))
        width, quality = int(lot.integers(110, 260)), int(lot.integers(30, 80))
        return distort.webcam(photo, width, lot.uniform(0.005, 0.05), cast, quality, lot)
    if kind < 0.3 * strength:
        return distort.jpeg(photo, int(lot.integers(20, 90)))
    return photo
