"""A store of MLflow that is locked, away or moved: a sentence, no loss, no traceback."""

import json
import logging
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

import train
from export import __main__ as export_line
from train import __main__ as train_line
from train import store as store_of_mlflow
from train import tracking, tune
from train.config import TrainError
from train.store import RUN_ID, require_store
from train.tracking import PENDING, Tracker


@pytest.fixture
def store(fresh, tmp_path):
    shutil.copytree(fresh, tmp_path / "project")
    return f"sqlite:///{tmp_path / 'project' / 'mlflow.db'}"


@pytest.fixture
def tracker(store, tmp_path):
    (tmp_path / "run").mkdir()
    return Tracker.start(store, tmp_path / "run")


@pytest.fixture
def away(monkeypatch):
    """Have each call of MLflow's client fail: `away(error)`; `away(None)` ends it."""

    def fail_with(error):
        if error is None:
            return monkeypatch.undo()

        def client(**_):
            raise error

        return monkeypatch.setattr(tracking, "MlflowClient", client)

    return fail_with


def run_of(tracker):
    return MlflowClient(tracker.uri).get_run(tracker.run_id)


def names_of(tracker):
    return {item.path for item in MlflowClient(tracker.uri).list_artifacts(tracker.run_id)}


def test_a_store_that_can_be_written_will_do(store, tmp_path):
    require_store(store)
    require_store(f"sqlite:///{tmp_path / 'new.db'}")
    assert not (tmp_path / "new.db").exists()


def test_a_locked_database_is_named_with_what_to_do(store, monkeypatch):
    monkeypatch.setattr(store_of_mlflow, "LOCK_S", 0.1)
    path = store.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(
            TrainError, match=f"{path} cannot be used: database is locked.*MLFLOW_TRACKING_URI"
        ):
            require_store(store)


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        ("sqlite:////nowhere/at/all/mlflow.db", "there is no folder /nowhere/at/all"),
        ("http://me:secret@127.0.0.1:9", "http://127.0.0.1:9 cannot be used"),
        ("nonsense://x", "nonsense://x cannot be used"),
    ],
)
def test_a_store_that_is_not_there_is_named_without_its_password(uri, fault):
    with pytest.raises(TrainError) as caught:
        require_store(uri)
    assert fault in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(store_of_mlflow, "ANSWER_S", 0.5)
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        pytest.raises(TrainError, match=r"it has not answered for 0\.5 seconds"),
    ):
        require_store(f"http://127.0.0.1:{mute.getsockname()[1]}")


@pytest.mark.parametrize("command", ["run", "tune"])
def test_commands_look_at_the_store_before_tensorflow_is_imported(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "train.pipeline", None)  # whoever imports it fails
    monkeypatch.setitem(sys.modules, "train.tune", None)
    monkeypatch.delattr(train, command, raising=False)
    monkeypatch.delattr(train, "pipeline", raising=False)
    assert train_line.main([command, "--photos", str(tmp_path / "none")]) == 1
    said = capsys.readouterr().err
    assert "MLflow's store sqlite:////nowhere/mlflow.db cannot be used" in said
    assert said.count("\n") == 1


def test_what_the_commands_ask_the_store_with_needs_no_tensorflow():
    program = "import sys, train.__main__, export.__main__, train.run, train.store; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert {"train.store", "export.__main__"} <= set(said.split())
    assert not {"tensorflow", "keras", "mlflow"} & set(said.split())


@pytest.mark.parametrize("command", ["refresh", "export"])
def test_what_goes_on_with_a_run_looks_at_its_store_before_any_work(command, tmp_path, monkeypatch, capsys):
    (tmp_path / "summary.json").write_text("{}")
    told = dict.fromkeys(("photos", "wild", "people", "boxes", "cache"))
    told |= {"config": {}, "command": "", "data": "", "code_commit": "", "weights": "", "mlflow_run": "1"}
    (tmp_path / "run.json").write_text(json.dumps(told | {"tracking_uri": "sqlite:////nowhere/mlflow.db"}))
    for module in ("train.feedback.refresh", "export.pipeline"):
        monkeypatch.setitem(sys.modules, module, None)
    run = ["--run", str(tmp_path)]
    refresh = ["refresh", *run, "--feedback", str(tmp_path)]
    assert (export_line.main(run) if command == "export" else train_line.main(refresh)) == 1
    said = capsys.readouterr().err
    assert "MLflow's store sqlite:////nowhere/mlflow.db cannot be used" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("error", [MlflowException("no answer"), OSError("gone")])
def test_what_the_store_misses_is_said_once_and_caught_up_with(
    tracker, away, capsys, monkeypatch, tmp_path, error
):
    (tmp_path / "report.html").write_text("report")
    away(error)
    tracker.epoch(0, {"loss": 0.5})
    tracker.epoch(1, {"loss": 0.25})
    tracker.tag("command", "x")
    tracker.file(tmp_path / "report.html")
    said = capsys.readouterr().err
    assert said.count("Work goes on") == 1
    assert f"python -m train track {tmp_path / 'run'}" in said
    assert len((tmp_path / "run" / PENDING).read_text().splitlines()) == 4
    away(None)
    tracker.epoch(2, {"loss": 0.125})  # not yet: a store that was away is tried again after a while
    assert tracker.waits
    tracker.end("FINISHED")
    assert not tracker.waits
    history = MlflowClient(tracker.uri).get_metric_history(tracker.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (1, 0.25), (2, 0.125)]
    assert run_of(tracker).data.tags["command"] == "x"
    assert run_of(tracker).info.status == "FINISHED"
    assert "report.html" in names_of(tracker)


def test_a_later_process_sends_what_waits(tracker, away, tmp_path, capsys):
    folder = tmp_path / "run"
    (folder / tune.SEARCH).write_text(json.dumps({"uri": tracker.uri, "run_id": tracker.run_id}))
    away(MlflowException("no answer"))
    tracker.params({"side": 256})
    assert train_line.main(["track", str(folder)]) == 1
    assert "0 of 1 entries were sent" in capsys.readouterr().out
    away(None)
    assert train_line.main(["track", str(folder)]) == 0
    assert run_of(tracker).data.params["side"] == "256"
    assert "has everything; 1 entries waited" in capsys.readouterr().out


def test_what_the_store_refuses_is_not_kept(tracker):
    tracker.params({"side": 256})
    with pytest.raises(MlflowException):
        tracker.params({"side": 224})
    assert not tracker.waits


@pytest.mark.slow
def test_a_moved_project_keeps_its_artifacts_beside_its_database(tracker, tmp_path):
    tracker.text("before", "before.txt")
    assert (tmp_path / "project" / "mlruns").is_dir()
    (tmp_path / "project").rename(tmp_path / "moved")
    uri = f"sqlite:///{tmp_path / 'moved' / 'mlflow.db'}"
    require_store(uri)
    Tracker.start(uri, tmp_path / "second").text("more", "more.txt")
    # Within a process MLflow remembers where a run's artifacts lay.
    write = (
        "import pathlib, sys; from train.tracking import Tracker; "
        "Tracker(*sys.argv[1:3], pathlib.Path(sys.argv[3])).text('after', 'after.txt')"
    )
    subprocess.run([sys.executable, "-c", write, uri, tracker.run_id, tmp_path / "run"], check=True)
    assert not (tmp_path / "project").exists()
    assert {path.name for path in (tmp_path / "moved" / "mlruns").rglob("*.txt")} == {
        "environment.txt", "before.txt", "after.txt", "more.txt"
    }  # fmt: skip


def test_a_copied_project_leaves_the_first_ones_artifacts(tracker, tmp_path):
    tracker.text("before", "before.txt")
    shutil.copytree(tmp_path / "project", tmp_path / "copy")
    require_store(f"sqlite:///{tmp_path / 'copy' / 'mlflow.db'}")
    (tmp_path / "copy" / "mlruns").rename(tmp_path / "aside")
    assert "before.txt" in names_of(tracker)


@pytest.mark.parametrize("sees_it", [True, False])
def test_a_store_that_is_locked_during_a_run_gets_one_sentence_and_no_traceback(
    tracker, monkeypatch, capfd, sees_it
):
    """Locked before MLflow is asked, or only while it is: MLflow then logs tracebacks of its own."""
    monkeypatch.setattr(store_of_mlflow, "LOCK_S", 0.1)
    fault = sqlite3.OperationalError("database is locked")
    if not sees_it:

        def put(*_):
            logging.getLogger("mlflow.store.db.utils").exception("SQLAlchemy", exc_info=fault)
            raise fault

        monkeypatch.setattr(Tracker, "_look", lambda _: None)
        monkeypatch.setattr(Tracker, "_put_metrics", put)
    capfd.readouterr()
    with closing(sqlite3.connect(tracker.uri.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for epoch in range(3):
            tracker.epoch(epoch, {"loss": 0.5})
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert said.count("\n") == 1
    assert "database is locked" in said
    monkeypatch.undo()
    tracker.end("FINISHED")
    assert not tracker.waits
    assert len(MlflowClient(tracker.uri).get_metric_history(tracker.run_id, "loss")) == 3


def test_a_moved_search_finds_its_store_beside_it(tmp_path):
    (tmp_path / "after" / "runs" / "tune-1").mkdir(parents=True)
    (tmp_path / "after" / "mlflow.db").touch()
    noted = {"uri": f"sqlite:///{tmp_path / 'before' / 'mlflow.db'}", "run_id": "1"}
    (tmp_path / "after" / "runs" / "tune-1" / tune.SEARCH).write_text(json.dumps(noted))
    found = tune.tracker_of(tmp_path / "after" / "runs" / "tune-1")
    assert found.uri == f"sqlite:///{tmp_path / 'after' / 'mlflow.db'}"


def test_a_table_is_one_that_mlflow_shows_and_reads_also_when_it_is_sent_twice(tracker, monkeypatch):
    columns = {"check": ["leak", "label"], "found": [2, 0]}
    tracker.table(columns, "checks-table.json")
    tracker.table(columns, "checks-table.json")
    tracker.table(columns, "other.json")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)
    shown = json.loads(run_of(tracker).data.tags["mlflow.loggedArtifacts"])
    assert shown == [{"path": name, "type": "table"} for name in ("checks-table.json", "other.json")]
    experiment = run_of(tracker).info.experiment_id
    read = MlflowClient().load_table(experiment, "checks-table.json", [tracker.run_id])
    assert read.to_dict("list") == columns


def test_a_table_waits_for_a_store_that_is_away(tracker, away):
    away(OSError("gone"))
    tracker.table({"check": ["leak"]}, "checks-table.json")
    assert tracker.waits
    away(None)
    tracker.catch_up()
    assert "checks-table.json" in names_of(tracker)


def test_a_run_that_begins_while_the_store_is_away_is_made_there_later(store, tmp_path, away, capsys):
    search = Tracker.start(store, tmp_path / "search")
    away(MlflowException("no answer"))
    tracker = Tracker.start(store, tmp_path / "trial", search.run_id)
    tracker.params({"side": 256})
    assert tracker.run_id == ""
    assert capsys.readouterr().err.count("Work goes on") == 1
    away(None)
    later = Tracker(store, "", tmp_path / "trial")  # as another process goes on with it
    later.end("FINISHED")
    found = run_of(later)
    assert found.info.run_name == "trial"
    assert found.data.params == {"side": "256"}
    assert found.data.tags["mlflow.parentRunId"] == search.run_id
    assert "environment.txt" in names_of(later)
    assert (tmp_path / "trial" / RUN_ID).read_text() == later.run_id
    assert Tracker(store, "", tmp_path / "trial").run_id == later.run_id


def test_a_run_that_the_store_refuses_does_not_begin(store, tmp_path, away):
    away(MlflowException("no such thing", error_code=INVALID_PARAMETER_VALUE))
    with pytest.raises(TrainError, match="no such thing"):
        Tracker.start(store, tmp_path / "run")


def test_a_tracker_that_keeps_everything_asks_nothing(tracker, tmp_path, away, capsys):
    away(AssertionError("asked"))
    keeps = Tracker(tracker.uri, tracker.run_id, tmp_path / "run", keep=True)
    keeps.tag("gate", "passed")
    assert capsys.readouterr().err == ""
    away(None)
    tracker.catch_up()
    assert run_of(tracker).data.tags["gate"] == "passed"
