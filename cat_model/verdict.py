"""The answer about one photo, and the logits it is made from."""

from dataclasses import asdict, dataclass

import numpy as np

CAT, NOT_A_CAT, NOT_SURE = "cat", "not a cat", "not sure"
FINEST = 1 / 512
"""Half a step of the model's int8 output: how near to 0 or 1 a probability can be told."""


@dataclass(frozen=True)
class Verdict:
    """The answer about one photo.

    Attributes:
        probability: that the photo shows a cat, 0 to 1.
        is_cat: whether the probability reaches the model's threshold.
        unsure: whether it lies in the band around the threshold where the model is often wrong.
        label: "cat", "not a cat" or "not sure".
        model_version: which model said so.
        frame: which picture of an animation was looked at, 0 for the first: a later one where that is blank.
    """

    probability: float
    is_cat: bool
    unsure: bool
    label: str
    model_version: str
    frame: int = 0

    def as_dict(self) -> dict[str, float | bool | str]:
        """Return the fields by name, as programs get them: `frame` only where it is not the first."""
        fields = asdict(self)
        return fields if self.frame else {name: fields[name] for name in fields if name != "frame"}


@dataclass(frozen=True)
class Threshold:
    """Where the answer changes.

    Attributes:
        cat: probability from which a photo counts as a cat, 0 to 1.
        unsure: lower and upper end of the band around it that is called "not sure".
    """

    cat: float
    unsure: tuple[float, float]

    def verdict(self, probability: float, model_version: str, frame: int = 0) -> Verdict:
        """Return the verdict at a probability, 0 to 1, about a picture of an animation, 0 for the first."""
        low, high = self.unsure
        is_cat, unsure = probability >= self.cat, low <= probability < high
        label = NOT_SURE if unsure else CAT if is_cat else NOT_A_CAT
        return Verdict(probability, is_cat, unsure, label, model_version, frame)


def logit(probabilities: np.ndarray) -> np.ndarray:
    """Return the logits of probabilities; those that an int8 output rounds to 0 or 1 stay finite."""
    inside = np.clip(probabilities, FINEST, 1 - FINEST)
    return np.log(inside / (1 - inside))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits."""
    return 1 / (1 + np.exp(-logits))
