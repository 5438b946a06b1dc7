"""The app's icon: a cat's head, drawn in whatever size is asked for."""

import io

from PIL import Image, ImageDraw

SIDES = (192, 512)
"""Pixels a side of the icons that installable pages ask for."""
BLUE = (11, 87, 164)


def icon(side: int) -> bytes:
    """Return a PNG of a cat's head, so many pixels a side."""
    drawn = Image.new("RGB", (4 * side, 4 * side), BLUE)
    pen, unit = ImageDraw.Draw(drawn), side / 25

    def at(*places: float) -> list[float]:
        return [place * unit for place in places]

    for points in ((27, 30, 30, 52, 48, 38), (73, 30, 70, 52, 52, 38)):
        pen.polygon(at(*points), "white")
    pen.ellipse(at(27, 36, 73, 76), "white")
    for left in (39, 56):
        pen.ellipse(at(left, 50, left + 5, 57), BLUE)
    pen.polygon(at(47, 61, 53, 61, 50, 65), BLUE)
    file = io.BytesIO()
    drawn.resize((side, side), Image.Resampling.LANCZOS).save(file, "PNG", optimize=True)
    return file.getvalue()


def web_manifest(name: str) -> dict[str, object]:
    """Return what a browser reads to install a page beside which `icon-SIDE.png` lie, for JSON."""
    return {
        "name": name,
        "short_name": "Cat?",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": "#0b57a4",
        "icons": [
            {
                "src": f"icon-{side}.png",
                "sizes": f"{side}x{side}",
                "type": "image/png",
                "purpose": "any maskable",
            }
            for side in SIDES
        ],
    }
