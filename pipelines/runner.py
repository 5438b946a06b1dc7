"""Runs stages on one machine: one run at a time, only what is due, and nothing that hangs on a failure."""

import dataclasses
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from pipelines import fingerprint, triggers, verdicts
from pipelines.settings import ROOT, PipelineError, Settings
from pipelines.stages import CONFIG, NAMES, STAGES, TRAIN, Context, Stage
from pipelines.state import Outcome, State
from pipelines.termination import Terminated
from pipelines.triggers import Decision
from pipelines.verdicts import (
    ALARM,
    BLOCKED,
    FAILED,
    GOOD,
    NOT_NEEDED,
    OFF,
    PASSED,
    REFUSED,
    SKIPPED,
    STOPPED,
    Verdict,
)

LOCK, HOLDER = "lock", "running.txt"
POLL_S = 0.2
"""Seconds between two looks at whether another run has ended."""
STOP_S = 30.0
"""Seconds that a command has to end after it was asked to."""
LAST_BYTES = 4_000
"""Bytes of what a command printed in which its last line is looked for."""
RUNS, SKIPS, LATER = "run", "skip", "decided once the stages before it have run"


class BusyError(PipelineError):
    """Another run is at work on the same pipeline."""


@dataclass(frozen=True)
class Plan:
    """What would become of a stage.

    Attributes:
        stage: its name.
        will: RUNS, SKIPS or OFF; LATER where that hangs on stages that would run before.
        why: in words.
        commands: the command lines, as far as they are known.
        inputs: files and folders, as far as they are known.
        outputs: likewise.
        codes: what the exit codes of its commands mean.
        key: fingerprint of what decides the result and no other stage makes; empty where that lies elsewhere.
    """

    stage: str
    will: str
    why: str
    commands: list[str]
    inputs: list[str]
    outputs: list[str]
    codes: dict[int, str]
    key: str


def chosen(first: str | None, last: str | None) -> tuple[Stage, ...]:
    """Return the stages from one to another, both included.

    Raises:
        PipelineError: they are in the wrong order.
    """
    start, end = NAMES.index(first or NAMES[0]), NAMES.index(last or NAMES[-1])
    if start > end:
        raise PipelineError(f"{first} comes after {last}; the order is {', '.join(NAMES)}.")
    return STAGES[start : end + 1]


@contextmanager
def locked(folder: Path, wait: float = 0, tell: Callable[[str], None] = print) -> Iterator[None]:
    """Keep other runs from working in a pipeline's folder, which is made if it is not there.

    Args:
        folder: of the pipeline.
        wait: minutes to wait for another run that works there.
        tell: is told whom it waits for.

    Raises:
        BusyError: another run works there, and did not end in that time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / LOCK), folder / HOLDER
    if not _acquired(lock, 0):
        busy = f"Another run is at work in {folder}, begun {_who(holder)}"
        if wait:
            tell(f"{busy}. Waiting for its end, {wait:g} minutes at most.")
        if not _acquired(lock, wait * 60):
            raise BusyError(f"{busy}; only one can be.")
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder.write_text(f"{since} by process {os.getpid()} on {socket.gethostname()}", "utf-8")
        yield
        holder.unlink(missing_ok=True)
    finally:
        lock.release()


def _who(holder: Path) -> str:
    """Return when the run that holds the lock began, and by whom."""
    try:
        return holder.read_text("utf-8", errors="replace")
    except FileNotFoundError:  # it is about to be written, or was just removed
        return "just now"


def _acquired(lock: FileLock, seconds: float) -> bool:
    """Say whether a lock was had in that time."""
    try:
        lock.acquire(timeout=seconds, poll_interval=POLL_S)
    except Timeout:
        return False
    return True


class Runner:
    """One run of a pipeline."""

    def __init__(self, settings: Settings, output: BinaryIO) -> None:
        """Prepare a run; whoever is to `run` holds the lock already.

        Args:
            settings: of the pipeline.
            output: where what the commands print goes, besides their logs.

        Raises:
            PipelineError: the pipeline's memory cannot be read.
        """
        self._settings = settings
        self._folder = settings.at(settings.folder)
        self._output = output
        self.state = State.read(self._folder)

    def decide(self) -> Decision:
        """Say whether a retraining is due.

        Raises:
            TrainError: the review of feedback means nothing.
        """
        return triggers.decide(self._settings, self.state, datetime.now(UTC))

    def plan(self, stages: Sequence[Stage]) -> list[Plan]:
        """Say what would become of stages, without running any."""
        plans: list[Plan] = []
        for stage in stages:
            before = {each.stage for each in plans if each.will not in (SKIPS, OFF)}
            hangs = before.intersection(stage.needs(self._settings))
            plans.append(self._planned(stage, hangs=bool(hangs)))
        return plans

    def _planned(self, stage: Stage, *, hangs: bool) -> Plan:
        context, settings = self._context(), self._settings
        will, why, commands, inputs = RUNS, "", [], []
        outputs = [str(path) for path in _known(stage, context)]
        try:
            commands = [_shown(command(context)) for command in stage.commands(settings)]
            inputs = [str(path) for path in stage.inputs(context)]
            will, why = (LATER, "") if hangs else self._due(stage, self._key(stage, context))
        except PipelineError as error:
            will, why = (LATER, "") if hangs else (RUNS, str(error))
        if off := stage.off(settings):
            will, why = OFF, off
        key = "" if stage.elsewhere(settings) else self._source_key(stage, context)
        return Plan(stage.name, will, why, commands, inputs, outputs, dict(stage.codes), key)

    def _source_key(self, stage: Stage, context: Context) -> str:
        """Return a fingerprint of what decides a stage's result and is there before any stage has run."""
        told = {
            name: str(value)
            for name, value in dataclasses.asdict(self._settings).items()
            if name not in ("file", "python")
        }
        sources = fingerprint.of_files(stage.sources(context), self._settings.file.parent)
        return fingerprint.of_value([stage.name, told, fingerprint.of_code(stage.packages), sources])

    def run(
        self, stages: Sequence[Stage], *, if_needed: bool = False
    ) -> tuple[list[Outcome], Decision | None]:
        """Run stages.

        Args:
            stages: in their order.
            if_needed: whether the stages of a retraining run only where a trigger makes one due.

        Returns:
            What became of each stage, and what was decided; None without `if_needed`.

        Raises:
            PipelineError: the triggers cannot be read.
            TrainError: the review of feedback means nothing.
        """
        outcomes: dict[str, Outcome] = {}
        decision, begun, due = None, False, True
        for stage in stages:
            if stage.retrains and not begun:
                begun = True
                if if_needed:
                    decision = self.decide()
                    due = decision.needed
                    self._say(f"{'A' if due else 'No'} retraining is due. {' '.join(decision.reasons)}")
                if due:
                    left = {*self.state.pending, *(each.name for each in stages if each.retrains)}
                    self._remember_pending([name for name in NAMES if name in left])
            if stage.retrains and not due:
                outcomes[stage.name] = Outcome(stage.name, NOT_NEEDED)
                continue
            outcomes[stage.name] = outcome = self._one(stage, outcomes)
            self._remember(stage, outcome)
            self._say(f"{stage.name}: {outcome.result}. {outcome.why}".rstrip())
            if outcome.result == STOPPED:
                break
        return list(outcomes.values()), decision

    def _one(self, stage: Stage, outcomes: Mapping[str, Outcome]) -> Outcome:
        """Run a stage unless it is off, blocked or up to date."""
        if off := stage.off(self._settings):
            return Outcome(stage.name, OFF, off)
        for need in stage.needs(self._settings):
            before = outcomes.get(need) or self.state.stages.get(need)
            if before and before.result not in GOOD:
                return Outcome(stage.name, BLOCKED, f"it needs {need}, which was {before.result}")
        context = self._context()
        try:
            key = self._key(stage, context)
            will, why = self._due(stage, key)
            if will == SKIPS:
                # What it found and left holds still; when it ended stays as the state has it.
                last = self.state.stages[stage.name]
                return dataclasses.replace(last, result=SKIPPED, why=why, seconds=0.0, ended="", commands=[])
            self._say(f"{stage.name}: {stage.about} ({why})")
            return self._executed(stage, context, key)
        except PipelineError as error:
            return Outcome(stage.name, FAILED, str(error), ended=_now())

    def _context(self) -> Context:
        return Context(self._settings, dict(self.state.values))

    def _key(self, stage: Stage, context: Context) -> str:
        """Return the fingerprint of all that decides a stage's result: commands, code and inputs."""
        words = [command(context) for command in stage.commands(self._settings)]
        inputs = fingerprint.of_files(stage.inputs(context), self._settings.file.parent)
        return fingerprint.of_value([stage.name, words, fingerprint.of_code(stage.packages), inputs])

    def _outputs(self, stage: Stage, context: Context) -> str:
        return fingerprint.of_files(_known(stage, context), self._settings.file.parent)

    def _due(self, stage: Stage, key: str) -> tuple[str, str]:
        """Return whether a stage runs or is skipped, and why."""
        last = self.state.stages.get(stage.name)
        if stage.elsewhere(self._settings):
            return RUNS, "what it reads lies elsewhere"
        if last is None:
            return RUNS, "it has not run here yet"
        if last.result not in (PASSED, ALARM):
            return RUNS, f"it was {last.result} the last time"
        if last.key != key:
            return RUNS, "its inputs, options or code have changed"
        if last.outputs != self._outputs(stage, self._context()):
            return RUNS, "what it left has changed"
        return SKIPS, f"nothing has changed since {last.ended}: {last.why or last.result}"

    def _executed(self, stage: Stage, context: Context, key: str) -> Outcome:
        """Run a stage's commands until one does not pass."""
        log = Path("logs") / f"{stage.name}.log"
        (self._folder / log).parent.mkdir(exist_ok=True)
        verdicts.forget(stage.name, context)
        began, verdict, shown = time.monotonic(), Verdict(PASSED), []
        values: dict[str, str] = {}
        with (self._folder / log).open("wb") as file:
            for command in stage.commands(self._settings):
                words = command(context)
                shown.append(_shown(words))
                file.write(f"$ {shown[-1]}\n".encode())
                started = time.time_ns()
                try:
                    code, said = self._call(words, file)
                except KeyboardInterrupt:
                    verdict = Verdict(STOPPED, "stopped; the same command goes on")
                    break
                except OSError as error:
                    verdict = Verdict(FAILED, f"{self._program(words)} cannot be started: {error.strerror}")
                    break
                verdict = verdicts.judge(stage.name, context, code, said, started)
                values |= verdict.values
                context.values |= verdict.values
                if verdict.result not in GOOD:
                    break
        if verdict.result in GOOD:
            # What a search found is for the training right after it; the next key must not hang on it.
            self.state.values |= {name: value for name, value in values.items() if name != CONFIG}
        return Outcome(
            stage=stage.name,
            result=verdict.result,
            why=verdict.why,
            seconds=round(time.monotonic() - began, 1),
            ended=_now(),
            key=key,
            outputs=self._outputs(stage, context) if verdict.result in GOOD else "",
            values=values,
            metrics=dict(verdict.metrics),
            commands=shown,
            log=log.as_posix(),
        )

    def _call(self, words: Sequence[str], log: BinaryIO) -> tuple[int, str]:
        """Run a command in the folder of the settings' file; return its exit code and its last line.

        Raises:
            OSError: it cannot be started.
            KeyboardInterrupt: this process was asked to stop; so was the command, and it has ended.
        """
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        process = subprocess.Popen(
            [self._program(words), *words[1:]],
            cwd=self._settings.file.parent,
            env=os.environ | {"PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        last = b""
        try:
            while chunk := os.read(process.stdout.fileno(), 65_536):
                for file in (log, self._output):
                    file.write(chunk)
                    file.flush()
                last = (last + chunk)[-LAST_BYTES:]
            code = process.wait()
        except BaseException as error:
            _stop(process, told=isinstance(error, KeyboardInterrupt) and not isinstance(error, Terminated))
            raise
        finally:
            process.stdout.close()
        lines = [line.strip() for line in last.decode(errors="replace").splitlines()]
        return code, next((line for line in reversed(lines) if line), "")

    def _program(self, words: Sequence[str]) -> str:
        return self._settings.python if words[0] == "python" else words[0]

    def _remember(self, stage: Stage, outcome: Outcome) -> None:
        """Note what later runs go by."""
        state, result = self.state, outcome.result
        if outcome.ended:
            state.stages[stage.name] = outcome
        if stage.retrains and result in GOOD:
            state.pending = [name for name in state.pending if name != stage.name]
        if result == REFUSED:  # the same photos would be refused again: that retraining is over
            state.pending = []
        if stage.name == TRAIN and result in GOOD:
            state.trained, state.answers = _now(), triggers.answers(self._settings)
        state.write(self._folder)

    def _remember_pending(self, names: list[str]) -> None:
        self.state.pending = names
        self.state.write(self._folder)

    def _say(self, line: str) -> None:
        say(self._output, line)


def say(output: BinaryIO, line: str) -> None:
    """Write a line at once, so that it stands before what commands print."""
    output.write(f"{line}\n".encode())
    output.flush()


def write_plan(plans: Sequence[Plan]) -> str:
    """Return a plan as text."""
    lines = []
    for each in plans:
        lines.append(f"{each.stage}: {each.will}{f' ({each.why})' if each.why else ''}")
        lines += [f"    $ {command}" for command in each.commands if each.will != OFF]
        if each.will != OFF:
            codes = "; ".join(f"{code}: {meaning}" for code, meaning in each.codes.items())
            lines += [
                f"    reads {', '.join(each.inputs) or '-'}",
                f"    writes {', '.join(each.outputs) or '-'}",
            ]
            lines += [f"    exit codes {codes}"]
    return "\n".join(lines)


def _known(stage: Stage, context: Context) -> list[Path]:
    """Return a stage's outputs; none where their names are not known yet."""
    try:
        return stage.outputs(context)
    except PipelineError:
        return []


def _shown(words: Sequence[str]) -> str:
    return shlex.join(words)


def _stop(process: "subprocess.Popen[bytes]", *, told: bool) -> None:
    """Wait until a command has ended, after it was told to; Ctrl-C has told it already."""
    if not told:
        process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
