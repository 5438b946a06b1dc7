"""Image corruptions (D. Hendrycks and T. Dietterich, 2019) as people's cameras, hands and apps cause them.

One function a corruption, RGB in, RGB of the same size out. They have random strengths in training and fixed
ones in the stress slices. Every function is applied to cats and others alike, so that none of them becomes a
hint. Lengths are fractions of the photo's shorter side: a strength means the same at every resolution.
"""

import io
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

Matrix = tuple[float, ...]
"""Rows of the 3 × 4 matrix that makes new red, green and blue out of the old ones and a constant 0 to 255."""

IDENTITY: Matrix = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
FILTERS: Mapping[str, Matrix] = {
    "sepia": (0.39, 0.77, 0.19, 0, 0.35, 0.69, 0.17, 0, 0.27, 0.53, 0.13, 0),
    "grey": (0.3, 0.59, 0.11, 0) * 3,
    "cold": (0.8, 0, 0, 0, 0, 0.95, 0, 0, 0, 0, 1.25, 10),
    "warm": (1.2, 0, 0, 10, 0, 1, 0, 0, 0, 0, 0.7, 0),
    "red": (1.1, 0.2, 0.1, 10, 0, 0.6, 0, 0, 0, 0, 0.6, 0),
    "green": (0.6, 0, 0, 0, 0.15, 1, 0.1, 10, 0, 0, 0.6, 0),
    "violet": (0.95, 0, 0.15, 10, 0, 0.65, 0, 0, 0.15, 0, 1.1, 15),
    "faded": (0.7, 0, 0, 60, 0, 0.7, 0, 60, 0, 0, 0.65, 60),
    "contrast": (1.8, 0, 0, -100, 0, 1.8, 0, -100, 0, 0, 1.8, -100),
    "vivid": (1.7, -0.59, -0.11, 0, -0.3, 1.41, -0.11, 0, -0.3, -0.59, 1.89, 0),
}
"""Colour filters of phones and apps; sepia's figures are those of the W3C's filter effects."""


def zoom_out(
    photo: Image.Image, share: float, at: tuple[float, float], background: Image.Image | None = None
) -> Image.Image:
    """Make the photo a small part of a scene.

    Args:
        photo: RGB.
        share: of each side that the photo takes, above 0 to 1.
        at: left to right and top to bottom, each 0 to 1.
        background: the scene, RGB of any size; without one, the photo's own surroundings, blurred.
    """
    small = photo.resize(_part(photo, share), Image.Resampling.BILINEAR, reducing_gap=2.0)
    if background is None:
        scene = _blurred(photo)
    else:
        scene = ImageOps.fit(background, photo.size, Image.Resampling.BILINEAR)
    scene.paste(small, _corner(photo, small.size, at))
    return scene


def crop(photo: Image.Image, share: float, at: tuple[float, float]) -> Image.Image:
    """Show only a part, enlarged: `share` of each side, `at` (left to right, top to bottom, each 0 to 1)."""
    size = _part(photo, share)
    left, top = _corner(photo, size, at)
    box = (left, top, left + size[0], top + size[1])
    return photo.resize(photo.size, Image.Resampling.BILINEAR, box=box)


def low_light(photo: Image.Image, light: float, noise: float, rng: np.random.Generator) -> Image.Image:
    """Take the photo in the dark: `light` (0 to 1) of its brightness, and a sensor's `noise`.

    Args:
        photo: RGB.
        light: what is left of the brightness, 0 to 1.
        noise: standard deviation of the noise, as a share of white.
        rng: of the noise.
    """
    return _noisy(photo.point([round(level * light) for level in range(256)] * 3), noise, rng)


def motion_blur(photo: Image.Image, length: float, degrees: float) -> Image.Image:
    """Move the camera while it looks: `length` is a share of the shorter side, `degrees` the direction."""
    reach = length * min(photo.size) / 2
    steps = max(2, round(2 * reach) + 1)
    margin = int(np.ceil(reach))
    pixels = np.pad(np.asarray(photo), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    total = np.zeros((photo.height, photo.width, 3), np.uint16)
    for far in np.linspace(-reach, reach, steps):
        x = margin + round(far * np.cos(np.radians(degrees)))
        y = margin + round(far * np.sin(np.radians(degrees)))
        total += pixels[y : y + photo.height, x : x + photo.width]
    return Image.fromarray((total // steps).astype(np.uint8))


def defocus(photo: Image.Image, radius: float) -> Image.Image:
    """Focus elsewhere: `radius` is the blur's standard deviation, as a share of the shorter side."""
    return photo.filter(ImageFilter.GaussianBlur(radius * min(photo.size)))


def webcam(
    photo: Image.Image,
    width: int,
    *,
    noise: float,
    cast: tuple[float, float, float],
    quality: int,
    rng: np.random.Generator,
) -> Image.Image:
    """Take the photo with a cheap webcam.

    Args:
        photo: RGB.
        width: pixels of the frame's width; 160 to 320 are usual.
        noise: standard deviation of the noise, as a share of white.
        cast: factors of red, green and blue.
        quality: of the frame's JPEG, 1 to 95.
        rng: of the noise.
    """
    height = max(1, round(photo.height * width / photo.width))
    frame = photo.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    frame = frame.point([min(255, round(level * factor)) for factor in cast for level in range(256)])
    frame = jpeg(_noisy(frame, noise, rng), quality)
    return frame.resize(photo.size, Image.Resampling.BILINEAR)


def jpeg(photo: Image.Image, quality: int) -> Image.Image:
    """Save and read the photo as a JPEG of a quality from 1 to 95."""
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def colour_filter(photo: Image.Image, name: str, strength: float = 1.0) -> Image.Image:
    """Lay one of `FILTERS` over the photo; strength 0 changes nothing, 1 is the whole filter."""
    matrix = tuple(a + strength * (b - a) for a, b in zip(IDENTITY, FILTERS[name], strict=True))
    return photo.convert("RGB", matrix)


def vignette(photo: Image.Image, strength: float) -> Image.Image:
    """Darken the corners; 0 changes nothing, at 1 they are black."""
    # Pillow's gradient is 0 in the centre and 255 from 127 of its pixels on: past the sides, in the corners.
    lit = Image.radial_gradient("L").point([round(255 - strength * far**2 / 255) for far in range(256)])
    lit = lit.resize(photo.size, Image.Resampling.BILINEAR)
    return ImageChops.multiply(photo, Image.merge("RGB", (lit, lit, lit)))


def rotate(photo: Image.Image, degrees: float) -> Image.Image:
    """Turn the photo about its centre; its mirrored surroundings fill the corners."""
    width, height = photo.size
    margin = int(np.ceil((np.hypot(width, height) - min(width, height)) / 2)) + 1
    pixels = np.pad(np.asarray(photo), ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y = width / 2, height / 2
    matrix = (cos, -sin, margin + x - cos * x + sin * y, sin, cos, margin + y - sin * x - cos * y)
    return Image.fromarray(pixels).transform(
        photo.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )


def occlude(
    photo: Image.Image,
    share: float,
    shape: str,
    rng: np.random.Generator,
    other: Image.Image | None = None,
) -> Image.Image:
    """Cover a share of the photo's area.

    Args:
        photo: RGB.
        share: of the area that is covered, 0 to 1.
        shape: "rectangle" for one, "blobs" for several spots with round edges.
        rng: draws position, proportions and the colour.
        other: picture whose pixels cover it; without one, a flat colour does.

    Raises:
        KeyError: there is no such shape.
    """
    mask = {"rectangle": _rectangle, "blobs": _blobs}[shape](photo.size, share, rng)
    if other is None:
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cover = Image.new("RGB", photo.size, colour)
    else:
        cover = ImageOps.fit(other, photo.size, Image.Resampling.BILINEAR)
    return Image.composite(cover, photo, mask)


def empty_frame(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Make a webcam's frame that shows nobody: a wall, a shadow, a corner of a room; dark or bright.

    Args:
        size: width and height.
        rng: draws everything in it.
    """
    cells = rng.integers(2, 5, 2)
    light = rng.choice([0.03, 0.15, 0.5, 0.9])
    wall = light * 255 * rng.uniform(0.6, 1.1, (cells[1], cells[0], 1)) * rng.uniform(0.8, 1.1, 3)
    frame = Image.fromarray(wall.clip(0, 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    if rng.random() < 0.6:  # furniture, a door or a shadow with straight edges
        mask = _rectangle(size, rng.uniform(0.05, 0.4), rng)
        factor = rng.uniform(0.4, 1.4)
        frame = Image.composite(
            frame.point([min(255, round(factor * v)) for v in range(256)] * 3), frame, mask
        )
    frame = defocus(frame, rng.uniform(0.0, 0.03))
    return _noisy(vignette(frame, rng.uniform(0.0, 0.8)), rng.uniform(0.005, 0.08), rng)


def _part(photo: Image.Image, share: float) -> tuple[int, int]:
    return max(1, round(share * photo.width)), max(1, round(share * photo.height))


def _corner(photo: Image.Image, size: tuple[int, int], at: tuple[float, float]) -> tuple[int, int]:
    """Return where the left upper corner of a part lies."""
    return round(at[0] * (photo.width - size[0])), round(at[1] * (photo.height - size[1]))


def _blurred(photo: Image.Image) -> Image.Image:
    """Return the photo's middle, enlarged twice and blurred until only colours are left."""
    width, height = photo.size
    middle = (width / 4, height / 4, width * 3 / 4, height * 3 / 4)
    tiny = photo.resize((8, 8), Image.Resampling.BOX, box=middle)
    return tiny.resize(photo.size, Image.Resampling.BICUBIC)


def _noisy(photo: Image.Image, noise: float, rng: np.random.Generator) -> Image.Image:
    """Add a sensor's noise: stronger where there is more light (shot noise), never none."""
    pixels = np.asarray(photo, np.float32)
    # A prime number of grains, used again and again: many times faster, and no repeats line up.
    grain = np.resize(rng.standard_normal(65_537, np.float32) * (255 * noise), pixels.shape)
    return Image.fromarray((pixels + grain * (0.7 + pixels / 425)).clip(0, 255).astype(np.uint8))


def _rectangle(size: tuple[int, int], share: float, rng: np.random.Generator) -> Image.Image:
    # Its sides multiply to the share of the area, and none is longer than the photo's.
    across = float(np.clip(np.sqrt(share) * np.exp(rng.uniform(-0.4, 0.4)), share, 1.0))
    mask = Image.new("L", size)
    covered = Image.new("L", (round(across * size[0]), round(share / across * size[1])), 255)
    mask.paste(covered, _corner(mask, covered.size, (rng.random(), rng.random())))
    return mask


def _blobs(size: tuple[int, int], share: float, rng: np.random.Generator) -> Image.Image:
    hills = rng.integers(0, 256, (6, 6), dtype=np.uint8)
    heights = np.asarray(Image.fromarray(hills).resize(size, Image.Resampling.BICUBIC), np.float32)
    # A little noise parts equal heights, so that the share is met exactly.
    heights = heights + rng.random(heights.shape, np.float32)
    return Image.fromarray((heights >= np.quantile(heights, 1 - share)).astype(np.uint8) * 255)
