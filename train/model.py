"""The Keras model: a pretrained backbone under a linear head, with the three outputs that the app serves."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

from train import openimages
from train.config import BACKBONES, TrainError

NORMALISATION = {
    "efficientnet_lite0": (1 / 128, -127 / 128),
    "mobilenet_v2": (1 / 127.5, -1.0),
    "mobilenet_v2_openimages": (1 / 127.5, -1.0),
    "tiny": (1 / 127.5, -1.0),
}
"""Each backbone's scale and offset: it takes `pixel * scale + offset`, pixel 0 to 255."""

EVIDENCE = "learnt_evidence"
"""Name of the layer that learns what speaks for a cat at a cell, where the backbone knows nothing of that."""
LOGIT, CELLS = "logit", "cells"
"""Names of the outputs in training."""


PROGRESS = 1 if sys.stdout.isatty() else 2
"""Keras's progress bar for a person, one line an epoch for a log file."""


@dataclass(frozen=True)
class Head:
    """The linear head: 1 × 1 convolutions from the pooled features and evidence to the logit.

    Attributes:
        mean: on the mean of the features over all cells; has the bias.
        most: on the strongest evidence of all cells; None where the backbone gives no evidence.
    """

    mean: layers.Layer
    most: layers.Layer | None

    def get(self) -> tuple[np.ndarray, float]:
        """Return the weights, shape (D,), float32, in the order of the embedding, and the bias."""
        weights, bias = self.mean.get_weights()
        parts = [weights.ravel()] + ([self.most.get_weights()[0].ravel()] if self.most else [])
        return np.concatenate(parts), float(bias[0])

    def set(self, weights: np.ndarray, bias: float) -> None:
        """Set the weights, shape (D,), and the bias."""
        mean, most = np.split(weights, [self.mean.kernel.shape[2]])
        self.mean.set_weights([mean.reshape(1, 1, -1, 1), np.array([bias])])
        if self.most:
            self.most.set_weights([most.reshape(1, 1, -1, 1)])

    def logit(self, pooled: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """Return the logit (N, 1, 1, 1) of what `pool` returns."""
        logit = self.mean(pooled[0])
        return layers.Add()([logit, self.most(pooled[1])]) if self.most else logit


@dataclass(frozen=True)
class CatModel:
    """The model's parts, which share their weights.

    Attributes:
        features: normalised pixels to a feature map (N, H, W, C) and, where the strongest cell counts, a map
            of the evidence for a cat (N, H, W, 1).
        head: from the pooled maps to the logit.
        served: uint8 RGB (N, side, side, 3) to probability (N, 1, 1, 1), embedding (N, 1, 1, D) and
            share (N, H, W, 1), each float32. Each share is what a cell adds to the logit; they sum to it.
            The embedding is the mean of the features and, where there is evidence, the strongest of it.
        scale: factor of the normalisation.
        offset: summand of the normalisation.
    """

    features: keras.Model
    head: Head
    served: keras.Model
    scale: float
    offset: float

    @property
    def evidence(self) -> layers.Layer | None:
        """The 1 × 1 convolution that learns evidence; None without it, or where the backbone brings it."""
        return next((layer for layer in self.features.layers if layer.name == EVIDENCE), None)

    def trainer(self, dropout: float, places: bool = False) -> keras.Model:
        """Return uint8 RGB to logit (N, 1), with dropout in training.

        Args:
            dropout: share of the embedding that is left out.
            places: whether the evidence that the model learns, (N, H, W), is an output as well: LOGIT, CELLS.
        """
        photo = keras.Input(self.served.input_shape[1:], dtype="uint8", name="photo")
        maps = self.features(layers.Rescaling(self.scale, self.offset)(photo))
        mean, *most = pool(maps)
        logit = self.head.logit([layers.Dropout(dropout)(mean), *most])
        said = layers.Flatten(name=LOGIT)(logit)
        if places:
            said = {LOGIT: said, CELLS: layers.Reshape(maps[1].shape[1:3], name=CELLS)(maps[1])}
        return keras.Model(photo, said, name="trainer")

    def embed(self, pixels: np.ndarray | keras.utils.PyDataset, batch: int) -> np.ndarray:
        """Return the embeddings of resized photos.

        Args:
            pixels: shape (N, side, side, 3), uint8; or batches of such, with labels that are passed over.
            batch: photos at a time.

        Returns:
            Shape (N, C), float32.
        """
        embeddings = self._predict(pixels, batch)["embedding"]
        return embeddings.reshape(len(embeddings), -1)

    def probabilities(self, pixels: np.ndarray, batch: int) -> np.ndarray:
        """Return the probability of "cat" for resized photos, shape (N,), float32, 0 to 1."""
        return self._predict(pixels, batch)["probability"].reshape(-1)

    def _predict(self, pixels: np.ndarray | keras.utils.PyDataset, batch: int) -> dict[str, np.ndarray]:
        size = batch if isinstance(pixels, np.ndarray) else None
        return self.served.predict(pixels, batch_size=size, verbose=PROGRESS)


def build(backbone: str, side: int, weights: Path | None, strongest: bool = False) -> CatModel:
    """Build a model with a pretrained backbone and an untrained head.

    Args:
        backbone: "efficientnet_lite0" or "mobilenet_v2_openimages" (from a file), "mobilenet_v2" (from a
            file, or by its name through `keras.applications`, which downloads it) or "tiny" (small, not
            pretrained; for demonstrations).
        side: pixels of each side of the input, at least 32.
        weights: file with pretrained weights.
        strongest: whether the strongest cell's evidence is to count beside the mean of all cells.

    Raises:
        TrainError: the backbone is unknown, or its weights are not to be had.
    """
    if backbone not in BACKBONES:
        raise TrainError(f"There is no backbone {backbone!r}; choose one of {', '.join(BACKBONES)}.")
    scale, offset = NORMALISATION[backbone]
    makers = {
        "efficientnet_lite0": _lite0,
        "mobilenet_v2": _mobilenet,
        "mobilenet_v2_openimages": _openimages,
        "tiny": _tiny,
    }
    features = makers[backbone](side, weights)
    if strongest and len(features.outputs) == 1:
        (cells,) = features.outputs
        found = layers.Conv2D(1, 1, name=EVIDENCE)(cells)
        features = keras.Model(features.inputs[0], [cells, found], name="features")
    return _assemble(features, side, scale, offset)


def load(path: Path) -> CatModel:
    """Load what `CatModel.served.save(path)` saved."""
    served = keras.models.load_model(path, compile=False)
    normalise = served.get_layer("normalise")
    most = next((layer for layer in served.layers if layer.name == "head_most"), None)
    head = Head(served.get_layer("head_mean"), most)
    return CatModel(served.get_layer("features"), head, served, normalise.scale, normalise.offset)


def at_side(model: CatModel, side: int) -> CatModel:
    """Return a model with the same weights for photos of another size, pixels of each side, at least 32."""
    photo = keras.Input((side, side, 3))
    features = keras.models.clone_model(model.features, input_tensors=photo)
    features.set_weights(model.features.get_weights())
    other = _assemble(features, side, model.scale, model.offset)
    other.head.set(*model.head.get())
    return other


def pool(maps: keras.KerasTensor | Sequence[keras.KerasTensor]) -> list[keras.KerasTensor]:
    """Return the mean of the features and, where there is evidence, the strongest; each (N, 1, 1, …)."""
    cells, *evidence = maps if isinstance(maps, list | tuple) else [maps]
    mean = layers.GlobalAveragePooling2D(keepdims=True)(cells)
    return [mean, *(layers.GlobalMaxPooling2D(keepdims=True)(each) for each in evidence)]


def outputs(
    maps: keras.KerasTensor | Sequence[keras.KerasTensor], head: Head
) -> dict[str, keras.KerasTensor]:
    """Return the served outputs from what `CatModel.features` gives."""
    cells, *evidence = maps if isinstance(maps, list | tuple) else [maps]
    pooled = pool(maps)
    embedding = layers.Concatenate(name="embedding")(pooled) if evidence else pooled[0]
    probability = layers.Activation("sigmoid", name="probability")(head.logit(pooled))
    # The head is linear, so its mean over the cells is its value at the mean: the shares sum to the logit.
    share = layers.Rescaling(1 / (cells.shape[1] * cells.shape[2]))(head.mean(cells))
    for each, most in zip(evidence, pooled[1:], strict=True):
        # The strongest evidence counts alone; it is shared out among the cells that come close to it.
        height, width = each.shape[1:3]
        flat = layers.Reshape((height * width,))(each)
        close = layers.Reshape((height, width, 1))(layers.Softmax()(flat))
        share = layers.Add()([share, layers.Multiply()([close, head.most(most)])])
    return {"probability": probability, "embedding": embedding, "share": share}


def _assemble(features: keras.Model, side: int, scale: float, offset: float) -> CatModel:
    evidence = len(features.outputs) > 1
    head = Head(
        layers.Conv2D(1, 1, name="head_mean"),
        layers.Conv2D(1, 1, use_bias=False, name="head_most") if evidence else None,
    )
    photo = keras.Input((side, side, 3), dtype="uint8", name="photo")
    maps = features(layers.Rescaling(scale, offset, name="normalise")(photo))
    served = keras.Model(photo, outputs(maps, head), name="cat_model")
    return CatModel(features, head, served, scale, offset)


def _lite0(side: int, weights: Path | None) -> keras.Model:
    if weights is None:
        raise TrainError(
            "EfficientNet-Lite0 is loaded from a file: give --weights FILE (or CAT_WEIGHTS), "
            "or choose --backbone mobilenet_v2, which Keras downloads by its name."
        )
    pretrained = _load_file(weights)
    clone = keras.models.clone_model(pretrained, input_tensors=keras.Input((side, side, 3)))
    clone.set_weights(pretrained.get_weights())
    return keras.Model(clone.inputs[0], clone.outputs[0], name="features")


def _load_file(weights: Path) -> keras.Model:
    try:
        return keras.models.load_model(weights, compile=False)
    except (OSError, ValueError) as error:
        raise TrainError(f"The weights in {weights} cannot be loaded: {error}") from error


def _mobilenet(side: int, weights: Path | None) -> keras.Model:
    try:
        return keras.applications.MobileNetV2(
            input_shape=(side, side, 3),
            include_top=False,
            weights=str(weights) if weights else "imagenet",
            name="features",
        )
    except Exception as error:  # a failed download raises nothing narrower
        where = weights or "the network"
        raise TrainError(f"MobileNetV2's weights could not be had from {where}: {error}") from error


def _openimages(side: int, weights: Path | None) -> keras.Model:
    if weights is None:
        raise TrainError(
            "The weights from Open Images come from a file that `python -m train weights PACKAGE` makes: "
            "give --weights FILE (or CAT_WEIGHTS)."
        )
    features = openimages.features(side)
    try:
        features.load_weights(weights)
    except (OSError, ValueError) as error:
        raise TrainError(f"The weights in {weights} cannot be loaded: {error}") from error
    return features


def _tiny(side: int, weights: Path | None) -> keras.Model:
    if weights is not None:
        raise TrainError("The tiny backbone has no pretrained weights; leave --weights out.")
    photo = keras.Input((side, side, 3))
    cells = photo
    for filters in (16, 24, 32, 48):
        cells = layers.Conv2D(filters, 3, strides=2, padding="same")(cells)
        cells = layers.ReLU(6.0)(cells)
    return keras.Model(photo, cells, name="features")
