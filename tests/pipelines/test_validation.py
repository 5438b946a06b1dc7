"""The checks of photos in Great Expectations' form."""

import pytest

from pipelines import validation
from train.checks.policy import WORDS
from train.config import TrainError


def report(*problems):
    findings = [{"path": f"photos/cat/{number}"} for number in range(30)]
    given = [
        {"kind": kind, "severity": severity, "findings": findings[:count]}
        for kind, severity, count in problems
    ]
    passed = "error" not in [severity for _, severity, _ in problems]
    return {"passed": passed, "problems": given, "photos": {"photos": 90, "wild": 10}, "notes": ["A note."]}


def test_each_kind_of_issue_is_an_expectation():
    suite = validation.results(report(), None)
    assert suite["success"] is True
    assert suite["statistics"] == {
        "evaluated_expectations": len(WORDS),
        "successful_expectations": len(WORDS),
        "unsuccessful_expectations": 0,
        "success_percent": 100,
    }
    assert [each["expectation_config"]["type"] for each in suite["results"]] == [
        f"expect_no_{kind}" for kind in WORDS
    ]
    assert suite["meta"] == {"photos": {"photos": 90, "wild": 10}, "notes": ["A note."]}


def test_errors_fail_and_warnings_are_successes_with_unexpected_photos():
    suite = validation.results(report(("leak", "error", 25), ("blurry", "warning", 1)), None)
    by_type = {each["expectation_config"]["type"]: each for each in suite["results"]}
    leak, blurry = by_type["expect_no_leak"], by_type["expect_no_blurry"]
    assert suite["success"] is leak["success"] is False
    assert blurry["success"] is True
    assert suite["statistics"]["unsuccessful_expectations"] == 1
    assert leak["result"]["unexpected_count"] == 25
    assert leak["result"]["unexpected_percent"] == 25
    assert leak["result"]["element_count"] == 100
    assert leak["result"]["partial_unexpected_list"] == [f"photos/cat/{number}" for number in range(20)]
    assert blurry["result"]["partial_unexpected_list"] == ["photos/cat/0"]


def test_what_is_tolerated_is_the_policys(tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text("[leak]\ntolerated = 0.25\n")
    by_type = {
        each["expectation_config"]["type"]: each for each in validation.results(report(), policy)["results"]
    }
    assert by_type["expect_no_leak"]["expectation_config"]["kwargs"] == {"tolerated": 0.25}
    assert by_type["expect_no_label"]["expectation_config"]["kwargs"] == {"tolerated": 0.08}
    with pytest.raises(TrainError, match="cannot be read"):
        validation.results(report(), tmp_path / "nothing.toml")
