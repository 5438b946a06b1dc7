"""Learning from feedback without photos: the head is fitted anew on stored embeddings and on replayed ones.

Only the linear head changes. It is drawn to where it was (L2-SP, X. Li et al., 2018), and photos it learned
from are replayed (A. Robins, 1995), so that it forgets little; wrong answers are found by confident learning
(C. Northcutt et al., 2021) and left out. The result is a run like any other: `python -m export` puts it
through the same gate.
"""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from cat_model.bundle import MODEL as SERVED
from cat_model.bundle import sha256
from cat_model.feedback import Record
from cat_model.files import write_durably
from cat_model.runtime import Runtime
from train import dataset, feedback_report, feedback_set, model, pipeline
from train.config import TrainError
from train.dataset import TRAIN, VALIDATION
from train.head import calibrate
from train.run import MODEL, RUN, SUMMARY, Run
from train.tracking import Tracker, code_commit

EMBEDDERS, REFRESH = "embedders.json", "refresh.json"
ENOUGH = 50
"""Fewer answers than that are not learned from."""
REPLAY = 4
"""Photos replayed for each answer, as far as there are so many."""
LEAST_REPLAYED = 2_000
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""How strongly the head may be drawn to where it was; cross-validation chooses."""
FOLDS = 5
BATCH = 16


@dataclass(frozen=True)
class Data:
    """What the head is fitted to.

    Attributes:
        inputs: embeddings, shape (N, D), float32.
        cats: shape (N,), bool.
    """

    inputs: np.ndarray
    cats: np.ndarray

    def some(self, which: np.ndarray) -> "Data":
        """Return those that are chosen, by indices or by a mask."""
        return Data(self.inputs[which], self.cats[which])

    def and_more(self, other: "Data") -> "Data":
        """Return both, one after the other."""
        inputs = np.concatenate([self.inputs, other.inputs])
        return Data(inputs, np.concatenate([self.cats, other.cats]))


@dataclass(frozen=True)
class Weights:
    """A linear head: weights, shape (D,), and bias."""

    slopes: np.ndarray
    bias: float

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Return the probabilities of "cat" for embeddings (N, D), shape (N,)."""
        return expit(inputs @ self.slopes + self.bias)


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

    replayed, judging = _replay(run, served, len(records)), _embedded(run, served, VALIDATION)
    cat_model = model.load(run.folder / MODEL)
    start = Weights(*cat_model.head.get())
    honest = ~doubtful(told, replayed, start, run.config.seed)
    strength = choose(told.some(honest), replayed, judging, start, run.config.seed)
    head = fit_head(told.some(honest).and_more(replayed), start, strength)
    cat_model.head.set(head.slopes, head.bias)
    scaling = calibrate(cat_model, pipeline.examples(run, (VALIDATION,)), run.config)

    about |= {"doubtful": int((~honest).sum()), "learned": int(honest.sum()), "strength": strength}
    about |= {"replayed": len(replayed.cats), "parent": run.folder.name}
    print(f"Learned from {about['learned']} answers: {about}")
    new = _begin(run, new_folder, command, embedders, about)
    with pipeline.tracked(Tracker(new.tracking_uri, new.mlflow_run)) as tracker:
        cat_model.served.save(new.folder / MODEL)
        summary = pipeline.evaluate_run(new, cat_model, scaling, tracker)
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


def fit_head(data: Data, start: Weights, strength: float) -> Weights:
    """Fit a head by logistic regression that is drawn to where it started.

    Args:
        data: what to fit it to.
        start: where it is drawn to.
        strength: of that: how much a squared step counts, in standard deviations of the features.
    """
    spread = data.inputs.std(axis=0) + 1e-3
    scaled = (data.inputs / spread).astype(np.float64)
    there = np.append(start.slopes * spread, start.bias)
    signs = np.where(data.cats, 1.0, -1.0)

    def loss(here: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (scaled @ here[:-1] + here[-1])
        slope = -signs * expit(-margins) / len(signs)
        step = here - there
        step[-1] = 0.0
        gradient = np.append(scaled.T @ slope, slope.sum()) + 2 * strength * step
        return float(np.logaddexp(0, -margins).mean() + strength * step @ step), gradient

    found = minimize(loss, there, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return Weights((found[:-1] / spread).astype(np.float32), float(found[-1]))


def doubtful(told: Data, replayed: Data, start: Weights, seed: int) -> np.ndarray:
    """Return which answers are probably wrong, shape (N,), bool, by confident learning."""
    from cleanlab.filter import find_label_issues

    said = np.empty(len(told.cats))
    for learned, held in _folds(told, seed):
        head = fit_head(told.some(learned).and_more(replayed), start, STRENGTHS[1])
        said[held] = head.probabilities(told.inputs[held])
    return find_label_issues(told.cats.astype(int), np.column_stack([1 - said, said]), n_jobs=1)


def choose(told: Data, replayed: Data, judging: Data, start: Weights, seed: int) -> float:
    """Return the strength with the lowest loss on answers held out and on validation photos together."""
    losses = {}
    for strength in STRENGTHS:
        parts = []
        for learned, held in _folds(told, seed):
            head = fit_head(told.some(learned).and_more(replayed), start, strength)
            new = log_loss(told.cats[held], head.probabilities(told.inputs[held]), labels=[False, True])
            old = log_loss(judging.cats, head.probabilities(judging.inputs), labels=[False, True])
            parts.append(new + old)
        losses[strength] = float(np.mean(parts))
    return min(losses, key=losses.get)


def _folds(told: Data, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return list(folds.split(told.inputs, told.cats))


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


def _replay(run: Run, served: bytes, answers: int) -> Data:
    """Draw training photos to replay, as the exported model describes them."""
    whole = run.manifest(TRAIN)
    count = min(len(whole), max(LEAST_REPLAYED, REPLAY * answers))
    chosen = np.sort(np.random.default_rng(run.config.seed).permutation(len(whole))[:count])
    return _embedded(run, served, TRAIN, chosen)


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
