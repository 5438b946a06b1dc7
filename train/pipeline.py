"""The whole training: photos, manifest, splits, pixels, head, fine-tuning, evaluation, run folder, MLflow."""

import dataclasses
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np

from cat_model.bundle import sha256
from cat_model.files import write_durably
from train import answers, boxes, checks, dataset, evaluate, fit, head, model, plots, report, stress
from train.answers import ANSWERS
from train.batches import Examples
from train.config import Places, TrainConfig, TrainError
from train.dataset import CHOOSING, PEOPLE, TEST, TRAIN, VALIDATION, WILD, PhotoRecord
from train.head import Scaling
from train.model import CatModel
from train.run import MODEL, RUN, SUMMARY, Run
from train.tracking import Tracker, code_commit, flatten, tracked


@dataclass(frozen=True)
class Inputs:
    """What a run is given.

    Attributes:
        photos: folder of groups to learn from.
        wild: folder of groups from other sources, only ever measured on; or None.
        people: folder of photos as people send them, for choosing and not for learning; or None.
        boxes: file that says where cats are, for a model that counts its strongest cell; or None.
        out: folder that run folders are made in.
        decisions: file of what a person decided about photos, or None.
        policy: file that says which findings of the checks stop the training.
        override_checks: whether to go on in spite of them, without files that are not usable photos.
        command: the command line, for the record.
    """

    photos: Path
    wild: Path | None
    people: Path | None
    boxes: Path | None
    out: Path
    decisions: Path | None
    policy: Path
    override_checks: bool
    command: str


def run(inputs: Inputs, config: TrainConfig, places: Places) -> Run:
    """Train a model, or go on with a run that was stopped.

    The folder's name comes from the configuration, the photos and the weights: the same command goes on
    where it was stopped, and does nothing once the run is finished.

    Raises:
        TrainError: the photos or the weights do not do.
    """
    current = begin(inputs, config, places, collect(inputs, config, places))
    if (current.folder / SUMMARY).exists():
        print(f"{current.folder} is finished already.")
        return Run.read(current.folder)
    with tracked(Tracker(current.tracking_uri, current.mlflow_run)) as tracker:
        cat_model, scaling = learn(current, places.weights, tracker)
        cat_model.served.save(current.folder / MODEL)
        summary = evaluate_run(current, cat_model, scaling, tracker)
        tracker.model(cat_model.served)
        write_durably(current.folder / SUMMARY, json.dumps(summary, indent=1).encode())
    return Run.read(current.folder)


@dataclass(frozen=True)
class Photos:
    """What a run learns from and is measured on.

    Attributes:
        records: photos to learn from, in their splits.
        wild: photos from other sources.
        people: photos as people send them.
        report: folder of what the checks found in them.
    """

    records: Sequence[PhotoRecord]
    wild: Sequence[PhotoRecord]
    people: Sequence[PhotoRecord]
    report: Path

    @property
    def fingerprint(self) -> str:
        """Changes when a photo, its group or its split does."""
        return dataset.fingerprint([*self.records, *self.wild, *self.people])


def begin(
    inputs: Inputs, config: TrainConfig, places: Places, photos: Photos, parent: str | None = None
) -> Run:
    """Return the run that was begun with the same configuration, photos and weights, or begin one.

    Args:
        inputs: where from and where to.
        config: what to do.
        places: the weights and MLflow's store.
        photos: as `collect` found them.
        parent: id of the MLflow run that a new one is shown under; None for none.
    """
    weights = _weights(places)
    where = _describe("boxes", inputs.boxes) if inputs.boxes else None
    content = json.dumps([dataclasses.asdict(config), photos.fingerprint, weights, where])
    folder = inputs.out / f"{config.backbone}-{config.side}-{sha256(content.encode())[:8]}"
    if (folder / RUN).exists():
        print(f"Going on with {folder}.")
        return Run.read_unfinished(folder)
    return _new(folder, inputs, config, places, photos, parent)


def collect(inputs: Inputs, config: TrainConfig, places: Places) -> Photos:
    """Check the photos, follow what was decided about them, and split those to learn from.

    Raises:
        TrainError: they do not do, or the boxes could teach nothing.
    """
    if inputs.boxes:
        boxes.require_use(config)
    folders = checks.folders(inputs.photos, inputs.wild, inputs.people)
    shown = inputs.out / "checks"
    checked = checks.check(
        checks.Request(
            places=folders,
            decisions=inputs.decisions,
            policy=inputs.policy,
            backbone=config.backbone,
            weights=places.weights,
            cache=places.cache,
            against=_last_run(inputs.out),
            per_group=config.per_group,
            seed=config.seed,
        )
    )
    checks.report(checked.verdict, folders, shown)
    print(f"{checked.verdict}\nMore: {shown / checks.PAGE}")
    if checked.verdict.errors and not inputs.override_checks:
        said = "; ".join(str(problem) for problem in checked.verdict.errors)
        raise TrainError(
            f"These photos are not good enough to learn from: {said}. Look at {shown / checks.PAGE}, mend "
            f"them or decide about them in {inputs.decisions or 'a file given by --decisions'}, or go on as "
            "they are, without what cannot be read: --override-checks."
        )
    wild, people = (
        [dataclasses.replace(record, split=split) for record in checked.records.get(split, ())]
        for split in (WILD, PEOPLE)
    )
    return Photos(dataset.assign_splits(checked.records[checks.PHOTOS], config.seed), wild, people, shown)


def _last_run(out: Path) -> Path | None:
    """Return the run folder whose checks were written last, or None."""
    finished = [path.parent for path in out.glob(f"*/{RUN}") if (path.parent / checks.VERDICT).exists()]
    return max(finished, key=lambda folder: (folder / checks.VERDICT).stat().st_mtime, default=None)


def _weights(places: Places) -> str:
    return _describe("weights", places.weights) if places.weights else "by name"


def _describe(what: str, path: Path) -> str:
    try:
        return f"{path.name}, sha256 {sha256(path.read_bytes())}"
    except OSError as error:
        raise TrainError(f"The {what} in {path} cannot be read: {error.strerror}.") from error


def _new(
    folder: Path, inputs: Inputs, config: TrainConfig, places: Places, photos: Photos, parent: str | None
) -> Run:
    """Make the run folder and the MLflow run; run.json comes last, as a sign that both are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset.write_manifest(folder / "manifest.csv", photos.records)
    dataset.write_manifest(folder / "wild.csv", photos.wild)
    dataset.write_manifest(folder / "people.csv", photos.people)
    shutil.copytree(photos.report, folder, dirs_exist_ok=True)
    tracker = Tracker.start(places.tracking_uri, folder.name, parent)
    current = Run(
        folder=folder,
        config=config,
        command=inputs.command,
        photos=inputs.photos,
        wild=inputs.wild,
        people=inputs.people,
        boxes=inputs.boxes,
        cache=places.cache,
        data=dataset.fingerprint(photos.records),
        code_commit=code_commit(),
        weights=_weights(places),
        tracking_uri=places.tracking_uri,
        mlflow_run=tracker.run_id,
    )
    splits = {
        f"photos_{split}": len(current.manifest(split)) for split in (TRAIN, VALIDATION, TEST, WILD, PEOPLE)
    }
    tracker.params({**dataclasses.asdict(config), **splits, "weights": current.weights})
    tracker.tag("data_fingerprint", current.data)
    tracker.tag("command", current.command)
    tracker.file(folder / "manifest.csv")
    tracker.file(folder / checks.VERDICT)
    current.write()
    return current


def learn(current: Run, weights: Path | None, tracker: Tracker) -> tuple[CatModel, Scaling]:
    """Train and calibrate a run's model, or go on where that was stopped."""
    config = current.config
    # Photos to learn from are shrunk after they were augmented: what is cropped out of them stays sharp.
    train = Examples.with_places(current)
    choosing = Examples.of(current, CHOOSING, config.learning_side)
    keras.utils.set_random_seed(config.seed)
    learner = model.build(config.backbone, config.learning_side, weights, config.strongest)
    head.fit(learner, train, config, current.folder)
    fit.soup(learner, train, choosing, config, current.folder, tracker.epoch)
    cat_model = model.at_side(learner, config.side)
    # Cats are more frequent and harder among people's photos: with them, well-framed ones would be doubted.
    return cat_model, head.calibrate(cat_model, Examples.of(current, (VALIDATION,)), config)


def evaluate_run(
    current: Run,
    cat_model: CatModel,
    scaling: Scaling,
    tracker: Tracker,
    slices: Iterable[str] = stress.SLICES,
) -> dict[str, object]:
    """Measure a calibrated model on all splits and some stress slices of the test photos; MLflow gets it too.

    The threshold is the one that the photos for choosing choose.
    """
    ask = partial(answers.ask, current, partial(cat_model.probabilities, batch=current.config.batch))
    whole = {split: ask(split) for split in (VALIDATION, TEST, PEOPLE, WILD) if current.manifest(split)}
    stressed = {answers.stressed(TEST, name): ask(TEST, name) for name in slices}
    answers.write(current.folder / ANSWERS, whole | stressed)

    choosing = [whole[split] for split in CHOOSING if split in whole]
    probabilities = np.concatenate([each.probabilities for each in choosing])
    cats = np.concatenate([each.cats for each in choosing])
    threshold = evaluate.choose_threshold(probabilities, cats)
    band = evaluate.unsure_band(probabilities, cats, threshold, evaluate.TRUST)
    metrics = {
        name: evaluate.measure(each.probabilities, each.groups, threshold, band)
        for name, each in (whole | stressed).items()
    }
    calibrations = {
        name: evaluate.calibration(scaling.undone(each.probabilities), each.probabilities, each.cats)
        for name, each in whole.items()
    }
    folder = current.folder / "plots"
    folder.mkdir(exist_ok=True)
    for split, each in whole.items():
        plots.draw(folder, split, each.probabilities, each.groups, threshold, band)
    shown = report.write(current, whole, metrics, calibrations, threshold, folder)

    for split, each in metrics.items():
        tracker.metrics(flatten(split, each))
    for split, each in calibrations.items():
        tracker.metrics(flatten(f"{split}.calibration", each))
    for path, name in ((folder, "plots"), (shown, None), (current.folder / ANSWERS, None)):
        tracker.file(path, name)
    print(report.by_split(metrics).to_string(index=False))
    return {
        "threshold": threshold,
        "unsure": band,
        "calibration": {name: dataclasses.asdict(each) for name, each in calibrations.items()},
        **{name: dataclasses.asdict(each) for name, each in metrics.items()},
    }
