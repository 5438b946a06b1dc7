"""Copies of a photo, cropped, mirrored, re-scaled or re-compressed, are found; other photos are not."""

import io

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps

from train.data import duplicates
from train.data.duplicates import Prints


def scene(seed: int) -> Image.Image:
    """A picture with large and small structure, unlike that of any other seed."""
    generator = np.random.default_rng(seed)
    image = Image.new("RGB", (240, 180))
    for side, weight in ((5, 1.0), (12, 0.5), (40, 0.3)):
        noise = Image.fromarray(generator.integers(0, 255, (side, side, 3), dtype=np.uint8))
        image = Image.blend(image, noise.resize(image.size, Image.Resampling.BICUBIC), weight)
    return image


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


def cropped(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop(
        (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    )


CHANGES = {
    "re-scaled": lambda image: image.resize((130, 90)),
    "re-compressed": recompressed,
    "mirrored": ImageOps.mirror,
    "cropped all round": lambda image: cropped(image, 0.05, 0.05, 0.05, 0.05),
    "cropped at a corner": lambda image: cropped(image, 0.05, 0.05, 0, 0),
    "all of it": lambda image: recompressed(
        ImageOps.mirror(cropped(image, 0.05, 0.05, 0.05, 0.05)).resize((150, 110))
    ),
}


def prints(images: list[Image.Image]) -> Prints:
    return Prints(
        np.array([int(str(imagehash.phash(image)), 16) for image in images], dtype=np.uint64),
        np.array(
            [int(str(imagehash.phash(ImageOps.mirror(image))), 16) for image in images], dtype=np.uint64
        ),
        np.stack([duplicates.thumbnail(image) for image in images]),
    )


@pytest.fixture(scope="module")
def scenes():
    return [scene(seed) for seed in range(60)]


@pytest.mark.parametrize("change", CHANGES)
def test_every_changed_copy_is_paired_with_its_photo_and_with_no_other(scenes, change):
    copies = [CHANGES[change](image) for image in scenes]
    first, second = duplicates.pairs(prints(scenes), prints(copies))
    assert set(zip(first, second, strict=True)) <= {(index, index) for index in range(60)}
    assert len(first) >= 57


def test_photos_that_only_agree_in_the_large_are_no_duplicates(scenes):
    """Two skies over two meadows: dark above, light below, and nothing else in common."""
    fading = Image.linear_gradient("L").resize((240, 180)).convert("RGB")
    skies = [Image.blend(fading, image, 0.25) for image in scenes[:20]]
    first, _ = duplicates.pairs(prints(skies))
    assert len(first) == 0


def test_families_join_what_is_linked(scenes):
    photo = scenes[0]
    shown = [photo, scenes[1], ImageOps.mirror(photo), CHANGES["cropped at a corner"](photo), scenes[2]]
    families = duplicates.families(prints(shown))
    assert families[0] == families[2] == families[3]
    assert len(set(families)) == 3


def test_pictures_of_one_colour_have_no_near_duplicates():
    first, _ = duplicates.pairs(
        prints([Image.new("RGB", (50, 50), shade) for shade in ("red", "blue", "red")])
    )
    assert len(first) == 0
