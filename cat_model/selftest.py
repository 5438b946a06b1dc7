"""The self-test: generated pictures with the model's recorded answers, so that loading can tell the right
model.

A hash says that the file is the one that was exported. These say that it still answers as it did, on this
machine, in this interpreter. The pictures are made from a number by whole-number arithmetic: every machine
makes the same ones, and the bundle need not hold them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cat_model.runtime import Outputs, Runtime

PICTURES, CANDIDATES = 4, 64
CELLS = 7
FEATURES = 64
PROBABILITY_TOLERANCE, EMBEDDING_TOLERANCE = 0.1, 0.25
"""How far an answer may lie from the recorded one. Processors and interpreters round int8 sums differently:
the same file in three of LiteRT's and TensorFlow's kernels differed by up to 0.035 and 0.075. A model trained
anew on other photos had embeddings 0.31 to 0.49 away."""


class SelfTestError(ValueError):
    """A model does not answer as it did when it was exported; the message says what differs."""


@dataclass(frozen=True)
class Recorded:
    """What the model answered about one picture when it was exported.

    Attributes:
        picture: number of the picture, from which `draw` makes it.
        probability: 0 to 1.
        embedding: 64 of the pooled features, evenly spaced.
    """

    picture: int
    probability: float
    embedding: tuple[float, ...]


def draw(picture: int, side: int) -> np.ndarray:
    """Return a picture of soft spots of colour.

    Returns:
        Array of shape (1, side, side, 3), dtype uint8, RGB.
    """
    corners = CELLS + 1
    digests = [hashlib.sha256(f"{picture}/{part}".encode()).digest() for part in range(corners)]
    spots = np.frombuffer(b"".join(digests)[: corners * corners * 3], np.uint8).astype(np.int64)
    spots = spots.reshape(corners, corners, 3)
    cell, rest = np.divmod(np.arange(side) * CELLS, side)
    down = rest[:, None, None]
    rows = spots[cell] * (side - down) + spots[cell + 1] * down
    across = rest[None, :, None]
    both = rows[:, cell] * (side - across) + rows[:, cell + 1] * across
    return (both // side**2).astype(np.uint8)[None]


def record(model: bytes) -> list[Recorded]:
    """Return what a model answers, about those of the candidates whose answers are spread widest.

    Raises:
        ModelError: the bytes are no model that can be served.
    """
    runtime = Runtime(model)
    answers = [_answer(runtime, number) for number in range(CANDIDATES)]
    answers.sort(key=lambda answer: answer.probability)
    return [answers[round(place)] for place in np.linspace(0, CANDIDATES - 1, PICTURES)]


def check(runtime: Runtime, recorded_answers: Sequence[Recorded]) -> None:
    """Ask a model about generated pictures.

    Raises:
        SelfTestError: an answer differs from the recorded one by more than rounding explains.
    """
    for recorded in recorded_answers:
        now = _answer(runtime, recorded.picture)
        where = f"The model does not answer picture {recorded.picture} as recorded"
        # Said this way round, a model that answers "not a number" fails too.
        if not abs(now.probability - recorded.probability) <= PROBABILITY_TOLERANCE:
            raise SelfTestError(f"{where}: {now.probability:.3f} instead of {recorded.probability:.3f}.")
        if len(now.embedding) != len(recorded.embedding):
            raise SelfTestError(
                f"{where}: {len(now.embedding)} features instead of {len(recorded.embedding)}."
            )
        before = np.array(recorded.embedding)
        apart = np.linalg.norm(np.array(now.embedding) - before) / max(float(np.linalg.norm(before)), 1e-9)
        if not apart <= EMBEDDING_TOLERANCE:
            raise SelfTestError(f"{where}: its features are off by {apart:.0%}.")


def _answer(runtime: Runtime, picture: int) -> Recorded:
    outputs: Outputs = runtime.run(draw(picture, runtime.side))
    features = outputs.embedding[0]
    chosen = features[:: max(1, len(features) // FEATURES)][:FEATURES]
    return Recorded(
        picture, round(float(outputs.probability[0]), 6), tuple(round(float(value), 5) for value in chosen)
    )
