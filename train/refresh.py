"""Learning from feedback without photos: a run's head, fitted anew on the embeddings that people agreed to.

The result is a run like any other: `python -m export` puts it through the same gate.
"""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cat_model.bundle import MODEL as SERVED
from cat_model.bundle import sha256
from cat_model.feedback import Record
from cat_model.files import write_durably
from cat_model.runtime import Runtime
from train import dataset, feedback_report, feedback_set, model, pipeline
from train.batches import Examples
from train.config import TrainError
from train.dataset import PEOPLE, TRAIN, VALIDATION
from train.head import calibrate
from train.refit import Data, Old, Weights, doubtful, refit
from train.run import MODEL, RUN, SUMMARY, Run
from train.tracking import Tracker, code_commit, tracked

EMBEDDERS, REFRESH = "embedders.json", "refresh.json"
ENOUGH = 50
"""Fewer answers than that are not learned from."""
REPLAY = 4
"""Photos replayed for each answer, as far as there are so many."""
LEAST_REPLAYED = 2_000
BATCH = 16


def refresh(folder: Path, feedback: Path, command: str) -> Run:
    """Fit the head of a run's model anew; return the run that holds the result.

    Args:
        folder: of the run whose exported model gave the embeddings.
        feedback: folder of a feedback set.
        command: the command line, for the record.

    Raises:
        TrainError: there is no such run, it was not exported, or there is too little feedback of its model.
    """
    run = Run.read(folder)
    served = _served(run)
    embedders = _embedders(run) | {sha256(served)}
    records, about = usable(feedback_set.read(feedback), embedders)
    told = Data(feedback_set.embeddings(records), np.array([each.person_says_cat for each in records]))
    digest = sha256(f"{sha256(served)} {feedback_set.fingerprint(records)}".encode())[:8]
    new_folder = run.folder.with_name(f"{run.config.backbone}-{run.config.side}-refresh-{digest}")
    if (new_folder / SUMMARY).exists():
        print(f"{new_folder} is finished already.")
        return Run.read(new_folder)

    cat_model = model.load(run.folder / MODEL)
    old = _old(run, served, Weights(*cat_model.head.get()), len(records))
    doubted = doubtful(told, old, run.config.seed)
    fitted = refit(told.some(~doubted), old, run.config.seed)
    cat_model.head.set(fitted.head.slopes, fitted.head.bias)
    # The evidence keeps its scale here, for these photos gave it: the embeddings stay what they were.
    scaling = calibrate(cat_model, Examples.of(run, (VALIDATION,)), run.config)

    about |= {"doubtful": int(doubted.sum()), "learned": int((~doubted).sum()), "strength": fitted.strength}
    about |= {"replayed": len(old.replayed.cats), "parent": run.folder.name}
    print(f"Learned from {about['learned']} answers: {about}")
    new = _begin(run, new_folder, command, embedders, about)
    with tracked(Tracker(new.tracking_uri, new.mlflow_run)) as tracker:
        cat_model.served.save(new.folder / MODEL)
        # Stress slices take most of the time, and export measures them on the file that may ship.
        summary = pipeline.evaluate_run(new, cat_model, scaling, tracker, slices=())
        tracker.params({f"refresh_{name}": value for name, value in about.items()})
        write_durably(new.folder / SUMMARY, json.dumps(summary, indent=1).encode())
    return Run.read(new.folder)


def usable(records: Sequence[Record], embedders: set[str]) -> tuple[list[Record], dict[str, object]]:
    """Return the records that can be learned from, and how many were left out for which reason.

    Raises:
        TrainError: too few are left.
    """
    suspected = {identity for each in feedback_report.suspects(records) for identity in each.ids}
    with_numbers = [record for record in records if record.embedding is not None]
    of_this = [record for record in with_numbers if record.bundle_sha256 in embedders]
    left = [record for record in of_this if record.id not in suspected]
    about = {
        "records": len(records),
        "without_numbers": len(records) - len(with_numbers),
        "of_another_model": len(with_numbers) - len(of_this),
        "suspected": len(of_this) - len(left),
    }
    answers = {record.person_says_cat for record in left}
    if len(left) < ENOUGH or len(answers) < 2:
        raise TrainError(
            f"There is too little feedback to learn from: {len(left)} answers with numbers of this run's "
            f"model ({ENOUGH} are needed, of both kinds). {about}"
        )
    return left, about


def _served(run: Run) -> bytes:
    path = run.folder / "export" / SERVED
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrainError(
            f"{path} is missing: the embeddings that people left come from the exported model. "
            f"Next: python -m export --run {run.folder}"
        ) from error


def _embedders(run: Run) -> set[str]:
    """Return the hashes of exported models whose features are those of this run's."""
    path = run.folder / EMBEDDERS
    return set(json.loads(path.read_text())) if path.exists() else set()


def _old(run: Run, served: bytes, head: Weights, answers: int) -> Old:
    """Describe photos of a run by its exported model: those that are replayed, and those that choose."""
    whole = len(run.manifest(TRAIN))
    count = min(whole, max(LEAST_REPLAYED, REPLAY * answers))
    chosen = np.sort(np.random.default_rng(run.config.seed).permutation(whole)[:count])
    validation = _embedded(run, served, VALIDATION)
    choosing = validation.and_more(_embedded(run, served, PEOPLE)) if run.manifest(PEOPLE) else validation
    return Old(head, _embedded(run, served, TRAIN, chosen), validation, choosing)


def _embedded(run: Run, served: bytes, split: str, chosen: np.ndarray | None = None) -> Data:
    pixels, cats = run.pixels(split), dataset.labels(run.manifest(split)).astype(bool)
    chosen = np.arange(len(cats)) if chosen is None else chosen
    runtime = Runtime(served)
    batches = [chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH)]
    return Data(np.concatenate([runtime.run(pixels[batch]).embedding for batch in batches]), cats[chosen])


def _begin(run: Run, folder: Path, command: str, embedders: set[str], about: dict[str, object]) -> Run:
    """Make the folder of the new run: the same photos and splits as the old one's."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("manifest.csv", "wild.csv", "people.csv", "checks.json", "checks.html"):
        if (run.folder / name).exists():
            shutil.copyfile(run.folder / name, folder / name)
    write_durably(folder / EMBEDDERS, json.dumps(sorted(embedders)).encode())
    write_durably(folder / REFRESH, json.dumps(about, indent=1).encode())
    if (folder / RUN).exists():
        return Run.read_unfinished(folder)
    tracker = Tracker.start(run.tracking_uri, folder.name)
    new = dataclasses.replace(
        run, folder=folder, command=command, code_commit=code_commit(), mlflow_run=tracker.run_id
    )
    tracker.tag("command", command)
    new.write()
    return new
