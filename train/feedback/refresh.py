"""Learning from feedback without photos: the head is fitted anew on the embeddings that people agreed to.

Only the linear head changes. It is regularised towards its old weights (L2-SP, X. Li et al., 2018), and
photos it learned from are replayed (A. Robins, 1995): as weakly as the answers ask for and the old photos
allow. Wrong answers are found by confident learning (C. Northcutt et al., 2021).

The result is a run like any other: `python -m export` puts it through the same gate.
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
from scipy.stats import sem
from sklearn.model_selection import StratifiedKFold

from cat_model.atomic import write_durably
from cat_model.bundle import MODEL as SERVED
from cat_model.bundle import sha256
from cat_model.feedback.record import Record
from cat_model.runtime import Runtime
from train import pipeline
from train.config import TrainError
from train.data import manifest
from train.data.manifest import PEOPLE, TRAIN, VALIDATION
from train.evaluation import metrics
from train.evaluation.metrics import Paired
from train.feedback import dataset, report
from train.fit.calibration import calibrate, platt
from train.models import heads
from train.run import MODEL, RUN, SUMMARY, Run
from train.store import require_store
from train.tracking import Tracker, code_commit, tracked

EMBEDDERS, REFRESH = "embedders.json", "refresh.json"
ENOUGH = 50
"""Fewer answers than that are not learned from."""
REPLAY = 4
"""Photos replayed for each answer, as far as there are so many."""
LEAST_REPLAYED = 2_000
BATCH = 16
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Strengths of the regularisation towards the old weights, the weakest first."""
CHECKING = 1e-3
"""The strength at which wrong answers are looked for."""
FORGOTTEN = 0.2
"""A head has forgotten if it is this unlikely that it answers the photos for choosing no worse (McNemar)."""
FOLDS = 5
LEAST = 1e-7
"""Probabilities of what was answered count as no less than that."""


@dataclass(frozen=True)
class Data:
    """Embeddings with labels, which the head is fitted to or measured on.

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
class LinearHead:
    """Logistic regression: weights, shape (D,), in the order of the embedding, and bias."""

    slopes: np.ndarray
    bias: float

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """Return the logits of embeddings (N, D), shape (N,)."""
        return inputs @ self.slopes + self.bias

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Return the probabilities of "cat" for embeddings (N, D), shape (N,)."""
        return expit(self.logits(inputs))


@dataclass(frozen=True)
class Old:
    """What must not be forgotten.

    Attributes:
        head: as it was.
        replayed: photos that it learned from.
        validation: photos that calibrate it.
        choosing: photos that choose its threshold, the validation photos among them.
    """

    head: LinearHead
    replayed: Data
    validation: Data
    choosing: Data

    def against(self, head: LinearHead) -> Paired:
        """Compare a head with the old one on the photos for choosing, as export would ship the two.

        Both are calibrated, and each answers at the threshold that it chooses.
        """
        return metrics.mcnemar(self._right(self.head), self._right(head))

    def _right(self, head: LinearHead) -> np.ndarray:
        scaling = platt(head.logits(self.validation.inputs), self.validation.cats)
        said = expit(scaling.scale * head.logits(self.choosing.inputs) + scaling.shift)
        return (said >= metrics.choose_threshold(said, self.choosing.cats)) == self.choosing.cats


@dataclass(frozen=True)
class Fitted:
    """A head that was fitted anew, and the strength of its regularisation towards the old one."""

    head: LinearHead
    strength: float


def refresh(folder: Path, feedback: Path, command: str) -> Run:
    """Fit the head of a run's model anew; return the run that holds the result.

    Args:
        folder: of the run whose exported model gave the embeddings.
        feedback: folder of a feedback set.
        command: the command line, for the record.

    Raises:
        TrainError: there is no such run, it was not exported, there is too little feedback of its model, or
            MLflow's store cannot be used.
    """
    run = Run.read(folder)
    require_store(run.tracking_uri)
    served = _served(run)
    embedders = _embedders(run) | {sha256(served)}
    records, about = usable(dataset.read(feedback), embedders)
    told = Data(dataset.embeddings(records), np.array([each.person_says_cat for each in records]))
    digest = sha256(f"{sha256(served)} {dataset.fingerprint(records)}".encode())[:8]
    new_folder = run.folder.with_name(f"{run.config.backbone}-{run.config.side}-refresh-{digest}")
    if (new_folder / SUMMARY).exists():
        print(f"{new_folder} is finished already.")
        return Run.read(new_folder)

    cat_model = heads.load(run.folder / MODEL)
    old = _old(run, served, LinearHead(*cat_model.head.get()), len(records))
    wrong = probably_wrong(told, old, run.config.seed)
    fitted = refit(told.some(~wrong), old, run.config.seed)
    cat_model.head.set(fitted.head.slopes, fitted.head.bias)
    pixels, cats = run.pixels(VALIDATION)[:], manifest.labels(run.manifest(VALIDATION)) > 0
    scaling = calibrate(cat_model, pixels, cats, run.config.batch)

    about |= {"doubtful": int(wrong.sum()), "learned": int((~wrong).sum()), "strength": fitted.strength}
    about |= {"replayed": len(old.replayed.cats), "parent": run.folder.name}
    print(f"Learned from {about['learned']} answers: {about}")
    new = _begin(run, new_folder, command, embedders, about)
    with tracked(Tracker(new.tracking_uri, new.mlflow_run, new.folder)) as tracker:
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
    suspected = {identity for each in report.suspects(records) for identity in each.ids}
    with_numbers = [record for record in records if record.embedding is not None]
    of_this = [record for record in with_numbers if record.bundle_sha256 in embedders]
    left = [record for record in of_this if record.id not in suspected]
    about: dict[str, object] = {
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


def _old(run: Run, served: bytes, head: LinearHead, answers: int) -> Old:
    """Describe photos of a run by its exported model: those that are replayed, and those that choose."""
    whole = len(run.manifest(TRAIN))
    count = min(whole, max(LEAST_REPLAYED, REPLAY * answers))
    chosen = np.sort(np.random.default_rng(run.config.seed).permutation(whole)[:count])
    validation = _embedded(run, served, VALIDATION)
    choosing = validation.and_more(_embedded(run, served, PEOPLE)) if run.manifest(PEOPLE) else validation
    return Old(head, _embedded(run, served, TRAIN, chosen), validation, choosing)


def _embedded(run: Run, served: bytes, split: str, chosen: np.ndarray | None = None) -> Data:
    pixels, cats = run.pixels(split), manifest.labels(run.manifest(split)).astype(bool)
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
    tracker = Tracker.start(run.tracking_uri, folder)
    new = dataclasses.replace(
        run, folder=folder, command=command, code_commit=code_commit(), mlflow_run=tracker.run_id
    )
    tracker.tag("command", command)
    new.write()
    return new


def fit_head(data: Data, start: LinearHead, strength: float) -> LinearHead:
    """Fit a head by logistic regression, regularised towards where it started (L2-SP).

    Args:
        data: what to fit it to.
        start: the old head.
        strength: how much a squared step counts, in standard deviations of the features.
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
    return LinearHead((found[:-1] / spread).astype(np.float32), float(found[-1]))


def probably_wrong(told: Data, old: Old, seed: int) -> np.ndarray:
    """Return which answers are probably wrong, shape (N,), bool, by confident learning."""
    from cleanlab.filter import find_label_issues

    said = _held_out(told, old, CHECKING, seed)
    return find_label_issues(told.cats.astype(int), np.column_stack([1 - said, said]), n_jobs=1)


def refit(told: Data, old: Old, seed: int) -> Fitted:
    """Fit the head to answers and replayed photos.

    Only strengths count at which it has not forgotten (`Old.against`). Of these it is the strongest whose
    loss on answers held out is within one standard error of the lowest (L. Breiman et al., 1984); where there
    is none, the strongest of all.
    """
    heads = {strength: fit_head(told.and_more(old.replayed), old.head, strength) for strength in STRENGTHS}
    keeping = [each for each, head in heads.items() if old.against(head).p_b_worse >= FORGOTTEN]
    losses = {strength: _losses(told, old, strength, seed) for strength in keeping}
    least = min(losses.values(), key=np.mean, default=np.zeros(1))
    close = [each for each, loss in losses.items() if (loss - least).mean() <= sem(loss - least, ddof=0)]
    chosen = max(close, default=STRENGTHS[-1])
    return Fitted(heads[chosen], chosen)


def _losses(told: Data, old: Old, strength: float, seed: int) -> np.ndarray:
    """Return the cross-entropies of answers, shape (N,), by heads that were fitted without them."""
    said = _held_out(told, old, strength, seed)
    return -np.log(np.where(told.cats, said, 1 - said).clip(LEAST))


def _held_out(told: Data, old: Old, strength: float, seed: int) -> np.ndarray:
    """Return probabilities of answers, shape (N,), by heads that were fitted without them."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    said = np.empty(len(told.cats))
    for learned, held in folds.split(told.inputs, told.cats):
        head = fit_head(told.some(learned).and_more(old.replayed), old.head, strength)
        said[held] = head.probabilities(told.inputs[held])
    return said
