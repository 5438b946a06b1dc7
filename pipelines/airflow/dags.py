"""Two DAGs for Airflow: the weekly retraining and the daily drift watch. This folder is the DAGs' folder.

The commands of the stages run in CAT_PYTHON. A refused gate fails its task at once, with its table as the
message; whatever else fails is tried again.
"""

# pyright: reportMissingImports=false
# The engine is installed in an environment of its own.

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

# Airflow puts only the DAGs' folder on the path; the list of stages lies two folders above.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from pipelines import engines
from pipelines.stages import CHECK, EXPORT, PUBLISH, PULL, TRAIN, WATCH

BUNDLE, FEEDBACK = Asset("are-you-a-cat-bundle"), Asset("are-you-a-cat-feedback")
RETRIES = {
    "retries": 2,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=30),
}
PARAMS = {
    "config": Param(
        "pipeline.toml", type="string", description="TOML file of settings; relative to the checkout"
    ),
    "only_if_needed": Param(True, type="boolean", description="Train only if a trigger makes it due"),
}
SINCE = datetime(2026, 1, 1)


def _param(name: str) -> Any:  # noqa: ANN401 - what a person gave
    return get_current_context()["params"][name]


def _run(stage: str) -> dict[str, Any]:
    """Run a stage; return its verdict.

    Raises:
        AirflowFailException: checks or gate refused: trying again would not help.
        StageFailedError: it failed.
    """
    try:
        return engines.run_stage(stage, _param("config"))
    except engines.StageRefusedError as error:
        raise AirflowFailException(str(error)) from error


def _stage(name: str, outlets: tuple[Asset, ...] = ()) -> Any:  # noqa: ANN401 - a task
    return task(task_id=name, outlets=list(outlets))(_run)(name)


@dag(
    schedule="@weekly",
    start_date=SINCE,
    catchup=False,
    max_active_runs=1,
    default_args=RETRIES,
    params=PARAMS,
)
def are_you_a_cat_retraining() -> None:
    """Pull feedback; if a retraining is due, check, train, export and publish."""

    @task.short_circuit
    def if_needed() -> bool:
        """Say whether a retraining is due; the log has the reasons."""
        plan = engines.plan(_param("config"))
        print(*plan["reasons"], sep="\n")
        return bool(plan["needed"]) or not _param("only_if_needed")

    stages = [_stage(CHECK), _stage(TRAIN), _stage(EXPORT, (BUNDLE,)), _stage(PUBLISH)]
    before = _stage(PULL, (FEEDBACK,)) >> if_needed()
    for each in stages:
        before = before >> each


@dag(
    schedule="0 12 * * *",  # not when the retraining begins, for whose stages it would wait
    start_date=SINCE,
    catchup=False,
    max_active_runs=1,
    default_args=RETRIES,
    params=PARAMS,
)
def are_you_a_cat_watch() -> None:
    """Look for drift in what the page judged, and report on feedback."""
    _stage(WATCH)


are_you_a_cat_retraining()
are_you_a_cat_watch()
