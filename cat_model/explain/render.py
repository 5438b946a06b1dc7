"""How an explanation looks and reads: colours over the photo, a legend, a sentence. No model in here."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cat_model.cascade import Part
from cat_model.verdict import CAT, NOT_A_CAT, Verdict

FOR, AGAINST = (230, 97, 1), (33, 102, 172)
"""Orange speaks for a cat, blue against: two colours that people who see few colours tell apart."""
MEANING = {FOR: "speaks for a cat", AGAINST: "speaks against"}
LONGEST = 1024
"""Pixels of the longer side of a drawn explanation, at most."""
FAINT = 0.12
"""Values below this share of the largest are left transparent: they hardly matter."""
DENSEST = 0.78
"""Opacity, 0 to 1, of the largest value at full strength: the photo is still seen through it."""
STRENGTH = 0.8
"""How strongly the colours are drawn unless asked otherwise, 0 to 1."""
FINE = 8
"""Pixels of `heat` for each square: enough for a browser or Pillow to stretch them softly."""
MOST = 0.4
"""Share of what speaks for the answer that must lie at one place for the sentence to name it."""

PLACES = (
    ("at the top left", "at the top", "at the top right"),
    ("on the left", "in the middle", "on the right"),
    ("at the bottom left", "at the bottom", "at the bottom right"),
)


def heat(values: np.ndarray) -> Image.Image:
    """Return the values as colours: orange for a cat, blue against, transparent where they hardly matter.

    Args:
        values: shape (H, W), in logits.

    Returns:
        A picture in mode RGBA of FINE times as many pixels; to be stretched over the photo.
    """
    height, width = values.shape
    largest = max(float(np.abs(values).max()), 1e-9)
    small = Image.fromarray((values / largest).astype(np.float32))
    fine = np.asarray(small.resize((FINE * width, FINE * height), Image.Resampling.BICUBIC))
    size = np.clip((np.abs(fine) - FAINT) / (1 - FAINT), 0, 1) ** 0.7
    picture = np.empty((*fine.shape, 4), np.uint8)
    picture[..., :3] = np.where(fine[..., None] > 0, np.array(FOR, np.uint8), np.array(AGAINST, np.uint8))
    picture[..., 3] = np.round(255 * DENSEST * size)
    return Image.fromarray(picture)


def draw(
    photo: Image.Image, values: np.ndarray, strength: float = STRENGTH, closer: Part | None = None
) -> Image.Image:
    """Draw values over a photo, and a frame around the part that was looked at closer.

    Args:
        photo: mode RGB.
        values: shape (H, W), in logits, over the whole photo.
        strength: of the colours, 0 (only the photo) to 1.
        closer: that part; None for none.

    Returns:
        A new picture in mode RGB, at most LONGEST pixels a side.
    """
    drawn = photo.copy()
    drawn.thumbnail((LONGEST, LONGEST), Image.Resampling.BILINEAR, reducing_gap=2.0)
    colours = heat(values).resize(drawn.size, Image.Resampling.BILINEAR)
    opacity = colours.getchannel("A").point(lambda alpha: alpha * min(max(strength, 0.0), 1.0))
    drawn.paste(colours, mask=opacity)
    if closer:
        left, top, right, bottom = closer
        box = (left * drawn.width, top * drawn.height, right * drawn.width - 1, bottom * drawn.height - 1)
        pen, line = ImageDraw.Draw(drawn), max(2, round(min(drawn.size) / 160))
        pen.rounded_rectangle(box, radius=6 * line, outline="black", width=line + 2)
        pen.rounded_rectangle(box, radius=6 * line, outline="white", width=line)
    return drawn


def captioned(drawn: Image.Image, told: str) -> Image.Image:
    """Return a drawn explanation, mode RGB, above its caption."""
    below = caption(drawn.width, told)
    whole = Image.new("RGB", (drawn.width, drawn.height + below.height))
    whole.paste(drawn)
    whole.paste(below, (0, drawn.height))
    return whole


def caption(width: int, told: str) -> Image.Image:
    """Draw a sentence and what the colours mean, mode RGB, so many pixels wide."""
    size = max(13, width // 30)
    gap, font = size // 2, ImageFont.load_default(size)
    lines = _wrapped(told, font, width - 2 * gap)
    step = size + gap
    drawn = Image.new("RGB", (width, (len(lines) + len(MEANING)) * step + gap), "white")
    pen, y = ImageDraw.Draw(drawn), gap
    for line in lines:
        pen.text((gap, y), line, "black", font)
        y += step
    for colour, meaning in MEANING.items():
        pen.rectangle((gap, y, gap + size, y + size), colour)
        pen.text((2 * gap + size, y), meaning, "black", font)
        y += step
    return drawn


def _wrapped(told: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Return a sentence in lines of at most so many pixels; a longer word has a line of its own."""
    lines = [""]
    for word in told.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def sentence(values: np.ndarray, verdict: Verdict) -> str:
    """Say where what speaks for the answer lies. It names places only: no part of a cat was detected.

    Args:
        values: shape (H, W), in logits.
        verdict: the answer.
    """
    against = verdict.label == NOT_A_CAT
    speaks = np.clip(-values if against else values, 0, None)
    if not speaks.any():
        return "Nothing in the photo stands out."
    named = place(speaks)
    where = f"mostly {named}" if named else "spread over the whole photo"
    if verdict.label == CAT:
        return f"Mostly what is {named}." if named else "The whole photo speaks for a cat."
    if against:
        return f"What speaks against a cat is {where}."
    return f"What looks like a cat is {where}."


def place(mass: np.ndarray) -> str | None:
    """Name the place, of nine that overlap, where most of a mass lies; None where no place has most of it.

    Args:
        mass: shape (H, W), not negative.
    """
    height, width = mass.shape
    best, name = 0.0, None
    for row, names in enumerate(PLACES):
        for column, each in enumerate(names):
            rows, columns = _third(height, row), _third(width, column)
            there = float(mass[rows, columns].sum() / mass.sum())
            if there > best:
                best, name = there, each
    return name if best >= MOST else None


def _third(length: int, index: int) -> slice:
    """Return one of three overlapping halves of a side: from the start, in the middle, to the end."""
    start = round(index * length / 4)
    return slice(start, start + round(length / 2))
