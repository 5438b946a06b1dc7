"""What the adapters to engines share: a stage is a command of this project, run in CAT_PYTHON.

An engine's packages and this project's do not go together, so nothing is imported here but Python's own
library: the two meet in a command line and the JSON that it prints.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from pipelines.settings import ROOT, PipelineError, interpreter
from pipelines.stages import NAMES, WATCH

RETRAINING = tuple(name for name in NAMES if name != WATCH)
"""The stages of a retraining, in their order; the watch has a schedule of its own."""
REFUSED_CODE = 3
WAIT_MINUTES = 24 * 60
"""For another run on the same pipeline: engines start their runs by clocks, and a training may take hours."""


class StageFailedError(PipelineError):
    """A stage failed; another try may succeed."""


class StageRefusedError(PipelineError):
    """Checks or gate refused; another try on the same photos would be refused too.

    Attributes:
        metrics: the figures that were not good enough, by their rules.
    """

    def __init__(self, message: str, metrics: dict[str, float]) -> None:
        """Refuse with a message, which has the gate's table, and the figures."""
        super().__init__(message)
        self.metrics = metrics


def run_stage(stage: str, config: str, *options: str) -> dict[str, Any]:
    """Run one stage, once no other run is at work on the same pipeline, and return its verdict.

    Args:
        stage: its name.
        config: the pipeline's TOML file; relative to the checkout unless absolute.
        options: further options of `python -m pipelines run`.

    Returns:
        "stage", "why", "values", "metrics", "outputs" and "result": "passed" also where nothing had changed.
        The same inputs give the same verdict, so an engine's cache can go by it.

    Raises:
        StageRefusedError: checks or gate refused; the message holds the gate's table.
        StageFailedError: the stage or the command failed, or another run did not end in WAIT_MINUTES.
    """
    part = ["--from", stage, "--until", stage, "--wait", str(WAIT_MINUTES)]
    code, report = _call(["run", "--config", config, *part, "--json", *options])
    outcome = report["stages"][0]
    said = f"{stage} {outcome['result']}: {outcome['why']}"
    if code == REFUSED_CODE:
        raise StageRefusedError(said, outcome["metrics"])
    if code:
        raise StageFailedError(said)
    result = "passed" if outcome["result"] == "skipped" else outcome["result"]
    names = ("stage", "values", "metrics", "outputs")
    return {name: outcome[name] for name in names} | {"result": result}


def plan(config: str) -> dict[str, Any]:
    """Return what would run, and whether a retraining is due, as `run --plan --if-needed --json` prints it.

    Raises:
        StageFailedError: the settings or the triggers cannot be read.
    """
    return _call(["run", "--config", config, "--plan", "--if-needed", "--json"])[1]


def _call(arguments: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """Run a command of `python -m pipelines`; return its exit code and the JSON that it printed.

    Raises:
        StageFailedError: it printed none.
    """
    python = interpreter()
    if python is None:
        raise StageFailedError("CAT_PYTHON must name the interpreter of the environment that trains.")
    last = "it printed nothing"
    with tempfile.TemporaryFile("w+") as printed:
        command = [python, "-m", "pipelines", *arguments]
        try:
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise StageFailedError(f"CAT_PYTHON, {python}, cannot be started: {error.strerror}.") from error
        assert process.stderr is not None
        for line in process.stderr:  # engines keep what their steps print
            sys.stdout.write(line)
            last = line.strip() or last
        code = process.wait()
        printed.seek(0)
        content = printed.read()
    try:
        return code, json.loads(content)
    except ValueError as error:
        raise StageFailedError(last) from error
