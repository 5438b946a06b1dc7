"""Does drift raise an alarm with a reason, and none without one? `python -m benchmarks.drift PHOTOS`.

The bundle judges photos of its test split, which is of the same kind as the validation photos that its own
`reference.json` remembers. By lot, again and again: 500 of them, as they are, should raise no alarm; as dark
webcams take them, 200 should be enough for one.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.dark import dark
from cat_model import drift
from cat_model.photo import decode
from cat_model.predict import Verdict, load
from cat_model.settings import SHIPPED_BUNDLE
from cat_model.traffic import BLOCK, Aggregate
from export.reference import Reference
from train import dataset
from train.config import Places

RUNS, QUIET, LOUD = 20, 500, 200


class Notes:
    """An observer that keeps what each photo got."""

    def __init__(self) -> None:
        """Begin without notes."""
        self.probabilities, self.embeddings = [], []

    def answered(self, verdict: Verdict, embedding: np.ndarray) -> None:
        """Note a photo."""
        self.probabilities.append(verdict.probability)
        self.embeddings.append(embedding)

    def took(self, step: str, seconds: float) -> None:
        """Note nothing."""

    def refused(self, cause: str) -> None:
        """Note nothing."""

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities (N,) and embeddings (N, D)."""
        return np.array(self.probabilities), np.stack(self.embeddings)


def main() -> int:
    """Simulate and print; return the exit code: 0 when it is as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of groups that the bundle's model was made from")
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE)
    options = parser.parse_args()
    predictor, there = load(options.bundle), drift.read_reference(options.bundle)
    known = Reference.read(options.bundle)
    records, _ = dataset.scan(options.photos, Places.from_env().cache)
    records = [record for record in records if known.has_in_test(record)]
    plain = _judge(predictor, (decode(options.photos / record.path) for record in records))
    lot = np.random.default_rng(0)
    some = [records[index] for index in lot.permutation(len(records))[: 2 * LOUD]]
    in_the_dark = _judge(predictor, (dark(options.photos, record) for record in some))
    quiet, loud = [], []
    for _ in range(RUNS):
        quiet.append(drift.judge(_blocks(plain, lot.permutation(len(records))[:QUIET]), there))
        loud.append(drift.judge(_blocks(in_the_dark, lot.permutation(len(some))[:LOUD]), there))
    for name, found in ((f"{QUIET} as they are", quiet), (f"{LOUD} in the dark", loud)):
        print(f"{name}: alarm in {sum(each.alarm for each in found)} of {RUNS} runs")
        for finding in range(len(found[0].findings)):
            each = [one.findings[finding] for one in found]
            low, high = min(f.found for f in each), max(f.found for f in each)
            print(f"  {each[0].name}: {low:.3f} to {high:.3f}, alarm above {each[0].limit:.3f}")
    return 0 if not any(each.alarm for each in quiet) and all(each.alarm for each in loud) else 1


def _judge(predictor, photos):
    notes = Notes()
    predictor.observers = (notes,)
    for _ in predictor.predict_many(photos):
        pass
    return notes.all()


def _count(judged, which) -> Aggregate:
    return Aggregate.of(*(each[which] for each in judged))


def _blocks(judged, which) -> list[Aggregate]:
    return [_count(judged, which[start : start + BLOCK]) for start in range(0, len(which), BLOCK)]


if __name__ == "__main__":
    sys.exit(main())
