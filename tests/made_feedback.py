"""Flags for tests: what a person says of a made-up verdict."""

from dataclasses import replace

import numpy as np

from cat_model.feedback.record import Feedback
from cat_model.verdict import Verdict

VERDICT = Verdict(0.12345678, False, False, "not a cat", "model-7")


def made_feedback(secret="aaaabbbbccccdddd", says_cat=True, **more) -> Feedback:
    """Feedback about a made-up verdict; the fields of Feedback may be given by name."""
    return replace(Feedback(VERDICT, "f" * 64, says_cat, secret), **more)


def numbers(seed=0, size=1280) -> np.ndarray:
    """An embedding that float16 holds exactly."""
    return np.random.default_rng(seed).integers(0, 400, size).astype(np.float32) / 64
