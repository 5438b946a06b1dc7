"""Photos as a webcam takes them in a dark room: the shifted stream of the simulations."""

from pathlib import Path

import numpy as np
from PIL import Image

from cat_model.photo import decode
from train import stress
from train.dataset import PhotoRecord

DARK = ("low-light", "webcam")
"""The stress slices that such a photo has gone through, one after the other."""


def dark(root: Path, record: PhotoRecord) -> Image.Image:
    """Return a photo of a folder of groups as a dark webcam takes it, the same in every run.

    Raises:
        PhotoError: the photo cannot be used.
    """
    lot = np.random.default_rng(int(record.sha256[:16], 16))
    photo = decode(root / record.path)
    for name in DARK:
        photo = stress.SLICES[name](photo, lot, lambda: None)
    return photo
