"""Stress slices: robustness to image corruptions (D. Hendrycks and T. Dietterich, 2019), of fixed strength.

A photo is corrupted the same way in every run: its own SHA-256 seeds the random generator. The scene that it
is put into, or covered with, changes where photos of `SCENES` come or go.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from cat_model.photo import PhotoError, decode, resize
from train.config import TrainError
from train.data import corruptions
from train.data.manifest import PhotoRecord

BATCH = 64
SCENES = "misc"
"""The group whose photos are the scenes that others are put into."""

Scene = Callable[[], Image.Image | None]
"""Opens another photo, for the slices that need one; None where there is none."""
Corruption = Callable[[Image.Image, np.random.Generator, Scene], Image.Image]


def _zoom_out(share: float) -> Corruption:
    return lambda photo, rng, scene: corruptions.zoom_out(photo, share, (rng.random(), rng.random()), scene())


def _low_light(photo: Image.Image, rng: np.random.Generator, _: Scene) -> Image.Image:
    return corruptions.low_light(photo, light=0.25, noise=0.04, rng=rng)


def _blur(photo: Image.Image, rng: np.random.Generator, _: Scene) -> Image.Image:
    if rng.random() < 0.5:
        return corruptions.motion_blur(photo, length=0.05, degrees=rng.uniform(0, 180))
    return corruptions.defocus(photo, radius=0.012)


def _webcam(photo: Image.Image, rng: np.random.Generator, _: Scene) -> Image.Image:
    red, green, blue = (float(factor) for factor in rng.uniform(0.8, 1.15, 3))
    return corruptions.webcam(photo, 160, noise=0.03, cast=(red, green, blue), quality=50, rng=rng)


def _jpeg(photo: Image.Image, _: np.random.Generator, __: Scene) -> Image.Image:
    return corruptions.jpeg(photo, 25)


def _rotation(photo: Image.Image, rng: np.random.Generator, _: Scene) -> Image.Image:
    return corruptions.rotate(photo, float(rng.choice([-20, 20])))


def _filters(photo: Image.Image, rng: np.random.Generator, _: Scene) -> Image.Image:
    return corruptions.vignette(
        corruptions.colour_filter(photo, str(rng.choice(list(corruptions.FILTERS)))), 0.5
    )


def _occlusion(photo: Image.Image, rng: np.random.Generator, scene: Scene) -> Image.Image:
    shape = "rectangle" if rng.random() < 0.5 else "blobs"
    return corruptions.occlude(photo, 0.3, shape, rng, scene() if rng.random() < 0.5 else None)


SLICES: Mapping[str, Corruption] = {
    "zoom-out-2": _zoom_out(1 / 2),
    "zoom-out-3": _zoom_out(1 / 3),
    "low-light": _low_light,
    "blur": _blur,
    "webcam": _webcam,
    "jpeg-25": _jpeg,
    "filters": _filters,
    "rotation-20": _rotation,
    "occlusion-30": _occlusion,
}
"""Every slice by its name."""


def photos(root: Path, records: Sequence[PhotoRecord], name: str) -> Iterator[Image.Image]:
    """Yield the photos of one slice, in mode RGB; nothing is kept on disk.

    The scenes that photos are put into are other photos of the group misc among the records; where there is
    none, the photo's own blurred surroundings are.

    Args:
        root: folder of groups the records' paths start from.
        records: which photos, in which order.
        name: of the slice.

    Raises:
        KeyError: there is no such slice.
        TrainError: a photo is no longer there, or no longer a photo.
    """
    corruption = SLICES[name]
    scenes = [record for record in records if record.group == SCENES]

    def work(record: PhotoRecord) -> Image.Image:
        rng = np.random.default_rng(int(record.sha256[:16], 16))
        chosen = _another(record, scenes, rng)
        photo = _open(root, record)
        return corruption(photo, rng, lambda: _open(root, chosen) if chosen else None)

    ahead: deque[Future[Image.Image]] = deque()
    with ThreadPoolExecutor() as pool:
        for record in records:
            # The next ones are made while the caller works on this one.
            ahead.append(pool.submit(work, record))
            if len(ahead) > BATCH:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def pixels(root: Path, records: Sequence[PhotoRecord], side: int, name: str) -> np.ndarray:
    """Return the photos of one slice as the model sees them, shape (N, side, side, 3), uint8, RGB.

    Raises:
        KeyError: there is no such slice.
        TrainError: a photo is no longer there, or no longer a photo.
    """
    return np.stack([resize(photo, side) for photo in photos(root, records, name)])


def _another(
    record: PhotoRecord, scenes: Sequence[PhotoRecord], rng: np.random.Generator
) -> PhotoRecord | None:
    """Draw a scene that is not the photo itself."""
    first = int(rng.integers(max(1, len(scenes))))
    drawn = [*scenes[first : first + 2], *scenes[:1]]
    return next((scene for scene in drawn if scene.sha256 != record.sha256), None)


def _open(root: Path, record: PhotoRecord) -> Image.Image:
    try:
        return decode(root / record.path)
    except PhotoError as error:
        raise TrainError(f"{root / record.path} has changed: {error}") from error
