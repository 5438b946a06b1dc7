"""SageMaker's folder becomes a training run, and the run what SageMaker takes away."""

import json
import os
import re
import signal
import sys
import threading
import time

import pytest

from pipelines import sagemaker
from pipelines.sagemaker import JobError

TRAIN = """
import os, sys, time
from pathlib import Path
out = Path(sys.argv[sys.argv.index("--out") + 1]) / "tiny-64-0123"
(out / "state").mkdir(parents=True, exist_ok=True)
(out / "state" / "epoch").write_text("")
print(" ".join(sys.argv[1:]), os.environ["MLFLOW_TRACKING_URI"], flush=True)
fares = os.environ["FARES"]
if fares in ("stopped", "aborted"):
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        os.abort() if fares == "aborted" else sys.exit(130)
if fares == "refused":
    print("first\\nThese photos are not good enough to learn from.\\n", file=sys.stderr)
    sys.exit(1)
measured = {"recall": {"value": 0.95}, "precision": {"value": 0.97125}}
(out / "summary.json").write_text('{"validation": %s, "threshold": 0.4}' % str(measured).replace("'", '"'))
"""
"""What stands in for training: it says what it was asked for."""


@pytest.fixture
def root(tmp_path):
    """A folder such as /opt/ml, with a channel of photos and one file of boxes."""
    data = tmp_path / "ml" / "input" / "data"
    for channel in ("photos", "boxes"):
        (data / channel).mkdir(parents=True)
    (data / "boxes" / "boxes.csv").write_text("")
    return tmp_path / "ml"


def configure(root, **values):
    path = root / "input" / "config" / "hyperparameters.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


@pytest.fixture
def training(tmp_path, monkeypatch):
    """Chooses how training ends: "well", "refused", "stopped" or "aborted"."""
    (tmp_path / "train.py").write_text(TRAIN)
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {tmp_path / "train.py"} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return lambda fares: monkeypatch.setenv("FARES", fares)


def test_channels_and_hyperparameters_become_options(root):
    data = root / "input" / "data"
    configure(
        root,
        epochs="3",
        **{"learning-rate": "0.001"},
        quick="true",
        override_checks='"False"',
        sagemaker_x="y",
    )
    assert sagemaker.options(root) == [
        *("--out", str(root / "checkpoints")),
        *("--boxes", str(data / "boxes" / "boxes.csv")),
        *("--photos", str(data / "photos")),
        *("--epochs=3", "--learning-rate=0.001", "--quick"),
    ]


def test_training_itself_knows_every_option():
    from train.__main__ import _parser

    named = [*sagemaker.FOLDERS.values(), *sagemaker.FILES.values(), "--out"]
    numbers = {"backbone": "tiny"}
    words = [word for name in named for word in (name, "there")]
    words += [f"--{name.replace('_', '-')}={numbers.get(name, '1')}" for name in sagemaker.VALUES]
    words += [f"--{name.replace('_', '-')}" for name in sagemaker.SWITCHES]
    assert str(_parser().parse_args(["run", *words]).wild) == "there"


@pytest.mark.parametrize(
    ("channel", "values", "sentence"),
    [
        (
            "cats",
            {},
            r"There is no channel 'cats'; known are photos, people, wild, feedback, boxes, weights\.",
        ),
        ("weights", {}, r"The channel 'weights' must hold one file; it holds 0\."),
        ("people", {"epoch": "3"}, "There is no hyperparameter 'epoch'; known are backbone, "),
        ("people", {"quick": "yes"}, "The hyperparameter 'quick' is 'yes'; it must be true or false"),
    ],
)
def test_what_is_wrong_with_a_job_is_said(root, channel, values, sentence):
    (root / "input" / "data" / channel).mkdir()
    configure(root, **values)
    with pytest.raises(JobError, match=f"^{sentence}"):
        sagemaker.options(root)


def test_a_job_without_photos_fails_with_a_sentence(tmp_path, capsys):
    assert sagemaker.main(["train", "--root", str(tmp_path)]) == 1
    sentence = "The job has no channel 'photos'; it has none."
    assert (tmp_path / "output" / "failure").read_text() == sentence
    assert capsys.readouterr().err == f"{sentence}\n"


def test_a_finished_run_is_handed_over_and_measured(root, training, capfd):
    training("well")
    assert sagemaker.main(["train", f"--root={root}"]) == 0
    printed = capfd.readouterr().out
    assert f"--out {root}/checkpoints" in printed
    assert f"sqlite:///{root}/output/data/mlflow.db" in printed
    run = root / "model" / "tiny-64-0123"
    assert [path.name for path in run.iterdir()] == ["summary.json"]  # no state of an unfinished epoch
    found = {name: re.findall(regex, printed, re.MULTILINE) for name, regex in sagemaker.METRICS.items()}
    assert {name: values for name, values in found.items() if values} == {
        "validation:recall": ["0.9500"],
        "validation:precision": ["0.9712"],
    }
    assert not (root / "output" / "failure").exists()


def test_the_loss_is_found_in_what_keras_prints():
    line = "12/12 - 3s - 271ms/step - cat_map_loss: 0.6 - logit_loss: 0.7 - loss: 1.2345e-01 - val_loss: 2"
    assert re.findall(sagemaker.METRICS["loss"], line) == ["1.2345e-01"]


def test_a_refusal_of_training_is_the_failure(root, training):
    training("refused")
    assert sagemaker.main(["train", f"--root={root}"]) == 1
    failure = (root / "output" / "failure").read_text()
    assert failure == "These photos are not good enough to learn from."
    assert not (root / "model").exists()


@pytest.mark.parametrize(
    ("ctrl_c", "fares"),
    [
        (signal.default_int_handler, "stopped"),
        (signal.SIG_IGN, "stopped"),  # as where a shell runs it in the background
        (signal.default_int_handler, "aborted"),  # as TensorFlow may end
    ],
)
def test_a_stopped_job_ends_at_once_and_is_no_failure(root, training, ctrl_c, fares):
    signal.signal(signal.SIGINT, ctrl_c)
    training(fares)
    began = root / "checkpoints" / "tiny-64-0123" / "state" / "epoch"

    def stop_when_begun():
        while not began.exists():
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    stopping = threading.Thread(target=stop_when_begun)
    stopping.start()
    assert sagemaker.main(["train", f"--root={root}"]) == 130
    stopping.join()
    assert not (root / "output" / "failure").exists()
    assert began.exists()
