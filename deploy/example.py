"""How sure the model is that a photo shows a cat: `python example.py PHOTO…`.

Needs `pip install ai-edge-litert numpy pillow` and the files beside it. It takes one look at the whole photo;
the app also zooms where the model's cat map points, and is better with small cats.
"""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

FOLDER = Path(__file__).parent


def main() -> None:
    """Print the probability and the verdict for each photo that the command line names."""
    manifest = json.loads((FOLDER / "manifest.json").read_text("utf-8"))
    model = Interpreter(str(FOLDER / manifest["model"]["file"])).get_signature_runner()
    (pixels,) = model.get_input_details()
    side = manifest["input"]["side"]
    for photo in sys.argv[1:]:
        try:
            image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
        except OSError as error:
            sys.exit(f"{photo} cannot be read as a photo: {error}")
        small = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0))
        probability = model(**{pixels: small[np.newaxis]})["probability"].item()
        label = "cat" if probability >= manifest["threshold"] else "not a cat"
        print(f"{photo}: {label} ({probability:.1%} cat)")


if __name__ == "__main__":
    main()
