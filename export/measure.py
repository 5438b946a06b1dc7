"""The exported file in the runtime that serves it: its answers, its threshold, its agreement with Keras."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cat_model.runtime import Runtime
from train import evaluate
from train.dataset import TEST, VALIDATION
from train.evaluate import Metrics

BATCH = 16
TRUST = 0.99
"""How sure an answer outside the band "not sure" is on validation photos."""


@dataclass(frozen=True)
class Answers:
    """What a model says of the photos of one split.

    Attributes:
        probabilities: shape (N,), float32, 0 to 1.
        groups: shape (N,), names of the photos' groups.
    """

    probabilities: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class Measurement:
    """Everything that was found out about an exported file.

    Attributes:
        threshold: chosen on validation photos.
        unsure: band "not sure", chosen on validation photos.
        metrics: of each split at that threshold.
        same_verdict: share of test photos on which Keras says the same.
        mean_difference: mean absolute difference of the probabilities to Keras, on test photos.
    """

    threshold: float
    unsure: tuple[float, float]
    metrics: Mapping[str, Metrics]
    same_verdict: float
    mean_difference: float


def answer(model: bytes, pixels: np.ndarray) -> np.ndarray:
    """Return the probabilities that a .tflite file gives resized photos, shape (N,), float32."""
    runtime = Runtime(model)
    batches = (runtime.run(np.ascontiguousarray(pixels[i : i + BATCH])) for i in range(0, len(pixels), BATCH))
    return np.concatenate([batch.probability for batch in batches])


def measure(answers: Mapping[str, Answers], keras_on_test: np.ndarray) -> Measurement:
    """Choose the threshold on validation answers and measure every split with it.

    Args:
        answers: of the exported file, for each split; validation and test are needed.
        keras_on_test: what the Keras model says of the same test photos, shape (N,).
    """
    validation, test = answers[VALIDATION], answers[TEST]
    cats = evaluate.is_cat(validation.groups)
    threshold = evaluate.choose_threshold(validation.probabilities, cats)
    band = evaluate.unsure_band(validation.probabilities, cats, threshold, TRUST)
    return Measurement(
        threshold=threshold,
        unsure=band,
        metrics={
            split: evaluate.measure(each.probabilities, each.groups, threshold, band)
            for split, each in answers.items()
        },
        same_verdict=float(((test.probabilities >= threshold) == (keras_on_test >= threshold)).mean()),
        mean_difference=float(np.abs(test.probabilities - keras_on_test).mean()),
    )


def for_gate(measurement: Measurement, model: bytes) -> dict[str, float]:
    """Return the figures that the gate's rules ask for, by the rules' names."""
    test = measurement.metrics[TEST]
    return {
        "test.recall": test.recall.low,
        "test.precision": test.precision.low,
        "agreement.same_verdict": measurement.same_verdict,
        "agreement.mean_difference": measurement.mean_difference,
        "size.megabytes": len(model) / 1e6,
    }
