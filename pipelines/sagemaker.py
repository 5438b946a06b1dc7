"""What a SageMaker training job runs: `python -m pipelines.sagemaker train`, the entry point of its image.

Channels and hyperparameters become options of `python -m train run`. Its run folder lies in checkpoints/, so
that a job that was interrupted goes on after its last whole epoch; finished, it becomes model.tar.gz. Exit
code 0 when it is done, 1 with the sentence in output/failure, 130 when SageMaker stopped it. CAT_PYTHON names
the interpreter that trains, where it is another one.

Containers with AWS's training toolkit call `entry_point` instead.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from pipelines.settings import ROOT, interpreter

FOLDERS = {"photos": "--photos", "people": "--people", "wild": "--wild", "feedback": "--feedback"}
"""Channels that are folders, and the options that take them."""
FILES = {"boxes": "--boxes", "weights": "--init"}
"""Channels that hold one file."""
NEEDED = "photos"
VALUES = ("backbone", "side", "epochs", "views", "learning_rate", "seed", "init_weight")
SWITCHES = ("quick", "override_checks")
"""Hyperparameters: options of the same names, with a value and without."""
OTHERS = "sagemaker_"
"""What hyperparameters begin with that SageMaker's tools add for themselves."""
SPLITS, MEASURES = ("validation", "test", "people", "wild"), ("recall", "precision")
METRICS = {
    "loss": r" - loss: ([0-9.e+-]+)",
    **{f"{split}:{name}": f"^{split}:{name}=([0-9.]+)$" for split in SPLITS for name in MEASURES},
}
"""Metrics by their names, and the regular expressions that find them in what is printed."""
FAILURE_BYTES = 1024


class JobError(Exception):
    """The job cannot be run as it was described, or was refused; the message says why."""


class JobStoppedError(Exception):
    """SageMaker stopped the job.

    Attributes:
        errno: the exit code.
    """

    errno = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.sagemaker", description="Run a training job.")
    parser.add_argument("what", choices=["train"], help="as SageMaker calls its images")
    parser.add_argument("--root", type=Path, default=Path("/opt/ml"), help="SageMaker's folder (/opt/ml)")
    root = parser.parse_args(arguments).root
    try:
        _run(root)
    except JobStoppedError as error:
        print(error, file=sys.stderr)
        return error.errno
    except (JobError, OSError) as error:
        print(error, file=sys.stderr)
        failure = root / "output" / "failure"
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_bytes(str(error).encode()[:FAILURE_BYTES])
        return 1
    return 0


def entry_point() -> None:
    """Run the job of AWS's training toolkit: SAGEMAKER_TRAINING_MODULE=pipelines.sagemaker:entry_point.

    Raises:
        sagemaker_training.errors.ClientError: the toolkit writes its sentence to output/failure.
        JobStoppedError: SageMaker stopped the job; the toolkit takes its number for the exit code.
    """
    from sagemaker_training import environment, errors  # pyright: ignore[reportMissingImports]

    # Without this folder the toolkit cannot write the failure, and ends with 0.
    Path(environment.output_dir).mkdir(parents=True, exist_ok=True)
    try:
        _run(Path(environment.base_dir))
    except (JobError, OSError) as error:
        raise errors.ClientError(str(error)) from error


def _run(root: Path) -> None:
    """Run the job in SageMaker's folder.

    Raises:
        JobError: it cannot be run, or training refused.
        JobStoppedError: it was stopped.
    """
    _train(root, options(root))
    _hand_over(root)


def options(root: Path) -> list[str]:
    """Return the options of `python -m train run` for the job in SageMaker's folder.

    Raises:
        JobError: a channel or a hyperparameter is lacking, unknown or not what it must be.
    """
    data = root / "input" / "data"
    channels = sorted(path.name for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    if NEEDED not in channels:
        raise JobError(f"The job has no channel {NEEDED!r}; it has {', '.join(channels) or 'none'}.")
    found = ["--out", str(root / "checkpoints")]
    for channel in channels:
        if channel in FOLDERS:
            found += [FOLDERS[channel], str(data / channel)]
        elif channel in FILES:
            files = sorted(path for path in (data / channel).rglob("*") if path.is_file())
            if len(files) != 1:
                raise JobError(f"The channel {channel!r} must hold one file; it holds {len(files)}.")
            found += [FILES[channel], str(files[0])]
        else:
            raise JobError(f"There is no channel {channel!r}; known are {', '.join([*FOLDERS, *FILES])}.")
    return found + _hyperparameters(root / "input" / "config" / "hyperparameters.json")


def _hyperparameters(path: Path) -> list[str]:
    stored = json.loads(path.read_text("utf-8")) if path.exists() else {}
    found = []
    for given, text in sorted(stored.items()):
        name, value = (
            given.replace("-", "_"),
            str(text).strip('"'),
        )  # SageMaker's own SDK writes JSON in strings
        option = f"--{name.replace('_', '-')}"
        if name.startswith(OTHERS):
            continue
        if name in VALUES:
            found.append(f"{option}={value}")
        elif name not in SWITCHES:
            raise JobError(f"There is no hyperparameter {given!r}; known are {', '.join(VALUES + SWITCHES)}.")
        elif value.lower() not in ("true", "false"):
            raise JobError(f"The hyperparameter {given!r} is {value!r}; it must be true or false.")
        elif value.lower() == "true":
            found.append(option)
    return found


def _train(root: Path, words: Sequence[str]) -> None:
    """Train.

    Raises:
        JobError: training failed; the message is the last line that it wrote to standard error.
        JobStoppedError: SageMaker stopped it.
    """
    tracking = root / "output" / "data" / "mlflow.db"  # SageMaker keeps that folder as output.tar.gz
    tracking.parent.mkdir(parents=True, exist_ok=True)
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{tracking}", **os.environ}
    # Training would inherit that Ctrl-C is ignored, if it is, and could not be told to stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [interpreter() or sys.executable, "-m", "train", "run", *words]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as child:
        stopped = False

        def stop(_signal: int, _frame: FrameType | None) -> None:
            nonlocal stopped
            stopped = True
            child.send_signal(signal.SIGINT)  # training ends at once, and keeps its last whole epoch

        before = signal.signal(signal.SIGTERM, stop)
        try:
            said = ""
            assert child.stderr
            for line in child.stderr:
                sys.stderr.write(line)
                said = line.strip() or said
            code = child.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
    if code and stopped:  # with whatever code: TensorFlow may abort where it is interrupted
        raise JobStoppedError("The job was stopped; it can go on after its last whole epoch.")
    if code:
        raise JobError(said)


def _hand_over(root: Path) -> None:
    """Copy the finished run to where SageMaker takes the model from, and print its metrics."""
    finished = (root / "checkpoints").glob("*/summary.json")
    summary = max(finished, key=lambda path: path.stat().st_mtime)
    run = summary.parent
    shutil.copytree(
        run, root / "model" / run.name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("state")
    )
    measured = json.loads(summary.read_text("utf-8"))
    for split in SPLITS:
        for name in MEASURES:
            if split in measured:
                print(f"{split}:{name}={measured[split][name]['value']:.4f}")


if __name__ == "__main__":
    sys.exit(main())
