"""What a pipeline works on: a TOML file, and CAT_PYTHON."""

import math
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
"""The checkout, where `python -m train` and its like are found."""
CONFIG = Path("pipeline.toml")
RUN, REFRESH, TUNE = "run", "refresh", "tune"
HOW = (RUN, REFRESH, TUNE)


class PipelineError(Exception):
    """The pipeline cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """A pipeline, as its TOML file describes it.

    Paths are as the file has them: relative to its folder, which is also where the stages' commands work.

    Attributes:
        file: the TOML file.
        python: interpreter that the stages' commands run in.
        folder: where state, logs, verdicts and the report go.
        photos: folder of groups to learn from; None only where `how` is "refresh".
        people: folder of photos as people send them, or None.
        wild: folder of photos that are only measured on, or None.
        boxes: CSV that says where cats are, or None.
        policy: TOML file of the checks' policy, or None for the shipped one.
        decisions: CSV of decisions about photos, or None for the shipped one.
        feedback: folder of the feedback set; None, and feedback takes no part.
        source: folder that feedback is pulled from; None for what the CAT_ settings name.
        how: how to train: "run", "refresh" or "tune".
        runs: where run folders go.
        run: run whose head a refresh fits anew; None for the run that was exported last.
        train_options: more words for `python -m train run` (or refresh, or the run after tune).
        tune_options: more words for `python -m train tune`.
        bundle: bundle folder that the export replaces.
        baseline: .tflite file that size and time are measured against, or None.
        gate: TOML file of the gate's rules, or None for the shipped ones.
        publish: command that publishes the bundle, or empty; "python" as its first word is `python`, and
            "{bundle}" and "{run}" stand for the two folders.
        traffic: folder of the page's counts (its CAT_FEEDBACK_DIR); None, and no drift is watched.
        days: days after which a training is due, or None.
        answers: new reviewed answers that make a training due, or None.
        drift: whether a drift alarm makes a training due.
    """

    file: Path
    python: str
    folder: Path = Path("pipeline")
    photos: Path | None = None
    people: Path | None = None
    wild: Path | None = None
    boxes: Path | None = None
    policy: Path | None = None
    decisions: Path | None = None
    feedback: Path | None = None
    source: Path | None = None
    how: str = RUN
    runs: Path = Path("runs")
    run: Path | None = None
    train_options: tuple[str, ...] = ()
    tune_options: tuple[str, ...] = ()
    bundle: Path = ROOT / "cat_model" / "bundle"
    baseline: Path | None = None
    gate: Path | None = None
    publish: tuple[str, ...] = ()
    traffic: Path | None = None
    days: float | None = None
    answers: int | None = None
    drift: bool = True

    @classmethod
    def read(cls, file: Path, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read a TOML file; docs/pipelines.md has the table of all names.

        Raises:
            PipelineError: it cannot be read, or a name or a value means nothing.
        """
        try:
            tables = tomllib.loads(file.read_text("utf-8"))
        except FileNotFoundError as error:
            raise PipelineError(
                f"There is no {file}. It says what the pipeline works on; docs/pipelines.md has one to copy. "
                "Another file is given by --config FILE."
            ) from error
        except (OSError, ValueError) as error:
            raise PipelineError(f"{file} cannot be read: {error}") from error
        given: dict[str, Any] = {}
        for table, values in tables.items():
            if table not in NAMES or not isinstance(values, dict):
                raise PipelineError(f"{file}: there is no table [{table}]; there are {', '.join(NAMES)}.")
            for name, value in values.items():
                if name not in NAMES[table]:
                    known = ", ".join(NAMES[table])
                    raise PipelineError(f"{file}: [{table}] has no {name!r}; it has {known}.")
                field, kind = NAMES[table][name]
                given[field] = _value(f"{file}: {name} of [{table}]", value, kind)
        settings = cls(file=file, python=interpreter(environ) or sys.executable, **given)
        settings._check()
        return settings

    def at(self, path: Path) -> Path:
        """Return where a path of the file lies, seen from the present working directory."""
        return self.file.parent / path

    def _check(self) -> None:
        if self.how not in HOW:
            raise PipelineError(
                f"{self.file}: how of [train] is {self.how!r}; it is one of {', '.join(HOW)}."
            )
        if self.how != REFRESH and self.photos is None:
            raise PipelineError(f"{self.file}: [data] needs photos, the folder of groups to learn from.")
        if self.how == REFRESH and self.feedback is None:
            raise PipelineError(f"{self.file}: a refresh learns from feedback; [feedback] needs set.")


NAMES: Mapping[str, Mapping[str, tuple[str, type]]] = {
    "pipeline": {"folder": ("folder", Path)},
    "data": {name: (name, Path) for name in ("photos", "people", "wild", "boxes", "policy", "decisions")},
    "feedback": {"set": ("feedback", Path), "source": ("source", Path)},
    "train": {
        "how": ("how", str),
        "runs": ("runs", Path),
        "run": ("run", Path),
        "options": ("train_options", tuple),
        "tune_options": ("tune_options", tuple),
    },
    "export": {"bundle": ("bundle", Path), "baseline": ("baseline", Path), "gate": ("gate", Path)},
    "publish": {"command": ("publish", tuple)},
    "watch": {"traffic": ("traffic", Path)},
    "triggers": {"days": ("days", float), "answers": ("answers", int), "drift": ("drift", bool)},
}
"""Tables and names of the TOML file: the field of `Settings`, and what its value is."""


def interpreter(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return CAT_PYTHON, the interpreter of the stages' commands; None where it is not set."""
    python = environ.get("CAT_PYTHON")
    # The commands work in other folders: a relative path would mean another file there.
    return str(Path(python).absolute()) if python and Path(python).name != python else python or None


def _value(what: str, value: object, kind: type) -> object:
    """Return a value of the file as its field has it.

    Raises:
        PipelineError: it is of another kind.
    """
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    if kind is str and isinstance(value, str):
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        if kind is int and isinstance(value, int):
            return value
        if kind is float:
            return float(value)
    if kind is tuple and isinstance(value, list) and all(isinstance(word, str) for word in value):
        return tuple(value)
    wanted = {
        Path: "a path",
        str: "a text",
        bool: "true or false",
        int: "a whole number above 0",
        float: "a number above 0",
        tuple: "a list of texts, such as ['--quick']",
    }
    raise PipelineError(f"{what} is {value!r}; it must be {wanted[kind]}.")
