"""The cat model: a backbone with two feature maps, a linear head on the mean, and a cat map that says where.

The cat map has one logit for each cell of 16 pixels, from both feature maps (a one-level feature pyramid,
T.-Y. Lin et al., 2017). Its maximum is added to the logit of the linear head (max pooling), so that a small
cat is not averaged away. In training, boxes teach the map; see train.fit.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from train.config import TrainConfig, TrainError, find_backbone
from train.models import efficientnet_lite
from train.models.efficientnet_lite import tensor_names, to_torch

LOGIT, CAT_MAP = "logit", "cat_map"
"""Names of the outputs in training; CAT_MAP is served, too."""
CHANNELS = 64
"""Channels in which both feature maps are joined."""
MAP_SCALE = 1 / 8
"""The map's maximum times this is part of the embedding: in int8, all of it shares one step size."""
PROGRESS: Any = 1 if sys.stdout.isatty() else 2
"""Keras's progress bar for a person, one line an epoch for a log file."""
SILENT: Any = 0
"""No progress bar. Any: Keras declares no types, and its default is a string."""


@dataclass(frozen=True)
class Head:
    """The linear head: 1 × 1 convolutions from the pooled maps to the logit.

    Attributes:
        mean: on the mean of the features over all cells; has the bias.
        most: on the maximum of the cat map; None in models from before there was one.
    """

    mean: layers.Layer
    most: layers.Layer | None

    def of_map(self, cells: keras.KerasTensor) -> keras.KerasTensor:
        """Return the cat map's part of the logit.

        Raises:
            TrainError: the model is from before there was a cat map.
        """
        if self.most is None:
            raise TrainError("This model has no cat map: it can be loaded, but not trained or exported.")
        return self.most(cells)

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


@dataclass(frozen=True)
class CatModel:
    """The model's parts, which share their weights.

    Attributes:
        features: normalised pixels (N, side, side, 3) to the top feature map (N, H, W, C) and the cat map in
            logits (N, 2H, 2W, 1).
        head: from the pooled maps to the logit.
        served: uint8 RGB (N, side, side, 3) to probability (N, 1, 1, 1), embedding (N, 1, 1, D), share
            (N, 2H, 2W, 1) and cat_map (N, 2H, 2W, 1), each float32. `share` is the attribution of each cell:
            they sum to the logit. The embedding is the mean of the features and the scaled maximum of the
            map.
        scale: factor of the normalisation.
        offset: summand of the normalisation.
    """

    features: keras.Model
    head: Head
    served: keras.Model
    scale: float
    offset: float

    def trainer(self, dropout: float) -> keras.Model:
        """Return uint8 RGB to LOGIT (N, 1) and CAT_MAP (N, 2H, 2W), with dropout of the mean in training."""
        photo = keras.Input(self.served.input_shape[1:], dtype="uint8", name="photo")
        top, cat_map = self.features(layers.Rescaling(self.scale, self.offset)(photo))
        mean, most = pool(top, cat_map)
        logit = layers.Add()([self.head.mean(layers.Dropout(dropout)(mean)), self.head.of_map(most)])
        said = {
            LOGIT: layers.Flatten(name=LOGIT, dtype="float32")(logit),
            CAT_MAP: layers.Reshape(cat_map.shape[1:3], name=CAT_MAP, dtype="float32")(cat_map),
        }
        return keras.Model(photo, said, name="trainer")

    def embed(self, pixels: np.ndarray, batch: int) -> np.ndarray:
        """Return the embeddings of resized photos (N, side, side, 3), uint8; shape (N, D), float32."""
        embeddings = self._predict(pixels, batch)["embedding"]
        return embeddings.reshape(len(embeddings), -1)

    def probabilities(self, pixels: np.ndarray, batch: int) -> np.ndarray:
        """Return the probability of "cat" for resized photos, shape (N,), float32, 0 to 1."""
        return self._predict(pixels, batch)["probability"].reshape(-1)

    def _predict(self, pixels: np.ndarray, batch: int) -> dict[str, np.ndarray]:
        return self.served.predict(pixels, batch_size=batch, verbose=PROGRESS)


def build(config: TrainConfig, pretrained: bool = True) -> tuple[CatModel, str]:
    """Build a model with a pretrained backbone and an untrained head.

    Args:
        config: names the backbone and the side of the input.
        pretrained: whether the backbone gets its ImageNet weights.

    Returns:
        The model, and where its weights come from.

    Raises:
        TrainError: the backbone is unknown, its weights are not installed, or a value is out of its range.
    """
    config.require_valid()
    variant, origin = find_backbone(config.backbone).variant, "none"
    network = _tiny(config.side) if variant is None else efficientnet_lite.build(variant, config.side)
    if variant is not None and pretrained:
        origin = efficientnet_lite.load_imagenet(network, variant)
    middle, top = network.outputs
    return _assemble(keras.Model(network.inputs[0], [top, _cat_map(middle, top)], name="features")), origin


def backbone(name: str, side: int) -> tuple[keras.Model, float, float]:
    """Return a pretrained backbone alone, from normalised pixels to its top map, with scale and offset.

    Raises:
        TrainError: as for `build`.
    """
    model, _ = build(TrainConfig(backbone=name, side=side))
    return keras.Model(model.features.inputs[0], model.features.outputs[0]), model.scale, model.offset


def load(path: Path) -> CatModel:
    """Load what `CatModel.served.save(path)` saved; of models without a cat map, too."""
    served = keras.models.load_model(path, compile=False)
    assert isinstance(served, keras.Model)
    normalise = served.get_layer("normalise")
    most = next((layer for layer in served.layers if layer.name == "head_most"), None)
    head = Head(served.get_layer("head_mean"), most)
    return CatModel(served.get_layer("features"), head, served, normalise.scale, normalise.offset)


def load_npz(model: CatModel, path: Path) -> None:
    """Set all weights of a model from a file that `save_npz` wrote, such as another run's.

    Raises:
        TrainError: the file cannot be read, or holds other weights than this model's.
    """
    try:
        with np.load(path) as stored:
            tensors = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise TrainError(f"The weights in {path} cannot be read: {error}") from error
    try:
        mean, bias, most = (tensors.pop(f"head.{name}") for name in ("fc.weight", "fc.bias", "a"))
    except KeyError as error:
        raise TrainError(f"The weights in {path} lack {error}.") from error
    efficientnet_lite.set_weights(model.features, tensors)
    slopes = np.append(mean.astype(np.float32).ravel(), np.float32(most) / MAP_SCALE)
    if len(slopes) != len(model.head.get()[0]):
        raise TrainError(f"The head in {path} takes {len(slopes)} features; this model has another number.")
    model.head.set(slopes, float(bias.ravel()[0]))


def save_npz(model: CatModel, path: Path) -> None:
    """Write all weights of a model by their PyTorch names, as float16: the file that `load_npz` reads."""
    slopes, bias = model.head.get()
    tensors: dict[str, Any] = {
        "head.fc.weight": slopes[None, :-1],
        "head.fc.bias": np.array([bias]),
        "head.a": slopes[-1] * MAP_SCALE,
    }
    for layer in model.features.layers:
        if layer.weights:
            values = (to_torch(layer, value) for value in layer.get_weights())
            tensors |= dict(zip(tensor_names(layer), values, strict=True))
    np.savez(path, **{name: value.astype(np.float16) for name, value in tensors.items()})


def at_side(model: CatModel, side: int) -> CatModel:
    """Return a model with the same weights for photos of another side, in pixels, a multiple of 32."""
    features = keras.models.clone_model(model.features, input_tensors=keras.Input((side, side, 3)))
    features.set_weights(model.features.get_weights())
    other = _assemble(features)
    other.head.set(*model.head.get())
    return other


def pool(top: keras.KerasTensor, cat_map: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the mean of the features and the scaled maximum of the cat map, each (N, 1, 1, …)."""
    most = layers.GlobalMaxPooling2D(keepdims=True)(cat_map)
    return layers.GlobalAveragePooling2D(keepdims=True)(top), layers.Rescaling(MAP_SCALE)(most)


def outputs(top: keras.KerasTensor, cat_map: keras.KerasTensor, head: Head) -> dict[str, keras.KerasTensor]:
    """Return the served outputs from what `CatModel.features` gives."""
    mean, most = pool(top, cat_map)
    embedding = layers.Concatenate(name="embedding")([mean, most])
    logit = layers.Add()([head.mean(mean), head.of_map(most)])
    return {
        "probability": layers.Activation("sigmoid", name="probability")(logit),
        "embedding": embedding,
        "share": _attribution(top, cat_map, head),
        CAT_MAP: layers.Activation("linear", name="raw_cat_map")(cat_map),
    }


def _attribution(top: keras.KerasTensor, cat_map: keras.KerasTensor, head: Head) -> keras.KerasTensor:
    """Share the logit out among the cells of the map.

    The mean's part is exact: the head is linear, so its mean over the cells is its value at the mean. Each
    cell of the map gets its own logit's part of the mean, and of what the maximum exceeds the mean by as much
    as it comes close to the maximum (softmax). So the attributions rise and fall with the map.
    """
    height, width = cat_map.shape[1:3]
    cells = height * width
    of_top = layers.UpSampling2D(2)(layers.Rescaling(1 / cells)(head.mean(top)))
    counted = head.of_map(layers.Rescaling(MAP_SCALE)(cat_map))
    mean = layers.GlobalAveragePooling2D(keepdims=True)(counted)
    most = layers.GlobalMaxPooling2D(keepdims=True)(counted)
    flat = layers.Softmax()(layers.Reshape((cells,))(cat_map))
    close = layers.Reshape((height, width, 1))(flat)
    exceeding = layers.Multiply()([close, layers.Subtract()([most, mean])])
    return layers.Add()([of_top, layers.Rescaling(1 / cells)(counted), exceeding])


def _assemble(features: keras.Model) -> CatModel:
    head = Head(
        layers.Conv2D(1, 1, name="head_mean", kernel_initializer=_small()),
        layers.Conv2D(1, 1, use_bias=False, name="head_most", kernel_initializer=_half()),
    )
    scale, offset = efficientnet_lite.SCALE, efficientnet_lite.OFFSET
    photo = keras.Input(features.input_shape[1:], dtype="uint8", name="photo")
    top, cat_map = features(layers.Rescaling(scale, offset, name="normalise")(photo))
    served = keras.Model(photo, outputs(top, cat_map, head), name="cat_model")
    return CatModel(features, head, served, scale, offset)


def _small() -> Any:  # noqa: ANN401 - Keras declares no types, and its default is a string
    return keras.initializers.RandomNormal(stddev=0.01)


def _half() -> Any:  # noqa: ANN401 - as above
    """Begin with half of the map's maximum in the logit."""
    return keras.initializers.Constant(0.5 / MAP_SCALE)


def _cat_map(middle: keras.KerasTensor, top: keras.KerasTensor) -> keras.KerasTensor:
    """Join the feature maps at stride 16 and 32; return one logit a cell, (N, 2H, 2W, 1)."""
    coarse = layers.UpSampling2D(2)(layers.Conv2D(CHANNELS, 1, name="head.l32")(top))
    joined = layers.ReLU(6.0)(layers.Add()([layers.Conv2D(CHANNELS, 1, name="head.l16")(middle), coarse]))
    around = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same", name="head.dw")(joined))
    refined = layers.Conv2D(CHANNELS, 1, name="head.pw")(around)
    refined = layers.ReLU(6.0)(layers.Add()([joined, refined]))
    return layers.Conv2D(1, 1, name="head.ev", kernel_initializer=_small())(refined)


def _tiny(side: int) -> keras.Model:
    """Build a small backbone that is not pretrained, for tests and demonstrations."""
    photo = keras.Input((side, side, 3), name="normalised")
    x, maps = photo, []
    for number, filters in enumerate((16, 24, 32, 48, 64)):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", name=f"blocks.{number}.conv")(x)
        x = layers.ReLU(6.0)(x)
        maps.append(x)
    return keras.Model(photo, maps[-2:], name="backbone")
