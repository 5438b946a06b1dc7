"""Photos as a webcam takes them in a dark room: the shifted streams of the simulations."""

from pathlib import Path

import numpy as np
from PIL import Image

from cat_model.photo import decode
from train.data.manifest import PhotoRecord
from train.evaluation import stress

DARK = ("low-light", "webcam")
"""The stress slices that a photo goes through, one after the other."""
FAR = ("zoom-out-2", *DARK)
"""The same for what is farther from the webcam."""


def dark(root: Path, record: PhotoRecord, slices: tuple[str, ...] = DARK) -> Image.Image:
    """Return a photo of a folder of groups as a webcam takes it, the same in every run.

    Raises:
        PhotoError: the photo cannot be used.
    """
    rng = np.random.default_rng(int(record.sha256[:16], 16))
    photo = decode(root / record.path)
    for name in slices:
        photo = stress.SLICES[name](photo, rng, lambda: None)
    return photo
