"""What a pipeline remembers from run to run: a JSON file in its folder."""

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from cat_model.atomic import write_durably
from pipelines.settings import PipelineError

STATE = "state.json"
T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What became of a stage.

    Attributes:
        stage: its name.
        result: one of the results of `pipelines.verdicts`.
        why: in words.
        seconds: how long it took.
        ended: when, ISO 8601 with the zone; empty where it did not run.
        key: fingerprint of what decided the result; empty where it did not run.
        outputs: fingerprint of what it left.
        values: what it handed on to later stages.
        metrics: figures by name.
        commands: the command lines.
        log: file with what they printed, relative to the pipeline's folder; empty where it did not run.
    """

    stage: str
    result: str
    why: str = ""
    seconds: float = 0.0
    ended: str = ""
    key: str = ""
    outputs: str = ""
    values: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    log: str = ""


@dataclass
class State:
    """What became of the stages that ran, each at its last time, and what they handed on.

    Attributes:
        stages: outcomes by the names of stages; only of those that ran.
        values: what stages handed on.
        trained: when a training was last found to be up to date, ISO 8601; empty for never.
        answers: ids of reviewed answers that it had.
        pending: stages of a retraining that was begun and neither got to its end nor was refused.
    """

    stages: dict[str, Outcome] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    trained: str = ""
    answers: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> "State":
        """Read the state of a pipeline; an empty one where it has not run yet.

        Raises:
            PipelineError: it cannot be read.
        """
        path = folder / STATE
        try:
            stored: dict[str, Any] = json.loads(path.read_text("utf-8"))
            outcomes = {name: _typed(Outcome, each) for name, each in stored.pop("stages").items()}
            times = [each.ended for each in outcomes.values()]
            state = _typed(cls, {**stored, "stages": outcomes})
            for text in (*times, *filter(None, [state.trained])):
                if datetime.fromisoformat(text).tzinfo is None:
                    raise ValueError(f"{text} has no time zone")
            return state
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise PipelineError(
                f"{path}, the pipeline's memory, cannot be read: {error}. Without it all stages run anew."
            ) from error

    def write(self, folder: Path) -> None:
        """Write the state, whole or not at all."""
        write_durably(folder / STATE, json.dumps(dataclasses.asdict(self), indent=1).encode())


def _typed(kind: type[T], stored: dict[str, Any]) -> T:
    """Return a dataclass of what JSON held.

    Raises:
        TypeError: a field is not known, is missing, or holds something else than it should.
    """
    made = kind(**stored)
    for name, wanted in get_type_hints(kind).items():
        if not _is(getattr(made, name), wanted):
            raise TypeError(f"{name} is {getattr(made, name)!r}")
    return made


def _is(value: object, wanted: Any) -> bool:  # noqa: ANN401 - a type, or dict[str, float] and its like
    """Say whether a value is what a field is annotated with."""
    inner = get_args(wanted)
    if isinstance(value, dict):
        return get_origin(wanted) is dict and all(_is(each, inner[1]) for each in value.values())
    if isinstance(value, list):
        return get_origin(wanted) is list and all(_is(each, inner[0]) for each in value)
    return isinstance(value, (int, float) if wanted is float else get_origin(wanted) or wanted)
