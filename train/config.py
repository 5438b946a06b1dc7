"""Everything that decides what a training run does, in one frozen object that is recorded with the run."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPENIMAGES = "mobilenet_v2_openimages"
BACKBONES = {
    "efficientnet_lite0": "EfficientNet-Lite0 (Google, Apache-2.0), pretrained on ImageNet",
    "mobilenet_v2": "MobileNetV2 (Google, Apache-2.0), pretrained on ImageNet",
    OPENIMAGES: "MobileNetV2 from the detector in MediaPipe Objectron (Google, Apache-2.0), "
    "pretrained on Open Images V4",
    "tiny": "a small convolutional network, not pretrained",
}
"""Every backbone's name, and where it comes from."""
DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"


class TrainError(Exception):
    """Training cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run. The same values and the same photos give the same run folder.

    Attributes:
        backbone: one of BACKBONES.
        side: pixels of each side of the model's square input: calibrated, measured and served so.
        taught: pixels of each side that photos are shrunk to for learning, but no more than `side`. It takes
            less time, and being served larger than it learned makes a model no worse (H. Touvron et al.,
            Fixing the train-test resolution discrepancy, 2019).
        epochs: epochs of fine-tuning after the head was fitted on frozen features.
        soup: how often it is fine-tuned from the same start, with other lots each time; the weights are
            averaged.
        batch: photos a step.
        learning_rate: peak learning rate of fine-tuning.
        warmup: share of the fine-tuning steps in which the learning rate rises to its peak, 0 to 1.
        unfrozen: share of the backbone's layers, from the top, that fine-tuning may change, 0 to 1.
        augmentation: strength of the augmentation, 0 (none) to 1.
        dropout: share of the embedding that is left out in training, 0 to 1.
        mixup: parameter of the beta distribution that photos are blended by in training; 0 for none.
        label_smoothing: how far the targets move from 0 and 1 towards 0.5, 0 to 1.
        strongest: whether the strongest cell's evidence counts beside the mean of all cells, so that a small
            cat is not averaged away; a detector's backbone always counts it.
        seed: of the split, the augmentation and the order of photos.
        per_group: at most so many photos of each group; None for all.
    """

    backbone: str = "efficientnet_lite0"
    side: int = 224
    taught: int = 256
    epochs: int = 5
    soup: int = 1
    batch: int = 32
    learning_rate: float = 5e-5
    warmup: float = 0.1
    unfrozen: float = 0.4
    augmentation: float = 1.0
    dropout: float = 0.2
    mixup: float = 0.2
    label_smoothing: float = 0.02
    strongest: bool = False
    seed: int = 20
    per_group: int | None = None

    @property
    def learning_side(self) -> int:
        """Pixels of each side of the photos that it learns from."""
        return min(self.taught, self.side)

    @property
    def learns_places(self) -> bool:
        """Whether it can be taught where cats are; a detector's backbone brings its evidence."""
        return self.strongest and not self.mixup and self.backbone != OPENIMAGES


QUICK = {"side": 160, "epochs": 2, "per_group": 150}
"""What `--quick` changes: a few hundred photos, smaller, two epochs."""


def read_config(path: Path) -> dict[str, Any]:
    """Read the values of TrainConfig's fields from a file that `python -m train tune` wrote.

    Raises:
        TrainError: it cannot be read, or holds no configuration.
    """
    try:
        values = json.loads(path.read_text("utf-8"))["config"]
        TrainConfig(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainError(f"{path} holds no configuration that `train tune` wrote: {error}") from error
    return values


@dataclass(frozen=True)
class Places:
    """Where a run finds its inputs and leaves its results; none of it changes what is learned.

    Attributes:
        weights: file with the backbone's pretrained weights, from CAT_WEIGHTS; None to load them by name.
        tracking_uri: MLflow's store, from MLFLOW_TRACKING_URI.
        cache: folder for what is computed from photos, from CAT_CACHE.
    """

    weights: Path | None
    tracking_uri: str
    cache: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Places":
        """Read CAT_WEIGHTS, MLFLOW_TRACKING_URI and CAT_CACHE."""
        weights = environ.get("CAT_WEIGHTS")
        return cls(
            weights=Path(weights) if weights else None,
            tracking_uri=environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI,
            cache=Path(environ.get("CAT_CACHE") or ".cache"),
        )
