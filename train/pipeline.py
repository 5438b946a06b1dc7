"""The whole training: photos, manifest, splits, pixels, head, fine-tuning, evaluation, run folder, MLflow."""

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from cat_model.bundle import sha256
from cat_model.files import write_durably
from train import checks, dataset, evaluate, fit, model, plots
from train.config import Places, TrainConfig, TrainError
from train.dataset import TEST, TRAIN, VALIDATION, WILD, PhotoRecord
from train.fit import Examples
from train.model import CatModel
from train.run import MODEL, RUN, SUMMARY, Run
from train.tracking import Tracker, code_commit, flatten


@dataclass(frozen=True)
class Inputs:
    """What a run is given.

    Attributes:
        photos: folder of groups to learn from.
        wild: folder of groups from other sources, only ever measured on; or None.
        out: folder that run folders are made in.
        decisions: file of what a person decided about photos, or None.
        policy: file that says which findings of the checks stop the training.
        override_checks: whether to go on in spite of them, without files that are not usable photos.
        command: the command line, for the record.
    """

    photos: Path
    wild: Path | None
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
    records, wild, report = _photos(inputs, config, places)
    weights = _describe(places.weights)
    content = json.dumps([dataclasses.asdict(config), dataset.fingerprint([*records, *wild]), weights])
    folder = inputs.out / f"{config.backbone}-{config.side}-{sha256(content.encode())[:8]}"
    if (folder / SUMMARY).exists():
        print(f"{folder} is finished already.")
        return Run.read(folder)
    if (folder / RUN).exists():
        print(f"Going on with {folder}.")
        current = Run.read_unfinished(folder)
    else:
        current = _begin(folder, inputs, config, places, records, wild, report)
    tracker = Tracker(current.tracking_uri, current.mlflow_run)
    tracker.resume()
    try:
        _train(current, places.weights, tracker)
    except BaseException as error:
        tracker.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    tracker.end("FINISHED")
    return Run.read(folder)


def _photos(
    inputs: Inputs, config: TrainConfig, places: Places
) -> tuple[list[PhotoRecord], list[PhotoRecord], Path]:
    """Check the photos; return those to learn from, those only measured on, and the folder of the report."""
    folders = {checks.PHOTOS: inputs.photos} | ({WILD: inputs.wild} if inputs.wild else {})
    report = inputs.out / "checks"
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
    checks.report(checked.verdict, folders, report)
    print(f"{checked.verdict}\nMore: {report / checks.PAGE}")
    if checked.verdict.errors and not inputs.override_checks:
        said = "; ".join(str(problem) for problem in checked.verdict.errors)
        raise TrainError(
            f"These photos are not good enough to learn from: {said}. Look at {report / checks.PAGE}, mend "
            f"them or decide about them in {inputs.decisions or 'a file given by --decisions'}, or go on as "
            "they are, without what cannot be read: --override-checks."
        )
    wild = [dataclasses.replace(record, split=WILD) for record in checked.records.get(WILD, [])]
    return dataset.assign_splits(checked.records[checks.PHOTOS], config.seed), wild, report


def _last_run(out: Path) -> Path | None:
    """Return the run folder whose checks were written last, or None."""
    finished = [path.parent for path in out.glob(f"*/{RUN}") if (path.parent / checks.VERDICT).exists()]
    return max(finished, key=lambda folder: (folder / checks.VERDICT).stat().st_mtime, default=None)


def _describe(weights: Path | None) -> str:
    if weights is None:
        return "by name"
    try:
        return f"{weights.name}, sha256 {sha256(weights.read_bytes())}"
    except OSError as error:
        raise TrainError(f"The weights in {weights} cannot be read: {error.strerror}.") from error


def _begin(
    folder: Path,
    inputs: Inputs,
    config: TrainConfig,
    places: Places,
    records: list[PhotoRecord],
    wild: list[PhotoRecord],
    report: Path,
) -> Run:
    """Make the run folder and the MLflow run; run.json comes last, as a sign that both are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset.write_manifest(folder / "manifest.csv", records)
    dataset.write_manifest(folder / "wild.csv", wild)
    shutil.copytree(report, folder, dirs_exist_ok=True)
    tracker = Tracker.start(places.tracking_uri, folder.name)
    current = Run(
        folder=folder,
        config=config,
        command=inputs.command,
        photos=inputs.photos,
        wild=inputs.wild,
        cache=places.cache,
        data=dataset.fingerprint(records),
        code_commit=code_commit(),
        weights=_describe(places.weights),
        tracking_uri=places.tracking_uri,
        mlflow_run=tracker.run_id,
    )
    splits = {f"photos_{split}": len(current.manifest(split)) for split in (TRAIN, VALIDATION, TEST, WILD)}
    tracker.params({**dataclasses.asdict(config), **splits, "weights": current.weights})
    tracker.tag("data_fingerprint", current.data)
    tracker.tag("command", current.command)
    tracker.file(folder / "manifest.csv")
    tracker.file(folder / checks.VERDICT)
    current.write()
    return current


def _train(current: Run, weights: Path | None, tracker: Tracker) -> None:
    config = current.config
    train, validation = (_examples(current, split) for split in (TRAIN, VALIDATION))
    keras.utils.set_random_seed(config.seed)
    cat_model = model.build(config.backbone, config.side, weights)
    fit.fit_head(cat_model, train, config, current.folder)
    fit.fine_tune(cat_model, train, validation, config, current.folder, tracker.epoch)
    fit.calibrate(cat_model, validation, config)
    cat_model.served.save(current.folder / MODEL)
    summary = _evaluate(current, cat_model, tracker)
    tracker.model(cat_model.served)
    write_durably(current.folder / SUMMARY, json.dumps(summary, indent=1).encode())


def _examples(current: Run, split: str) -> Examples:
    return Examples(current.pixels(split), dataset.labels(current.manifest(split)))


def _evaluate(current: Run, cat_model: CatModel, tracker: Tracker) -> dict[str, object]:
    """Measure the Keras model at the threshold that validation chooses; plots and figures go to MLflow."""
    answers = {}
    for split in (VALIDATION, TEST, WILD):
        groups = np.array([record.group for record in current.manifest(split)])
        if len(groups):
            answers[split] = (cat_model.probabilities(current.pixels(split), current.config.batch), groups)
    probabilities, groups = answers[VALIDATION]
    threshold = evaluate.choose_threshold(probabilities, evaluate.is_cat(groups))
    folder = current.folder / "plots"
    folder.mkdir(exist_ok=True)
    summary: dict[str, object] = {"threshold": threshold}
    for split, (probabilities, groups) in answers.items():
        metrics = evaluate.measure(probabilities, groups, threshold)
        summary[split] = dataclasses.asdict(metrics)
        tracker.metrics(flatten(split, metrics))
        plots.draw(folder, split, probabilities, groups, threshold)
        print(
            f"{split}: recall {metrics.recall.value:.4f}, precision {metrics.precision.value:.4f} "
            f"at threshold {threshold:.3f}"
        )
    tracker.file(folder, "plots")
    return summary
