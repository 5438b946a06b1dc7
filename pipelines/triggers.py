"""Whether a retraining is due: by schedule, by reviewed answers, or by a drift alarm."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pipelines.settings import Settings
from pipelines.stages import WATCH
from pipelines.state import State
from pipelines.verdicts import ALARM
from train.feedback.dataset import DROP, REVIEWED, reviewed


@dataclass(frozen=True)
class Decision:
    """Whether a retraining is due, and a sentence on each trigger, those that make it due first."""

    needed: bool
    reasons: tuple[str, ...]


def decide(settings: Settings, state: State, now: datetime) -> Decision:
    """Decide whether a retraining is due.

    Args:
        settings: which triggers there are.
        state: what the pipeline remembers.
        now: the time, with its zone.

    Raises:
        TrainError: the review of feedback means nothing.
    """
    if not state.trained:
        return Decision(True, ("Nothing was trained here yet.",))
    found = [*_unfinished(state), *_schedule(settings, state, now)]
    found += [*_answers(settings, state), *_alarm(settings, state)]
    needed = [reason for due, reason in found if due]
    others = [reason for due, reason in found if not due]
    return Decision(bool(needed), (*needed, *others))


def answers(settings: Settings) -> list[str]:
    """Return the ids of reviewed answers that can be learned from and are still there.

    Raises:
        TrainError: the review means nothing.
    """
    if settings.feedback is None:
        return []
    folder = settings.at(settings.feedback)
    if not (folder / REVIEWED).exists():
        return []
    kept = {path.stem for path in (folder / "records").glob("*.json")}
    return sorted(each for each, group in reviewed(folder).items() if group != DROP and each in kept)


def _unfinished(state: State) -> Iterable[tuple[bool, str]]:
    if state.pending:
        yield True, f"The last retraining did not get to its end: {', '.join(state.pending)} is left to do."


def _schedule(settings: Settings, state: State, now: datetime) -> Iterable[tuple[bool, str]]:
    if settings.days is not None:
        days = (now - datetime.fromisoformat(state.trained)).total_seconds() / 86_400
        yield (
            days >= settings.days,
            f"The last training was {days:.1f} days ago; one is due after {settings.days:g}.",
        )


def _answers(settings: Settings, state: State) -> Iterable[tuple[bool, str]]:
    if settings.answers is not None:
        new = len(set(answers(settings)) - set(state.answers))
        yield (
            new >= settings.answers,
            f"{new} answers were reviewed since the last training; {settings.answers} make one due.",
        )


def _alarm(settings: Settings, state: State) -> Iterable[tuple[bool, str]]:
    watched = state.stages.get(WATCH)
    if not settings.drift or watched is None:
        return
    since = datetime.fromisoformat(watched.ended) > datetime.fromisoformat(state.trained)
    alarm = watched.result == ALARM and since
    yield alarm, f"Drift alarm: {watched.why}." if alarm else "No drift alarm since the last training."
