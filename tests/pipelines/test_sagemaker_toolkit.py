"""AWS's training toolkit runs the job, with a folder of the test as /opt/ml: killed, gone on with, refused.

The toolkit has an environment of its own; CAT_PYTHON trains.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines import sagemaker
from tests import generated_photos
from tests.engines import ROOT, require

pytestmark = pytest.mark.engines
HOST = "algo-1"
"""SageMaker's name for the only machine of a job; the toolkit waits until it has an address."""
BIND = 'mkdir -p /opt/ml && mount --bind "$1" /opt/ml && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"'
VALUES = {"backbone": "tiny", "side": "64", "views": "400", "epochs": "3", "quick": "true"}
LONGEST_S = 600


class Job:
    """A training job in a folder that has what SageMaker puts there."""

    def __init__(self, folder: Path) -> None:
        self.ml, self.hosts, self.log = folder / "ml", folder / "hosts", folder / "log"
        self.python = require("sagemaker")
        self.photos = self.ml / "input" / "data" / "photos"
        generated_photos.write(self.photos, 60)
        config = self.ml / "input" / "config"
        config.mkdir()
        group = {"instance_group_name": "all", "instance_type": "local", "hosts": [HOST]}
        for name, content in {
            "hyperparameters": VALUES,
            "inputdataconfig": {"photos": {}},
            "resourceconfig": {
                "current_host": HOST,
                "hosts": [HOST],
                "network_interface_name": "lo",
                "current_instance_type": "local",
                "current_group_name": "all",
                "instance_groups": [group],
            },
        }.items():
            (config / f"{name}.json").write_text(json.dumps(content))
        self.hosts.write_text(f"127.0.0.1 localhost {HOST}\n")

    def bound(self, program: str) -> list[str]:
        """Return the command of a program that sees the job's folder as /opt/ml."""
        return ["unshare", "--mount", "sh", "-c", BIND, "sh", str(self.ml), str(self.hosts), program]

    def begin(self) -> subprocess.Popen:
        environ = {
            "SAGEMAKER_TRAINING_MODULE": "pipelines.sagemaker:entry_point",
            "CAT_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
        }
        command = self.bound(str(self.python.parent / "train"))
        with self.log.open("w") as log:
            return subprocess.Popen(
                command, env=os.environ | environ, stdout=log, stderr=log, start_new_session=True
            )

    def wait_for(self, words: str, process: subprocess.Popen) -> None:
        begun = time.monotonic()
        while words not in self.log.read_text():
            assert process.poll() is None, self.log.read_text()
            assert time.monotonic() < begun + LONGEST_S, self.log.read_text()
            time.sleep(0.05)

    def run(self) -> tuple[int, str]:
        with self.begin() as process:
            return process.wait(LONGEST_S), self.log.read_text()


@pytest.fixture
def job(tmp_path):
    made = Job(tmp_path)
    try:
        subprocess.run(made.bound("true"), check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"A job can have its own /opt/ml only as root, by unshare: {error}")
    return made


def test_a_killed_job_goes_on_and_is_handed_over(job):
    with job.begin() as process:
        job.wait_for("Epoch 2/3", process)
        os.killpg(process.pid, signal.SIGKILL)
    assert not (job.ml / "model").exists() or not any((job.ml / "model").iterdir())
    code, said = job.run()
    assert code == 0, said
    assert "Epoch 1/3" not in said and "Epoch 3/3" in said
    (run,) = (job.ml / "model").iterdir()
    assert {"model.keras", "summary.json", "report.html"} <= {path.name for path in run.iterdir()}
    assert (job.ml / "output" / "success").exists()
    for name in ("loss", "test:recall"):
        assert re.search(sagemaker.METRICS[name], said, re.MULTILINE), name


def test_a_refusal_is_the_failure_that_sagemaker_shows(job):
    job.photos.rename(job.photos.with_name("cats"))
    code, said = job.run()
    assert code == 1, said
    sentence = "The job has no channel 'photos'; it has cats."
    assert (job.ml / "output" / "failure").read_text() == sentence


def test_a_stopped_job_has_no_model(job):
    with job.begin() as process:
        job.wait_for("Epoch 1/3", process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST_S) == sagemaker.JobStoppedError.errno, job.log.read_text()
    assert not (job.ml / "output" / "success").exists()
    assert "can go on after its last whole epoch" in (job.ml / "output" / "failure").read_text()
