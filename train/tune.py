"""Hyperparameter search: random trials first, then Bayesian optimisation (J. Snoek et al., 2012).

keras-tuner chooses each configuration and keeps the search's state. Each trial is a run under the search's
own in MLflow, and is scored on validation and people's photos; test and wild photos are not looked at.
"""

import dataclasses
import json
import shutil
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras_tuner import HyperParameters, Objective
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.errors import FatalError
from keras_tuner.oracles import BayesianOptimizationOracle

from cat_model.atomic import write_durably
from cat_model.bundle import sha256
from train import pipeline
from train.config import Paths, TrainConfig, TrainError, TrainOptions
from train.data.manifest import PEOPLE, VALIDATION
from train.evaluation import metrics, predictions, stress
from train.models.heads import CatModel
from train.pipeline import Photos
from train.run import Run, store_of_moved
from train.store import require_store
from train.tracking import Tracker, tracked

SPACE: Mapping[str, Sequence[float]] = {
    "side": (192, 224, 256),
    "learning_rate": (5e-5, 1e-4, 2.5e-4, 5e-4),
    "head_factor": (1.0, 3.0, 6.0, 10.0),
    "map_weight": (0.25, 0.5, 1.0),
    "augmentation": (0.5, 0.75, 1.0),
    "dropout": (0.0, 0.2, 0.4),
    "label_smoothing": (0.0, 0.02, 0.05),
}
"""What is searched besides the backbone: fields of TrainConfig, and the values each may take."""
PRECISION = 0.99
RANDOM_TRIALS = 6
"""After so many finished trials there is enough to learn from; the next ones are not random."""
SEARCH, TRIALS, RESULT, BEST = "search.json", "trials", "trial.json", "best.json"
STATE = "keras-tuner"
"""The folder that keras-tuner keeps its state in."""


@dataclass(frozen=True)
class Budget:
    """No trial begins once one of these is used up; what earlier calls used counts.

    Attributes:
        trials: how many trials.
        hours: how long finished trials took together.
    """

    trials: int
    hours: float


@dataclass(frozen=True)
class Result:
    """What a trial came to.

    Attributes:
        score: mean of `stressed` and `people`, or the first alone, 0 to 1.
        stressed: recall at precision 0.99 on the validation photos under all stress slices together.
        people: recall at precision 0.99 on people's photos; None where there are none.
        seconds: how long it took, from when it was last begun or gone on with.
        run: name of its folder.
        mlflow_run: id of its run in MLflow; empty where the store was away all the time.
        values: what was searched, by the names of TrainConfig's fields.
    """

    score: float
    stressed: float
    people: float | None
    seconds: float
    run: str
    mlflow_run: str
    values: Mapping[str, Any]


class TrialError(TrainError, FatalError):
    """No trial can go on, whatever its configuration."""


def search(
    options: TrainOptions,
    base: TrainConfig,
    *,
    fixed: Sequence[str],
    backbones: Sequence[str],
    budget: Budget,
    paths: Paths,
) -> Path:
    """Search, or go on with a search that was stopped: a trial that was not finished goes on first.

    Args:
        options: the photos, and the folder that the search's own folder is made in; `wild` is not looked at.
        base: the first trial, and the values of whatever is not searched.
        fixed: names of fields that are not searched.
        backbones: names to choose from, the first one in the first trial.
        budget: when to stop.
        paths: MLflow's store and the cache.

    Returns:
        The file that `python -m train run --config FILE` trains; it is written anew after each trial.

    Raises:
        TrainError: the photos, the weights or MLflow's store do not do, or no trial could be finished.
    """
    require_store(paths.tracking_uri)
    options = dataclasses.replace(options, data=dataclasses.replace(options.data, wild=None))
    base = dataclasses.replace(base, backbone=backbones[0])
    space = {"backbone": tuple(backbones)} | {name: SPACE[name] for name in SPACE if name not in fixed}
    photos = pipeline.collect(options, base, paths)
    content = json.dumps([dataclasses.asdict(base), space, photos.fingerprint])
    folder = options.out / f"tune-{sha256(content.encode())[:8]}"
    with tracked(_tracker(folder, paths)) as tracker:
        tracker.tag("command", options.command)
        trials = dataclasses.replace(options, out=folder / TRIALS)
        train = partial(_train, options=trials, base=base, paths=paths, photos=photos, parent=tracker.run_id)
        oracle = _Oracle(folder, budget, base, space)
        try:
            tuner = _Tuner(oracle, train, partial(_write_best, folder, options.command, base), folder)
        except (ValueError, RuntimeError) as error:
            raise TrainError(
                f"The state in {folder / STATE} is damaged. Delete it: no finished trial is repeated."
            ) from error
        try:
            tuner.search()
        except RuntimeError as error:  # keras-tuner's, after three failures one after the other
            raise TrainError(f"The search stopped: {error}") from error
        finished = results(folder)
        if not finished:
            raise TrainError("No trial was finished; the budget is used up, or none could be.")
        print(table(finished).to_string(index=False))
        tracker.metrics({"score": finished[0].score})
        tracker.file(folder / BEST)
    return folder / BEST


def results(folder: Path) -> list[Result]:
    """Return the finished trials of a search's folder, the best first."""
    found = [Result(**json.loads(path.read_text())) for path in (folder / TRIALS).glob(f"*/{RESULT}")]
    return sorted(found, key=lambda result: (-result.score, result.run))


def table(finished: Sequence[Result]) -> pd.DataFrame:
    """Return one row a trial."""
    rows = (dataclasses.asdict(result) for result in finished)
    return pd.DataFrame([row.pop("values") | row for row in rows])


def recalls(run: Run, cat_model: CatModel) -> tuple[float, float | None]:
    """Return recall at precision 0.99 on stressed validation photos, and on people's (None without them)."""
    ask = partial(predictions.ask, run, partial(cat_model.probabilities, batch=run.config.batch))
    slices = [ask(VALIDATION, name) for name in stress.SLICES]
    stressed = metrics.recall_at_precision(
        np.concatenate([each.probabilities for each in slices]),
        np.concatenate([each.cats for each in slices]),
        PRECISION,
    )
    if not run.manifest(PEOPLE):
        return stressed, None
    people = ask(PEOPLE)
    return stressed, metrics.recall_at_precision(people.probabilities, people.cats, PRECISION)


def tracker_of(folder: Path) -> Tracker:
    """Return the tracker of a search that was begun, by the folder of it."""
    noted = json.loads((folder / SEARCH).read_text())
    return Tracker(store_of_moved(noted["uri"], folder), noted["run_id"], folder)


def _tracker(folder: Path, paths: Paths) -> Tracker:
    if (kept := folder / SEARCH).exists():
        return tracker_of(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tracker = Tracker.start(paths.tracking_uri, folder)
    write_durably(kept, json.dumps({"uri": tracker.uri, "run_id": tracker.run_id}).encode())
    return tracker


def _train(
    values: Mapping[str, Any],
    *,
    options: TrainOptions,
    base: TrainConfig,
    paths: Paths,
    photos: Photos,
    parent: str,
) -> Result:
    """Train and score one trial, or go on with it, or return what it came to before."""
    config = dataclasses.replace(base, **values)
    run = pipeline.begin(options, config, paths, photos, parent=parent)
    kept = run.folder / RESULT
    if kept.exists():
        return Result(**json.loads(kept.read_text()))
    keras.utils.clear_session()
    started = time.monotonic()
    with tracked(Tracker(run.tracking_uri, run.mlflow_run, run.folder)) as tracker:
        cat_model, _ = pipeline.learn(run, options.init, tracker)
        stressed, people = recalls(run, cat_model)
        score = stressed if people is None else (stressed + people) / 2
        seconds = time.monotonic() - started
        result = Result(score, stressed, people, seconds, run.folder.name, tracker.run_id, values)
        told = {"score": score, "stressed": stressed, "people": people, "seconds": seconds}
        tracker.metrics({name: value for name, value in told.items() if value is not None})
    write_durably(kept, json.dumps(dataclasses.asdict(result)).encode())
    shutil.rmtree(run.folder / "state", ignore_errors=True)  # the optimizer's: only for going on
    return result


def _write_best(folder: Path, command: str, base: TrainConfig) -> None:
    """Write the winner so far, with all of the photos: `per_group` only makes trials quicker."""
    finished = results(folder)
    config = dataclasses.asdict(dataclasses.replace(base, **finished[0].values)) if finished else {}
    config.pop("per_group", None)
    trials = [dataclasses.asdict(result) for result in finished]
    content = {"command": command, "config": config, "trials": trials}
    write_durably(folder / BEST, json.dumps(content, indent=1).encode())


class _Oracle(BayesianOptimizationOracle):
    """Begins with the base configuration, and ends with the budget."""

    def __init__(
        self, folder: Path, budget: Budget, base: TrainConfig, space: Mapping[str, Sequence[Any]]
    ) -> None:
        choices = HyperParameters()
        for name, values in space.items():
            choices.Choice(name, sorted({*values, getattr(base, name)}))
        super().__init__(
            objective=Objective("score", "max"),
            max_trials=budget.trials,
            num_initial_points=RANDOM_TRIALS,
            seed=base.seed,
            hyperparameters=choices,
            tune_new_entries=False,
        )
        self._folder, self._hours = folder, budget.hours
        self._first = {name: getattr(base, name) for name in space}

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the next trial's values, or that there is none; keras-tuner calls this."""
        if sum(result.seconds for result in results(self._folder)) >= self._hours * 3600:
            return {"status": TrialStatus.STOPPED}
        if not self.trials:
            return {"status": TrialStatus.RUNNING, "values": self._first}
        return super().populate_space(trial_id)


class _Tuner(BaseTuner):
    """Runs the trials that the oracle thinks of."""

    def __init__(
        self,
        oracle: _Oracle,
        train: Callable[[Mapping[str, Any]], Result],
        after_trial: Callable[[], None],
        folder: Path,
    ) -> None:
        self._train, self._after_trial = train, after_trial
        super().__init__(oracle, directory=str(folder), project_name=STATE)

    def run_trial(self, trial: Trial) -> dict[str, float]:
        """Run one trial; keras-tuner calls this."""
        try:
            return {"score": self._train(trial.hyperparameters.values).score}
        except TrainError as error:
            raise TrialError(str(error)) from error
        except Exception:
            traceback.print_exc()  # keras-tuner notes it, says nothing and goes on
            raise

    def on_trial_end(self, trial: Trial) -> None:
        """Write down how the search stands; keras-tuner calls this."""
        super().on_trial_end(trial)
        self._after_trial()
