"""The whole training: photos, manifest, splits, pixels, head, fine-tuning, evaluation, run folder, MLflow."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from cat_model.bundle import sha256
from cat_model.files import write_durably
from train import dataset, evaluate, fit, model, plots
from train.config import Places, TrainConfig, TrainError
from train.dataset import PEOPLE, TEST, TRAIN, VALIDATION, WILD, PhotoRecord
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
        people: folder of photos as people send them, for choosing and not for learning; or None.
        out: folder that run folders are made in.
        skip_unreadable: whether to go on without files that are not usable photos.
        command: the command line, for the record.
    """

    photos: Path
    wild: Path | None
    people: Path | None
    out: Path
    skip_unreadable: bool
    command: str


def run(inputs: Inputs, config: TrainConfig, places: Places) -> Run:
    """Train a model, or go on with a run that was stopped.

    The folder's name comes from the configuration, the photos and the weights: the same command goes on
    where it was stopped, and does nothing once the run is finished.

    Raises:
        TrainError: the photos or the weights do not do.
    """
    records, wild, people = _photos(inputs, config)
    weights = _describe(places.weights)
    content = json.dumps(
        [dataclasses.asdict(config), dataset.fingerprint([*records, *wild, *people]), weights]
    )
    folder = inputs.out / f"{config.backbone}-{config.side}-{sha256(content.encode())[:8]}"
    if (folder / SUMMARY).exists():
        print(f"{folder} is finished already.")
        return Run.read(folder)
    if (folder / RUN).exists():
        print(f"Going on with {folder}.")
        current = Run.read_unfinished(folder)
    else:
        current = _begin(folder, inputs, config, places, records, wild, people)
    tracker = Tracker(current.tracking_uri, current.mlflow_run)
    tracker.resume()
    try:
        _train(current, places.weights, tracker)
    except BaseException as error:
        tracker.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    tracker.end("FINISHED")
    return Run.read(folder)


def _photos(inputs: Inputs, config: TrainConfig) -> tuple[list[PhotoRecord], ...]:
    """Return the photos to learn from, in their splits, the wild ones and people's."""
    records = _readable(inputs.photos, inputs.skip_unreadable)
    if config.per_group is not None:
        records = dataset.sample(records, config.per_group, config.seed)
    others = [
        [dataclasses.replace(record, split=split) for record in _readable(root, inputs.skip_unreadable)]
        if root
        else []
        for split, root in ((WILD, inputs.wild), (PEOPLE, inputs.people))
    ]
    return dataset.assign_splits(records, config.seed), *others


def _readable(root: Path, skip_unreadable: bool) -> list[PhotoRecord]:
    records, refusals = dataset.scan(root)
    listed = "\n".join(f"  {refusal.path}: {refusal.reason}" for refusal in refusals)
    if refusals and not skip_unreadable:
        raise TrainError(
            f"{len(refusals)} files in {root} are not usable photos:\n{listed}\n"
            "Mend or remove them, or go on without them: --skip-unreadable."
        )
    if refusals:
        print(f"Going on without {len(refusals)} files in {root}:\n{listed}")
    return records


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
    people: list[PhotoRecord],
) -> Run:
    """Make the run folder and the MLflow run; run.json comes last, as a sign that both are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset.write_manifest(folder / "manifest.csv", records)
    dataset.write_manifest(folder / "wild.csv", wild)
    dataset.write_manifest(folder / "people.csv", people)
    tracker = Tracker.start(places.tracking_uri, folder.name)
    current = Run(
        folder=folder,
        config=config,
        command=inputs.command,
        photos=inputs.photos,
        wild=inputs.wild,
        people=inputs.people,
        cache=places.cache,
        data=dataset.fingerprint(records),
        code_commit=code_commit(),
        weights=_describe(places.weights),
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
    for split in (VALIDATION, TEST, PEOPLE, WILD):
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
