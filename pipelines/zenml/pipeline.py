# type: ignore - ZenML has an environment of its own, and a checker takes this folder for it
"""The retraining as a ZenML pipeline: `python -m pipelines.zenml.pipeline --config FILE`.

Steps exchange verdicts as JSON; the commands of the stages run in CAT_PYTHON. A step is cached as long as
its key (photos, options, code) and the verdict of the step before it stay the same. The figures of the gate
and the model's version are the metadata of a version of the model "are-you-a-cat".

Exit code 0 when all steps passed or were cached, 1 when one failed or refused.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from zenml import Model, log_metadata, pipeline, step
from zenml.config.cache_policy import CachePolicy
from zenml.enums import ExecutionMode

from pipelines import engines
from pipelines.settings import CONFIG, PipelineError
from pipelines.stages import EXPORT, NAMES

MODEL = "are-you-a-cat"
# By value: an upstream step that ran anew with the same verdict changes nothing.
BY_VALUE = CachePolicy(include_artifact_ids=False)


@step(cache_policy=BY_VALUE)
def stage(
    name: str, config: str, key: str, before: dict[str, Any] | None = None
) -> Annotated[dict[str, Any], "verdict"]:
    """Run a stage; what it decides by are `key` and the verdict `before` it.

    Raises:
        StageRefusedError: checks or gate refused.
        StageFailedError: the stage failed.
    """
    del key, before  # ZenML's cache goes by them
    try:
        verdict = engines.run_stage(name, config)
    except engines.StageRefusedError as error:
        log_metadata({"gate": "refused", **error.metrics}, infer_model=True)
        raise
    if name == EXPORT:
        log_metadata({"gate": "passed", **verdict["values"], **verdict["metrics"]}, infer_model=True)
    log_metadata({"result": verdict["result"], **verdict["metrics"]})
    return verdict


# Fail fast: the run's error is then the step's own, with the gate's table, not only the step's name.
@pipeline(name="are_you_a_cat_retraining", model=Model(name=MODEL), execution_mode=ExecutionMode.FAIL_FAST)
def retraining(config: str, keys: dict[str, str], names: list[str]) -> None:
    """Run stages one after the other; those whose inputs lie elsewhere have no key and are never cached."""
    before = None
    for name in names:
        cached = stage.with_options(enable_cache=bool(keys[name]))
        before = cached(name=name, config=config, key=keys[name], before=before, id=name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.zenml.pipeline", description="Retrain by ZenML."
    )
    parser.add_argument("--config", type=Path, default=CONFIG, help="TOML file of settings")
    parser.add_argument("--until", choices=engines.RETRAINING, default=engines.RETRAINING[-1])
    parser.add_argument("--if-needed", action="store_true", help="only if a trigger makes a retraining due")
    options = parser.parse_args(arguments)
    config = str(options.config.absolute())
    try:
        plan = engines.plan(config)
    except PipelineError as error:
        print(error, file=sys.stderr)
        return 1
    if options.if_needed and not plan["needed"]:
        print(f"No retraining is due. {' '.join(plan['reasons'])}")
        return 0
    keys = {each["stage"]: each["key"] for each in plan["stages"]}
    names = NAMES[: NAMES.index(options.until) + 1]
    try:
        retraining(config=config, keys=keys, names=list(names))
    except PipelineError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
