"""How often drift raises an alarm, with a reason and without one: `python -m benchmarks.drift PHOTOS`.

The bundle answers photos of its test split, which is of the same kind as the validation photos that its own
`reference.json` remembers. At random, again and again: 500 of them, as they are, should raise no alarm; as
dark webcams take them, 200 should be enough for one.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks._command_line import parser
from benchmarks.dark import dark
from cat_model.bundle import Bundle
from cat_model.monitoring import drift
from cat_model.monitoring.traffic import BLOCK, Aggregate
from cat_model.photo import Photo
from cat_model.predictor import Predictor
from cat_model.settings import SHIPPED_BUNDLE
from cat_model.verdict import Verdict
from export.reference import Reference
from train.config import Paths
from train.data import manifest

RUNS, QUIET, LOUD = 20, 500, 200


class Recorder:
    """An observer that keeps what each photo got."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.probabilities: list[float] = []
        self.embeddings: list[np.ndarray] = []

    def answered(self, verdict: Verdict, embedding: np.ndarray) -> None:
        """Keep a photo's answer."""
        self.probabilities.append(verdict.probability)
        self.embeddings.append(embedding)

    def took(self, step: str, seconds: float, counted: bool) -> None:
        """Keep nothing."""

    def refused(self, cause: str, counted: bool) -> None:
        """Keep nothing."""

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities (N,) and embeddings (N, D)."""
        return np.array(self.probabilities), np.stack(self.embeddings)


def main() -> int:
    """Simulate and print; return the exit code: 0 when it is as it should be."""
    command_line = parser(__doc__)
    command_line.add_argument("photos", type=Path, help="folder of groups that the model was made from")
    command_line.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="the shipped one")
    options = command_line.parse_args()
    bundle, there = Bundle.read(options.bundle), drift.read_reference(options.bundle)
    known = Reference.read(options.bundle)
    records, _ = manifest.scan(options.photos, Paths.from_env().cache)
    records = [record for record in records if known and known.has_in_test(record)]
    if not records:
        command_line.error(f"{options.photos} has no photo of the test split that {options.bundle} knows.")
    plain = _answers(bundle, (options.photos / record.path for record in records))
    rng = np.random.default_rng(0)
    some = [records[index] for index in rng.permutation(len(records))[: 2 * LOUD]]
    in_the_dark = _answers(bundle, (dark(options.photos, record) for record in some))
    quiet, loud = [], []
    for _ in range(RUNS):
        quiet.append(drift.compare(_blocks(plain, rng.permutation(len(records))[:QUIET]), there))
        loud.append(drift.compare(_blocks(in_the_dark, rng.permutation(len(some))[:LOUD]), there))
    for name, found in ((f"{QUIET} as they are", quiet), (f"{LOUD} in the dark", loud)):
        print(f"{name}: alarm in {sum(each.alarm for each in found)} of {RUNS} runs")
        for number in range(len(found[0].tests)):
            each = [one.tests[number] for one in found]
            low, high = min(f.found for f in each), max(f.found for f in each)
            print(f"  {each[0].name}: {low:.3f} to {high:.3f}, alarm above {each[0].limit:.3f}")
    return 0 if not any(each.alarm for each in quiet) and all(each.alarm for each in loud) else 1


def _answers(bundle: Bundle, photos: Iterable[Photo]) -> tuple[np.ndarray, np.ndarray]:
    recorder = Recorder()
    for _ in Predictor(bundle, observers=(recorder,)).predict_many(photos):
        pass
    return recorder.all()


def _blocks(answers: tuple[np.ndarray, np.ndarray], chosen: np.ndarray) -> list[Aggregate]:
    """Return the counts over the chosen of N photos, as the page would count them."""
    probabilities, embeddings = answers
    blocks = [chosen[start : start + BLOCK] for start in range(0, len(chosen), BLOCK)]
    return [Aggregate.of(probabilities[block], embeddings[block]) for block in blocks]


if __name__ == "__main__":
    sys.exit(main())
