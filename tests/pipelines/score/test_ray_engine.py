"""Ray scores what the local engine scores, byte by byte, and loses nothing with a node.

They run in Ray's own environment (`python -m tests --engines`). Each test has a time limit: where Ray cannot
place what is asked for it waits, without a word.
"""

import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

ray = pytest.importorskip("ray", reason="Ray has an environment of its own: run `python -m tests --engines`.")

from dataclasses import fields, replace  # noqa: E402

from ray.cluster_utils import Cluster  # noqa: E402  # pyright: ignore[reportMissingImports]

from pipelines.score import __main__ as command  # noqa: E402
from pipelines.score.driver import Driver, WorkerError  # noqa: E402
from pipelines.score.local import LocalEngine  # noqa: E402
from pipelines.score.places import Folder  # noqa: E402
from pipelines.score.ray_engine import RayEngine  # noqa: E402
from pipelines.score.scorer import Scorer  # noqa: E402
from pipelines.score.shards import cut  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.pipelines.score.deadly import HANG, KILL, DeadlyJob  # noqa: E402

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]


@pytest.fixture
def many(photos, examples):
    """The photos of the folder, and copies of one of them."""
    for number in range(75):
        shutil.copy(examples / "chelsea.jpg", photos / f"{number:02}.jpg")
    return photos


def files(out):
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def run(engine, photos, out, *also):
    arguments = [
        sys.executable,
        "-m",
        "pipelines.score",
        photos,
        out,
        f"--engine={engine}",
        "--shard-size=8",
        *also,
    ]
    return subprocess.run(
        arguments, cwd=ROOT, timeout=200, check=False, capture_output=True, text=True, env=environment()
    )


def environment():
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}


class Report:
    """Remembers what it hears."""

    def __init__(self):
        self.numbers, self.problems, self.up, self.errors = [], [], [], 0

    def tick(self, up):
        self.up.append(up)

    def done(self, done):
        self.numbers.append(done.number)
        self.errors += done.errors

    def trouble(self, _shard, problem, last):
        assert not last, problem
        self.problems.append(problem)


def test_ray_gives_the_bytes_of_the_local_engine(many, tmp_path):
    local, rays = run("local", many, tmp_path / "local"), run("ray", many, tmp_path / "ray")
    assert (local.returncode, rays.returncode) == (0, 0), rays.stderr
    assert files(tmp_path / "ray") == files(tmp_path / "local")
    assert len(files(tmp_path / "ray")) == 11
    assert "80 photos" in rays.stdout.replace("80 of 80", "80")


def test_ray_goes_on_where_it_was_stopped(many, tmp_path):
    assert run("local", many, tmp_path / "whole").returncode == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "out")
    for path in sorted((tmp_path / "out").glob("part-*"))[::2]:
        path.unlink()
    ended = run("ray", many, tmp_path / "out", "--workers=1")
    assert ended.returncode == 0, ended.stderr
    assert "; 40 were there" in ended.stdout
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_node_that_is_lost_costs_nothing_and_doubles_nothing(many, tmp_path, job, monkeypatch):
    keys = [path.relative_to(many).as_posix() for path in sorted(many.glob("*.jpg"))] * 4
    shards = list(cut(keys, 10, {}))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    engine = None
    try:
        other = cluster.add_node(num_cpus=1)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        engine = RayEngine(job)
        assert engine.workers == 2
        report = Report()

        def kill_in_the_middle():
            while len(report.numbers) < 4 or max(report.up) < 2:
                time.sleep(0.05)
            cluster.remove_node(other, allow_graceful=False)

        killer = threading.Thread(target=kill_in_the_middle)
        killer.start()
        Driver(engine, report).run(shards)
        killer.join()
    finally:
        if engine:
            engine.close()
        cluster.shutdown()
    assert sorted(report.numbers) == list(range(30))
    assert any("its worker is lost" in problem for problem in report.problems)
    assert sorted(files(job.out.path)) == [shard.name for shard in shards]
    here = replace(job, out=Folder(tmp_path / "here"))
    for shard in shards:
        Scorer(here).score(shard)
    assert files(job.out.path) == files(tmp_path / "here")


def test_an_actor_that_dies_is_started_again(many, job):
    keys = [path.relative_to(many).as_posix() for path in sorted(many.glob("*.jpg"))]
    report = Report()
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    engine = RayEngine(job, workers=1)

    def kill_in_the_middle():
        while len(report.numbers) < 2:
            time.sleep(0.05)
        ray.kill(engine._actors[0], no_restart=False)

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    try:
        Driver(engine, report).run(list(cut(keys, 5, {})))
    finally:
        killer.join()
        engine.close()
    assert sorted(report.numbers) == list(range(15))
    assert len(report.problems) == 1


def test_photos_that_end_their_workers_are_rows_with_the_bytes_of_the_local_engine(many, job, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # where the workers find deadly.py
    keys = [path.relative_to(many).as_posix() for path in sorted(many.glob("*.jpg"))]
    (many / keys[7]).write_bytes(b"deadly")
    (many / keys[12]).write_bytes(b"endless")
    own = {each.name: getattr(job, each.name) for each in fields(job)}
    ill = DeadlyJob(**own, harm={b"deadly": KILL, b"endless": HANG}, photo_s=2.0)
    shards = list(cut(keys[:20], 5, {}))
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    engine, report = RayEngine(ill, workers=1), Report()
    try:
        Driver(engine, report).run(shards)
    finally:
        engine.close()
    assert sorted(report.numbers) == [0, 1, 2, 3]
    assert report.errors == 2
    assert len(report.problems) == 4
    here = LocalEngine(replace(ill, out=Folder(job.out.path.with_name("here"))), 1)
    try:
        Driver(here, Report()).run(shards)
    finally:
        here.close()
    assert files(job.out.path) == files(job.out.path.with_name("here"))


def test_a_model_that_cannot_be_served_ends_the_work(job):
    broken = replace(job, bundle=replace(job.bundle, model=b"no model"))
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    engine = RayEngine(broken, workers=1)
    try:
        with pytest.raises(
            WorkerError, match="A worker cannot start: This is not a model that can be served"
        ):
            Driver(engine, Report()).run(list(cut(["a.jpg"], 5, {})))
    finally:
        engine.close()


def test_a_cluster_that_does_not_answer_is_named(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert command.main([str(photos), str(tmp_path / "out"), "--engine=ray"]) == 1
    assert capsys.readouterr().err == "No Ray cluster answers at 127.0.0.1:1: Connection refused.\n"
