"""The DAGs for Airflow in its own environment: they import; a run passes, is refused, or is not due."""

import json

import pytest

from tests.pipelines.conftest import ROOT, Engine

pytestmark = pytest.mark.engines
DAGS = ROOT / "pipelines" / "airflow"


@pytest.fixture
def airflow(tmp_path):
    home = tmp_path / "airflow"
    engine = Engine(
        "airflow",
        {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "true",
        },
    )
    made = engine.call("airflow", "db", "migrate")
    assert made.returncode == 0, made.stderr
    return engine


def retrain(airflow, pipeline, **params):
    """Run the retraining once; return the states of its tasks, its own, and all that was printed."""
    given = json.dumps({"config": str(pipeline.config), **params})
    ended = airflow.call("airflow", "dags", "test", "are_you_a_cat_retraining", "--conf", given)
    listed = airflow.call("airflow", "dags", "list-runs", "are_you_a_cat_retraining", "-o", "json")
    run = json.loads(listed.stdout[listed.stdout.index("[{") :])[0]
    tasks = airflow.call(
        "airflow", "tasks", "states-for-dag-run", "are_you_a_cat_retraining", run["run_id"], "-o", "json"
    )
    rows = json.loads(tasks.stdout[tasks.stdout.index("[{") :])
    return {row["task_id"]: row["state"] for row in rows}, run["state"], ended.stdout + ended.stderr


def test_the_dags_import_without_errors_and_without_work(airflow, pipeline):
    errors = airflow.call("airflow", "dags", "list-import-errors")
    assert "No data found" in errors.stdout, errors.stdout
    dags = airflow.call("airflow", "dags", "list", "-o", "json")
    found = {row["dag_id"] for row in json.loads(dags.stdout[dags.stdout.index("[{") :])}
    assert found == {"are_you_a_cat_retraining", "are_you_a_cat_watch"}
    assert pipeline.ran == []


def test_a_retraining_passes_and_the_next_one_is_not_due(airflow, pipeline):
    states, state, said = retrain(airflow, pipeline)
    assert state == "success", said
    assert set(states.values()) == {"success"}
    assert pipeline.ran == ["pull", "check", "run", "export", "publish"]
    assert "Nothing was trained here yet." in said
    states, state, said = retrain(airflow, pipeline)
    assert state == "success", said
    assert {name for name, each in states.items() if each == "skipped"} == {
        "check",
        "train",
        "export",
        "publish",
    }
    assert pipeline.ran == []


def test_a_refused_gate_fails_the_run_with_its_table_and_is_not_tried_again(airflow, pipeline):
    pipeline.told(export=1)
    states, state, said = retrain(airflow, pipeline, only_if_needed=False)
    assert state == "failed"
    assert states["export"] == "failed"
    assert states["publish"] == "upstream_failed"
    assert "test.recall  at least 0.9  0.5000  REFUSED" in said
    assert pipeline.ran == ["pull", "check", "run", "export"]
