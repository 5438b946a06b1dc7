"""What refreshing the head on people's answers gives: `python -m benchmarks.refresh RUN PHOTOS`.

A simulation. Photos of the training sources that the run has never seen, taken as dark webcams take them, are
the new stream. Half of it is judged by the run's exported model and answered by people, one answer in ten
falsely; the answers go through outbox, set, refresh and export. Printed: how many of the stream's other half,
and of the old test photos, the int8 files before and after judge rightly.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from cat_model import bundle
from cat_model.feedback import NUMBERS, Flag, new_secret
from cat_model.outbox import Outbox
from cat_model.photo import decode
from cat_model.predict import Predictor, load
from cat_model.stores import FolderStore
from export import publish
from export.gate import RULES
from train import dataset, evaluate, feedback_set, refresh, stress
from train.config import Places
from train.dataset import TEST, PhotoRecord
from train.run import Run

STREAM = ("low-light", "webcam")
"""Each photo of the stream is distorted by each of them, one after the other."""
FALSE = 0.1


@dataclass(frozen=True)
class Shot:
    """One photo of the stream, and whether it shows a cat."""

    photo: Image.Image
    is_cat: bool


def main() -> int:
    """Simulate and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refresh", description=__doc__)
    parser.add_argument("run", type=Path, help="run folder of a finished training")
    parser.add_argument("photos", type=Path, help="the folder of groups that it learned from a part of")
    parser.add_argument("--answers", type=int, default=600, help="how many people answer (600)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    run = Run.read(options.run)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        before = _export(run, place / "before", place / "none")
        records = _unseen(run, options.photos, 2 * options.answers, options.seed)
        shots = list(_stream(options.photos, records))
        told, judged = shots[: options.answers], shots[options.answers :]
        _answer(load(place / "before"), told, place / "outbox", options.seed)
        print(feedback_set.pull(FolderStore(place / "outbox"), place / "set"))
        after = refresh.refresh(options.run, place / "set", "python -m benchmarks.refresh")
        new = _export(after, place / "after", place / "before")
        _tell("stream", before, new, [shot.photo for shot in judged], [shot.is_cat for shot in judged])
        test = run.manifest(TEST)
        paths = [run.root(TEST) / record.path for record in test]
        _tell("old test", before, new, paths, [record.is_cat for record in test])
        for name in STREAM:
            photos = list(stress.photos(run.root(TEST), test, name))
            _tell(f"old test, {name}", before, new, photos, [record.is_cat for record in test])
    return 0


def _export(run: Run, target: Path, champion: Path) -> Predictor:
    """Export a run by the same gate as ever; whatever it says, the simulation serves the file."""
    print(f"--- export of {run.folder.name}")
    publish.publish(publish.Order(run.folder, champion, RULES, None, dry_run=True, force=None))
    files = {path.name: path.read_bytes() for path in (run.folder / "export").iterdir()}
    bundle.write(target, files)
    return load(target)


def _unseen(run: Run, photos: Path, count: int, seed: int) -> list[PhotoRecord]:
    """Draw photos, as many of each group, none of them or of their near-duplicates known to the run."""
    records, _ = dataset.scan(photos, Places.from_env().cache)
    known = {record.family for record in records if record.sha256 in _hashes(run)}
    fresh = [record for record in records if record.family not in known]
    groups = sorted({record.group for record in fresh})
    # As many cats as others, so that an accuracy says something.
    cats = [group for group in groups if group.startswith("cat")]
    lot, chosen = np.random.default_rng(seed), []
    for group in groups:
        share = count // 2 // (len(cats) if group in cats else len(groups) - len(cats))
        members = [record for record in fresh if record.group == group]
        chosen += [members[i] for i in lot.permutation(len(members))[:share]]
    return [chosen[i] for i in lot.permutation(len(chosen))]


def _hashes(run: Run) -> set[str]:
    return {record.sha256 for record in dataset.read_manifest(run.folder / "manifest.csv")}


def _stream(root: Path, records: Sequence[PhotoRecord]) -> Iterator[Shot]:
    for record in records:
        lot = np.random.default_rng(int(record.sha256[:16], 16))
        photo = decode(root / record.path)
        for name in STREAM:
            photo = stress.SLICES[name](photo, lot, lambda: None)
        yield Shot(photo, record.is_cat)


def _answer(predictor: Predictor, shots: Sequence[Shot], folder: Path, seed: int) -> None:
    """Let people answer to what the model says of each photo; some tell the contrary of what is true."""
    outbox, lot = Outbox(folder), np.random.default_rng(seed)
    false = lot.permutation(len(shots))[: round(FALSE * len(shots))]
    digest = predictor.bundle.manifest["model"]["sha256"]
    for number, shot in enumerate(shots):
        says_cat = shot.is_cat != (number in false)
        outbox.add(
            Flag(
                predictor.predict(shot.photo),
                digest,
                says_cat,
                new_secret(),
                consent=NUMBERS,
                embedding=predictor.embedding(shot.photo),
            )
        )
    print(f"{len(shots)} answers, {len(false)} of them false")


def _tell(name: str, before: Predictor, after: Predictor, photos: Sequence, cats: Sequence[bool]) -> None:
    """Print what both judge rightly, at their own thresholds and at a probability of 0.5."""
    truth = np.array(cats)
    said = [np.array([v.probability for v in each.predict_many(photos)]) for each in (before, after)]
    areas = " → ".join(f"{roc_auc_score(truth, each):.3f}" for each in said)
    print(f"{name}, {len(truth)} photos: area under the ROC curve {areas}")
    own = (before.bundle.threshold, after.bundle.threshold)
    for at, thresholds in (("their own thresholds", own), ("0.5", (0.5, 0.5))):
        right = [(each >= threshold) == truth for each, threshold in zip(said, thresholds, strict=True)]
        rates = [evaluate.rate(int(each.sum()), len(each)) for each in right]
        paired = evaluate.mcnemar(*right)
        words = " → ".join(f"{r.value:.3f} ({r.low:.3f} – {r.high:.3f})" for r in rates)
        print(
            f"  accuracy at {at}: {words}; p {paired.p_value:.2g}, p that it is worse {paired.p_b_worse:.2g}"
        )


if __name__ == "__main__":
    sys.exit(main())
