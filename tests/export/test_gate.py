"""Each rule of the gate alone refuses, and so does whatever is missing."""

import pytest

from export import gate
from train.stress import SLICES

GROUPS = ("dog", "misc", "selfie")
GOOD = {
    "test.recall": 0.96,
    "test.precision": 0.97,
    "test.false_cat": dict.fromkeys(GROUPS, 0.02),
    "test.calibration_error": 0.01,
    **{f"stress.recall.{name}": 0.93 for name in SLICES},
    **{f"stress.false_cat.{name}": 0.01 for name in SLICES},
    "agreement.same_verdict": 0.995,
    "agreement.mean_difference": 0.004,
    "yardstick.size": 0.98,
    "yardstick.time": 1.4,
    "yardstick.memory": 1.2,
    "champion.p_worse": 0.4,
}


@pytest.fixture(scope="module")
def rules():
    return gate.read_rules(gate.RULES)


def refused(measured, rules):
    findings = gate.judge(measured, rules)
    names = [finding.rule for finding in findings if not finding.passed]
    assert gate.passed(findings) == (not names)
    lines = gate.table(findings).splitlines()
    assert [line.split()[0] for line in lines if line.endswith("REFUSED")] == names
    return names


def test_a_good_model_passes(rules):
    assert refused(GOOD, rules) == []


def test_there_is_a_figure_for_every_rule(rules):
    assert set(GOOD) == set(gate.KNOWN) == set(rules)


@pytest.mark.parametrize("rule", sorted(set(gate.KNOWN) - {"test.false_cat"}))
def test_each_rule_alone_refuses(rules, rule):
    worse = -0.001 if gate.KNOWN[rule] == gate.AT_LEAST else 0.001
    assert refused(GOOD | {rule: rules[rule]}, rules) == []
    assert refused(GOOD | {rule: rules[rule] + worse}, rules) == [rule]


@pytest.mark.parametrize("rule", sorted(gate.KNOWN))
@pytest.mark.parametrize("found", [None, float("nan"), float("inf"), "0.99", True, {}])
def test_what_is_no_number_is_missing_and_refuses(rules, rule, found):
    assert refused(GOOD | {rule: found}, rules) == [rule]
    without = {name: value for name, value in GOOD.items() if name != rule}
    assert refused(without, rules) == [rule]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("found", [0.041, None])
def test_each_negative_group_alone_refuses(rules, group, found):
    measured = GOOD | {"test.false_cat": GOOD["test.false_cat"] | {group: found}}
    assert refused(measured, rules) == [f"test.false_cat.{group}"]


def test_no_findings_are_no_pass():
    assert not gate.passed([])


def test_the_test_splits_floors_are_095_or_more(rules):
    assert min(rules["test.recall"], rules["test.precision"]) >= 0.95


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[test]\nrecall = 0.9", "exactly the rules"),
        ("[test", "cannot be read"),
        (gate.RULES.read_text() + "kindness = 3", r"look at champion\.kindness"),
        (gate.RULES.read_text().replace("blur = 0.88", ""), r"look at stress\.recall\.blur"),
        (gate.RULES.read_text().replace("recall = 0.95", 'recall = "high"'), r"test\.recall must be a num"),
        (gate.RULES.read_text().replace("recall = 0.95", "recall = true"), r"test\.recall must be a num"),
        (gate.RULES.read_text().replace("recall = 0.95", "recall = nan"), r"test\.recall must be a num"),
    ],
)
def test_rules_that_are_incomplete_unknown_or_no_numbers_are_refused(tmp_path, text, says):
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(gate.GateError, match=says):
        gate.read_rules(path)
