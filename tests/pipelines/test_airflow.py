"""The DAGs for Airflow in its own environment: they import; a run passes, is refused, or is not due."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.pipelines.conftest import ROOT, Engine

pytestmark = pytest.mark.engines
RETRAINING = "are_you_a_cat_retraining"


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    """Airflow with a database of its own; making one takes a quarter of a minute."""
    engine = Engine(
        "airflow",
        {
            "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "pipelines" / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__CORE__PARALLELISM": "2",
        },
    )
    made = engine.call("airflow", "db", "migrate")
    assert made.returncode == 0, made.stderr
    return engine


def listed(airflow, *words):
    """What a command of Airflow lists as JSON, after whatever it warns of."""
    printed = airflow.call("airflow", *words, "-o", "json").stdout
    return json.loads(next(line for line in printed.splitlines() if line.startswith("[")))


def retrain(airflow, pipeline, **params):
    """Run the retraining once; return the states of its tasks, its own, and all that was printed."""
    given = json.dumps({"config": str(pipeline.config), **params})
    ended = airflow.call("airflow", "dags", "test", RETRAINING, "--conf", given)
    database = Path(airflow.environ["AIRFLOW_HOME"]) / "airflow.db"
    with closing(sqlite3.connect(database)) as table:
        run, state = table.execute("SELECT run_id, state FROM dag_run ORDER BY id DESC").fetchone()
        tasks = table.execute("SELECT task_id, state FROM task_instance WHERE run_id = ?", [run]).fetchall()
    return dict(tasks), state, ended.stdout + ended.stderr


def test_the_dags_import_without_errors_and_without_work(pipeline, airflow):
    assert listed(airflow, "dags", "list-import-errors", "--local") == []
    dags = {row["dag_id"] for row in listed(airflow, "dags", "list", "--local")}
    assert dags == {RETRAINING, "are_you_a_cat_watch"}
    assert pipeline.ran == []


def test_the_two_dags_begin_at_different_times(airflow):
    """A watch that begins with a retraining would wait for it and hold a worker."""
    crons = {
        row["dag_id"]: row["timetable_summary"]
        for row in listed(airflow, "dags", "list", "--local", "--columns", "dag_id,timetable_summary")
    }
    program = """
import sys, datetime, croniter
start = datetime.datetime(2026, 1, 1)
times = [{next(clock) for _ in range(100)} for cron in sys.argv[1:]
         for clock in [croniter.croniter(cron, start, ret_type=datetime.datetime)]]
print(len(times[0] & times[1]))
"""
    ended = airflow.call("python", "-c", program, crons[RETRAINING], crons["are_you_a_cat_watch"])
    assert (ended.stdout.strip(), ended.stderr) == ("0", "")


def test_a_retraining_passes_and_the_next_one_is_not_due(pipeline, airflow):
    tasks, state, said = retrain(airflow, pipeline)
    assert state == "success", said
    assert set(tasks.values()) == {"success"}
    assert pipeline.ran == ["pull", "check", "run", "export", "publish"]
    assert "Nothing was trained here yet." in said
    tasks, state, said = retrain(airflow, pipeline)
    assert state == "success", said
    skipped = dict.fromkeys(("check", "train", "export", "publish"), "skipped")
    assert tasks == {"pull": "success", "if_needed": "success"} | skipped
    assert pipeline.ran == []


def test_a_refused_gate_fails_the_run_with_its_table_and_is_not_tried_again(pipeline, airflow):
    pipeline.told(export=1)
    tasks, state, said = retrain(airflow, pipeline, only_if_needed=False)
    assert state == "failed"
    assert tasks["export"] == "failed"
    assert tasks["publish"] == "upstream_failed"
    assert "test.recall  at least 0.9  0.5000  REFUSED" in said
    assert pipeline.ran == ["pull", "check", "run", "export"]
