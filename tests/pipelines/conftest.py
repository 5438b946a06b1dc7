"""A pipeline of a folder of text files, whose commands are done by a made interpreter in milliseconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import __main__ as line
from tests import engines

ROOT = Path(__file__).parents[2]
INTERPRETER = Path(__file__).with_name("made_python.py")
CONFIG = """
[data]
photos = "photos"
people = "people"
[feedback]
set = "set"
source = "outbox"
[export]
bundle = "bundle"
[publish]
command = ["python", "-m", "publish", "{bundle}", "{run}"]
[watch]
traffic = "traffic"
"""


class Engine:
    """An engine in an environment of its own, which works for a made pipeline."""

    def __init__(self, name, environ):
        self.python = engines.require(name)
        self.environ = environ

    def call(self, *words):
        """Run a program of the environment; return what ended."""
        return subprocess.run(
            [self.python.parent / words[0], *map(str, words[1:])],
            cwd=ROOT, env=os.environ | self.environ, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip


class MadePipeline:
    """A pipeline in a folder of its own, and what its made commands are told to do."""

    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "pipeline.toml"
        self.config.write_text(CONFIG)
        for name in (
            "photos/cat/1",
            "photos/dog/1",
            "people/cat/2",
            "outbox/records/a.json",
            "traffic/counts",
        ):
            self.write(name, name)
        self.write("bundle/model.tflite", "old")

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def told(self, **codes):
        """Say which commands end otherwise than with 0: told(export=1)."""
        self.write("told.json", json.dumps(codes))

    def run(self, *options):
        return line.main(["run", "--config", str(self.config), *options])

    @property
    def ran(self):
        """The commands that were called since the last look: check, run, export …"""
        path = self.folder / "called.txt"
        called = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [each.split()[0] for each in called]

    @property
    def report(self):
        return json.loads((self.folder / "pipeline" / "report.json").read_text("utf-8"))

    @property
    def results(self):
        return {each["stage"]: each["result"] for each in self.report["stages"]}


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    interpreter = tmp_path / "interpreter"
    interpreter.write_text(f"#!{sys.executable} -S\n{INTERPRETER.read_text('utf-8')}", "utf-8")
    interpreter.chmod(0o755)
    monkeypatch.setenv("CAT_PYTHON", str(interpreter))
    folder = tmp_path / "work"
    folder.mkdir()
    return MadePipeline(folder)
