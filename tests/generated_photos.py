"""Generated pictures that stand in for photos: a "cat" is a round orange face with two pointed ears."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

GROUPS = ("cat", "dog", "selfie", "misc")


def draw(group: str, generator: np.random.Generator, side: int = 96) -> Image.Image:
    """Return one picture of a group, never twice the same."""
    noise = generator.integers(60, 200, size=(6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    radius = int(generator.integers(side // 5, side // 3))
    x, y = (int(value) for value in generator.integers(radius, side - radius, size=2))
    shade = int(generator.integers(0, 40))
    box = (x - radius, y - radius, x + radius, y + radius)
    if group == "cat":
        pen.polygon([(x - radius, y), (x - radius, y - 2 * radius), (x, y - radius // 2)], fill="orange")
        pen.polygon([(x + radius, y), (x + radius, y - 2 * radius), (x, y - radius // 2)], fill="orange")
        pen.ellipse(box, fill=(255 - shade, 150 + shade, 0))
    elif group == "dog":
        pen.rectangle(box, fill=(90 + shade, 50, 20))
    elif group == "selfie":
        pen.ellipse(box, fill=(200 + shade, 170, 190 + shade))
    else:
        pen.line([(0, y), (side, x)], fill=(0, 80 + shade, 160), width=radius // 2)
    return image


def write(folder: Path, per_group: int, seed: int = 0, shuffled: bool = False) -> Path:
    """Write a folder of groups; with `shuffled`, a picture's group says nothing of what it shows."""
    generator = np.random.default_rng(seed)
    shown = [group for group in GROUPS for _ in range(per_group)]
    named = list(generator.permutation(shown)) if shuffled else shown
    for number, (group, name) in enumerate(zip(shown, named, strict=True)):
        path = folder / str(name) / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(group, generator).save(path)
    return folder
