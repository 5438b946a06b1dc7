"""Augmentation: what happens to photos in training so that the model learns cats, not framing or light.

Keras layers, applied batch by batch in the training graph only; to cats and other photos alike, so that no
change becomes a hint.
"""

import keras
from keras import layers


def build(strength: float, seed: int) -> keras.Sequential:
    """Return the augmentation as a layer.

    Args:
        strength: 0 changes nothing but left and right; 1 is the full range.
        seed: of its random numbers.

    Returns:
        A layer from and to float RGB of 0 to 255, shape (N, side, side, 3); the identity outside training.
    """
    steps = [layers.RandomFlip("horizontal", seed=seed)]
    if strength > 0:
        steps += [
            # Zoom out as well as in (a cat far away, a cat that fills the frame), each axis by itself.
            layers.RandomZoom(
                (-0.45 * strength, 0.35 * strength),
                (-0.45 * strength, 0.35 * strength),
                fill_mode="reflect",
                seed=seed + 1,
            ),
            layers.RandomTranslation(0.12 * strength, 0.12 * strength, fill_mode="reflect", seed=seed + 2),
            layers.RandomRotation(0.04 * strength, fill_mode="reflect", seed=seed + 3),
            layers.RandomColorJitter(
                value_range=(0, 255),
                brightness_factor=0.25 * strength,
                contrast_factor=0.3 * strength,
                saturation_factor=(0.5 - 0.35 * strength, 0.5 + 0.25 * strength),
                hue_factor=0.05 * strength,
                seed=seed + 4,
            ),
        ]
    return keras.Sequential(steps, name="augmentation")
