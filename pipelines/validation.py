"""The checks of photos as Great Expectations' validation results: one expectation a kind of issue."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from train.checks.policy import POLICY, WORDS, read_policy

LISTED = 20
"""Photos of an issue that a result names, as Great Expectations' own summaries do."""


def results(report: Mapping[str, Any], policy: Path | None) -> dict[str, Any]:
    """Return a report of the checks as the results of an expectation suite.

    Args:
        report: content of checks.json.
        policy: the policy that it was made by; None for the shipped one.

    Returns:
        "success", "statistics", "results" and "meta" as an ExpectationSuiteValidationResult has them in JSON.
        An issue that is tolerated is a success with unexpected photos.

    Raises:
        TrainError: the policy cannot be read.
        KeyError, TypeError, AttributeError, ValueError: the report is damaged.
    """
    tolerated = read_policy(policy or POLICY).rules
    problems = {each["kind"]: each for each in report["problems"]}
    count = sum(report["photos"].values())
    each_result = [_result(kind, problems.get(kind), tolerated[kind]["tolerated"], count) for kind in WORDS]
    good = sum(each["success"] for each in each_result)
    return {
        "success": bool(report["passed"]),
        "statistics": {
            "evaluated_expectations": len(each_result),
            "successful_expectations": good,
            "unsuccessful_expectations": len(each_result) - good,
            "success_percent": 100 * good / len(each_result),
        },
        "results": each_result,
        "meta": {"photos": dict(report["photos"]), "notes": list(report["notes"])},
    }


def _result(kind: str, problem: Mapping[str, Any] | None, tolerated: float, count: int) -> dict[str, Any]:
    found = problem["findings"] if problem else []
    return {
        "success": problem is None or problem["severity"] != "error",
        "expectation_config": {
            "type": f"expect_no_{kind}",
            "kwargs": {"tolerated": tolerated},
            "meta": {"notes": WORDS[kind]},
        },
        "result": {
            "element_count": count,
            "unexpected_count": len(found),
            "unexpected_percent": 100 * len(found) / count if count else None,
            "partial_unexpected_list": [str(each["path"]) for each in found[:LISTED]],
        },
        "exception_info": {"raised_exception": False, "exception_message": None, "exception_traceback": None},
        "meta": {},
    }
