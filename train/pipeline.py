"""The training pipeline: checks, splits, fine-tuning, calibration, evaluation, run folder, MLflow."""

import dataclasses
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np

from cat_model.atomic import write_durably
from cat_model.bundle import sha256
from train.checks import suite
from train.config import BACKBONES, Paths, TrainConfig, TrainError, TrainOptions
from train.data import manifest
from train.data.manifest import CHOOSING, PEOPLE, TEST, TRAIN, VALIDATION, WILD, PhotoRecord
from train.evaluation import metrics, plots, predictions, report
from train.evaluation.predictions import ANSWERS
from train.fit import finetune
from train.fit.calibration import Scaling, calibrate
from train.models import heads
from train.models.heads import CatModel
from train.run import MODEL, RUN, SUMMARY, Run
from train.store import require_store
from train.tracking import Tracker, code_commit, flatten, tracked


def run(options: TrainOptions, config: TrainConfig, paths: Paths) -> Run:
    """Train a model, or go on with a run that was stopped.

    The folder's name comes from the configuration, the photos and their boxes: the same command goes on where
    it was stopped, and does nothing once the run is finished.

    Raises:
        TrainError: the photos, the weights or MLflow's store do not do.
    """
    if options.init:
        config = dataclasses.replace(config, init=_describe("weights", options.init))
    if not 0 <= config.init_weight <= 1 or (config.init_weight and not options.init):
        raise TrainError(
            f"The weight of the initial weights is {config.init_weight:g}; it must be 0 to 1, and 0 without "
            "a file to start from (--init)."
        )
    require_store(paths.tracking_uri)
    current = begin(options, config, paths, collect(options, config, paths))
    if (current.folder / SUMMARY).exists():
        print(f"{current.folder} is finished already.")
        return Run.read(current.folder)
    with tracked(Tracker(current.tracking_uri, current.mlflow_run, current.folder)) as tracker:
        cat_model, scaling = learn(current, options.init, tracker)
        cat_model.served.save(current.folder / MODEL)
        summary = evaluate_run(current, cat_model, scaling, tracker)
        tracker.model(current.folder / MODEL)
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
        return manifest.fingerprint([*self.records, *self.wild, *self.people])


def begin(
    options: TrainOptions, config: TrainConfig, paths: Paths, photos: Photos, *, parent: str | None = None
) -> Run:
    """Return the run that was begun with the same configuration, photos and weights, or begin one.

    Args:
        options: where from and where to.
        config: what to do.
        paths: MLflow's store and the cache.
        photos: as `collect` found them.
        parent: id of the MLflow run that a new one is shown under; None for none.
    """
    where = _describe("boxes", options.boxes) if options.boxes else None
    content = json.dumps([dataclasses.asdict(config), photos.fingerprint, where])
    folder = options.out / f"{config.backbone}-{config.side}-{sha256(content.encode())[:8]}"
    if (folder / RUN).exists():
        print(f"Going on with {folder}.")
        return Run.read_unfinished(folder)
    return _new(folder, options, config, paths, photos, parent=parent)


def collect(options: TrainOptions, config: TrainConfig, paths: Paths) -> Photos:
    """Check the photos, follow what was decided about them, and split those to learn from.

    Raises:
        TrainError: they do not do.
    """
    shown = options.out / "checks"
    checked = suite.check(
        suite.CheckOptions(
            options.data,
            backbone=config.backbone,
            cache=paths.cache,
            against=_last_run(options.out),
            per_group=config.per_group,
            seed=config.seed,
        )
    )
    suite.write_report(checked.report, options.data.folders, shown)
    print(f"{checked.report}\nMore: {shown / suite.PAGE}")
    if checked.report.errors and not options.override_checks:
        decisions = options.data.decisions or "a file given by --decisions"
        said = "; ".join(str(problem) for problem in checked.report.errors)
        raise TrainError(
            f"These photos are not good enough to learn from: {said}. Look at {shown / suite.PAGE}, mend "
            f"them or decide about them in {decisions}, or go on as "
            "they are, without what cannot be read: --override-checks."
        )
    wild, people = (
        [dataclasses.replace(record, split=split) for record in checked.records.get(split, ())]
        for split in (WILD, PEOPLE)
    )
    splits = manifest.assign_splits(
        checked.records[suite.PHOTOS], config.test_percent, config.validation_percent
    )
    return Photos(splits, wild, people, shown)


def _last_run(out: Path) -> Path | None:
    """Return the run folder whose checks were written last, or None."""
    finished = [path.parent for path in out.glob(f"*/{RUN}") if (path.parent / suite.REPORT).exists()]
    return max(finished, key=lambda folder: (folder / suite.REPORT).stat().st_mtime, default=None)


def _describe(what: str, path: Path) -> str:
    try:
        return f"{path.name}, sha256 {sha256(path.read_bytes())}"
    except OSError as error:
        raise TrainError(f"The {what} in {path} cannot be read: {error.strerror}.") from error


def _new(
    folder: Path,
    options: TrainOptions,
    config: TrainConfig,
    paths: Paths,
    photos: Photos,
    *,
    parent: str | None,
) -> Run:
    """Make the run folder and the MLflow run; run.json comes last, as a sign that both are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest.write_manifest(folder / "manifest.csv", photos.records)
    manifest.write_manifest(folder / "wild.csv", photos.wild)
    manifest.write_manifest(folder / "people.csv", photos.people)
    shutil.copytree(photos.report, folder, dirs_exist_ok=True)
    tracker = Tracker.start(paths.tracking_uri, folder, parent)
    current = Run(
        folder=folder,
        config=config,
        command=options.command,
        photos=options.data.photos,
        wild=options.data.wild,
        people=options.data.people,
        boxes=options.boxes,
        cache=paths.cache,
        data=manifest.fingerprint(photos.records),
        code_commit=code_commit(),
        weights=config.init or BACKBONES[config.backbone].weights,
        tracking_uri=paths.tracking_uri,
        mlflow_run=tracker.run_id,
    )
    splits = {
        f"photos_{split}": len(current.manifest(split)) for split in (TRAIN, VALIDATION, TEST, WILD, PEOPLE)
    }
    tracker.params({**dataclasses.asdict(config), **splits, "weights": current.weights})
    tracker.tag("data_fingerprint", current.data)
    tracker.tag("command", current.command)
    tracker.file(folder / "manifest.csv")
    tracker.file(folder / suite.REPORT)
    current.write()
    return current


def learn(current: Run, init: Path | None, tracker: Tracker) -> tuple[CatModel, Scaling]:
    """Train and calibrate a run's model, or go on where that was stopped."""
    config = current.config
    print(f"Learning with {keras.backend.backend()} on {device()}.")
    keras.utils.set_random_seed(config.seed)
    cat_model, _ = heads.build(config, pretrained=init is None)
    if init:
        heads.load_npz(cat_model, init)
    initial = cat_model.served.get_weights()
    pixels, cats = current.choosing()
    finetune.fine_tune(
        cat_model,
        current.examples(),
        (pixels, cats),
        config,
        folder=current.folder,
        on_epoch=tracker.epoch,
    )
    if config.init_weight:
        finetune.average_with(cat_model, initial, config.init_weight)
    # Cats are more frequent and harder among people's photos: with them, well-framed ones score too low.
    records = current.manifest(VALIDATION)
    validation = current.pixels(VALIDATION)[:]
    labels = np.array([record.is_cat for record in records])
    return cat_model, calibrate(cat_model, validation, labels, config.batch)


def device() -> str:
    """Return what Keras computes on, such as "cpu" or "gpu:0"."""
    devices = keras.distribution.list_devices("gpu") or keras.distribution.list_devices("cpu")
    return devices[0] if devices else "cpu"


def evaluate_run(
    current: Run,
    cat_model: CatModel,
    scaling: Scaling,
    tracker: Tracker,
    slices: Iterable[str] = (),
) -> dict[str, object]:
    """Measure a calibrated model on all splits and some stress slices of the test photos; MLflow gets it too.

    The threshold is the one that the photos for choosing choose.
    """
    ask = partial(predictions.ask, current, partial(cat_model.probabilities, batch=current.config.batch))
    whole = {split: ask(split) for split in (VALIDATION, TEST, PEOPLE, WILD) if current.manifest(split)}
    stressed = {predictions.stressed(TEST, name): ask(TEST, name) for name in slices}
    predictions.write(current.folder / ANSWERS, whole | stressed)

    choosing = [whole[split] for split in CHOOSING if split in whole]
    probabilities = np.concatenate([each.probabilities for each in choosing])
    cats = np.concatenate([each.cats for each in choosing])
    point = metrics.operating_point(probabilities, cats)
    threshold, band = point.cat, point.unsure
    measured = {
        name: metrics.measure(each.probabilities, each.groups, threshold, band)
        for name, each in (whole | stressed).items()
    }
    calibrations = {
        name: metrics.calibration(scaling.undone(each.probabilities), each.probabilities, each.cats)
        for name, each in whole.items()
    }
    folder = current.folder / "plots"
    folder.mkdir(exist_ok=True)
    for split, each in whole.items():
        plots.draw(folder, split, each.probabilities, each.groups, threshold=threshold, band=band)
    shown = report.write(
        current, whole, measured, calibrations=calibrations, threshold=threshold, plots=folder
    )

    for split, each in measured.items():
        tracker.metrics(flatten(split, each))
    for split, each in calibrations.items():
        tracker.metrics(flatten(f"{split}.calibration", each))
    for path, name in ((folder, "plots"), (shown, None), (current.folder / ANSWERS, None)):
        tracker.file(path, name)
    print(report.by_split(measured).to_string(index=False))
    return {
        "threshold": threshold,
        "unsure": band,
        "calibration": {name: dataclasses.asdict(each) for name, each in calibrations.items()},
        **{name: dataclasses.asdict(each) for name, each in measured.items()},
    }
