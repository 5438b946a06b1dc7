"""Accuracy before and after a refresh on people's answers: `python -m benchmarks.refresh RUN PHOTOS`.

A simulation. PHOTOS is a folder of groups from other sources, such as `photos/wild`: none of them trained the
run's model, chose its threshold or tested it (those that did, and their near-duplicates, are left out). As
webcams take them from some way off in the dark, they are the new stream. Of half of it people say whether the
exported model is right, one in ten falsely; their answers go through outbox, set, refresh, export and gate.
Printed: how many of the stream's other half, and of the old test photos, the int8 files before and after get
right by their quick answers.

The run stays as it is: a copy of it is refreshed, in a folder and an MLflow store that are thrown away.
"""

import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks._command_line import parser
from benchmarks.accuracy import probabilities
from benchmarks.dark import FAR, dark
from cat_model import bundle
from cat_model.feedback.outbox import Outbox
from cat_model.feedback.record import NUMBERS, Feedback, new_secret
from cat_model.feedback.stores import FolderStore
from cat_model.photo import Photo
from cat_model.predictor import Predictor, load
from export import evaluate, pipeline
from export.gate import RULES
from train.config import Paths
from train.data import manifest
from train.data.manifest import PEOPLE, TEST, TRAIN, VALIDATION, PhotoRecord
from train.evaluation import metrics
from train.feedback import dataset, refresh
from train.run import Run
from train.tracking import Tracker

FALSE = 0.1
"""Share of the answers that say the contrary of what is true."""


def main() -> int:
    """Simulate and print; return the exit code."""
    command_line = parser(__doc__)
    command_line.add_argument("run", type=Path, help="run folder of a finished training")
    command_line.add_argument("photos", type=Path, help="folder of groups from other sources")
    command_line.add_argument("--answers", type=int, default=400, help="how many people answer (400)")
    command_line.add_argument("--seed", type=int, default=0, help="of the choice of photos and answers (0)")
    options = command_line.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workplace = Path(folder)
        run = _copy(Run.read(options.run), workplace)
        before = _exported(run, workplace / "before", workplace / "none")
        records = _unseen(run, options.photos, 2 * options.answers, options.seed)
        told, held_out = records[: options.answers], records[options.answers :]
        _answer(before, options.photos, told, workplace / "outbox", options.seed)
        print(dataset.pull(FolderStore(workplace / "outbox"), workplace / "set"))
        after = refresh.refresh(run.folder, workplace / "set", "python -m benchmarks.refresh")
        new = _exported(after, workplace / "after", workplace / "before")
        newly = sorted(_refused(new) - _refused(before))
        print(f"Rules that the gate refuses it by, but not the model before: {', '.join(newly) or 'none'}")
        test = run.manifest(TEST)
        _tell("stream", before, new, [dark(options.photos, each, FAR) for each in held_out], held_out)
        _tell("old test", before, new, list(evaluate.paths(run, TEST)), test)
        some = test[:: max(1, len(test) // len(held_out))]
        _tell("old test as the stream", before, new, [dark(run.photos, each, FAR) for each in some], some)
    return 0


def _copy(run: Run, workplace: Path) -> Run:
    folder, store = workplace / run.folder.name, f"sqlite:///{workplace / 'mlflow.db'}"
    shutil.copytree(run.folder, folder)
    tracker = Tracker.start(store, folder)
    copy = dataclasses.replace(run, folder=folder, tracking_uri=store, mlflow_run=tracker.run_id)
    copy.write()
    return copy


def _exported(run: Run, target: Path, champion: Path) -> Predictor:
    """Export a run, unless that was done, by the same gate as ever; what is refused is served too."""
    export = run.folder / "export"
    if not (export / bundle.MANIFEST).exists():
        print(f"--- export of {run.folder.name}")
        pipeline.publish(
            pipeline.ExportOptions(run.folder, champion, RULES, baseline=None, dry_run=True, force=None)
        )
    bundle.write(target, {path.name: path.read_bytes() for path in export.iterdir()})
    return load(target, evaluate.WORKERS)


def _refused(predictor: Predictor) -> set[str]:
    results = predictor.bundle.manifest["gate"]["findings"]
    return {each["rule"] for each in results if not each["passed"]}


def _unseen(run: Run, photos: Path, count: int, seed: int) -> list[PhotoRecord]:
    """Draw photos, as many cats as others, none of them or of their near-duplicates known to the run."""
    records, _ = manifest.scan(photos, Paths.from_env().cache)
    used = {r.sha256 for split in (TRAIN, VALIDATION, TEST, PEOPLE) for r in run.manifest(split)}
    known = {record.family for record in records if record.sha256 in used}
    fresh = [record for record in records if record.family not in known]
    groups = sorted({record.group for record in fresh})
    cats = [group for group in groups if group.startswith("cat")]
    rng, chosen = np.random.default_rng(seed), []
    for group in groups:
        share = count // 2 // (len(cats) if group in cats else len(groups) - len(cats))
        members = [record for record in fresh if record.group == group]
        chosen += [members[i] for i in rng.permutation(len(members))[:share]]
    return [chosen[i] for i in rng.permutation(len(chosen))]


def _answer(
    predictor: Predictor, root: Path, records: Sequence[PhotoRecord], folder: Path, seed: int
) -> None:
    """Let people answer to what the model says of each photo; some tell the contrary of what is true."""
    outbox, rng = Outbox(folder), np.random.default_rng(seed)
    false = set(rng.permutation(len(records))[: round(FALSE * len(records))])
    digest = predictor.bundle.manifest["model"]["sha256"]
    for number, record in enumerate(records):
        photo, says_cat = dark(root, record, FAR), record.is_cat != (number in false)
        numbers = predictor.embedding(photo)
        verdict = predictor.predict(photo)
        outbox.add(Feedback(verdict, digest, says_cat, new_secret(), consent=NUMBERS, embedding=numbers))
    print(f"{len(records)} answers, {len(false)} of them false")


def _tell(
    name: str,
    before: Predictor,
    after: Predictor,
    photos: Sequence[Photo],
    records: Sequence[PhotoRecord],
) -> None:
    """Print what both get right, each at its own threshold."""
    truth = np.array([record.is_cat for record in records])
    said = [probabilities(each, photos) for each in (before, after)]
    thresholds = before.bundle.threshold, after.bundle.threshold
    right = [(each >= threshold) == truth for each, threshold in zip(said, thresholds, strict=True)]
    rates = {
        "accuracy": [metrics.rate(int(each.sum()), len(each)) for each in right],
        "recall": [metrics.rate(int(each[truth].sum()), int(truth.sum())) for each in right],
        "false-positive rate": [
            metrics.rate(int((~each[~truth]).sum()), int((~truth).sum())) for each in right
        ],
    }
    areas = " → ".join(f"{roc_auc_score(truth, each):.3f}" for each in said)
    paired = metrics.mcnemar(*right)
    print(f"{name}, {len(truth)} photos, area under the ROC curve {areas}")
    for what, both in rates.items():
        print(
            f"  {what} " + " → ".join(f"{each.value:.3f} ({each.low:.3f} – {each.high:.3f})" for each in both)
        )
    print(
        f"  right only before: {paired.only_a}, only after: {paired.only_b}; McNemar, p {paired.p_value:.2g}"
    )


if __name__ == "__main__":
    sys.exit(main())
