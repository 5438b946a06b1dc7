"""Each rule of the gate alone refuses, and so does whatever is missing."""

import pytest

from export import gate

GOOD = {
    "test.recall": 0.96,
    "test.precision": 0.97,
    "agreement.same_verdict": 0.995,
    "agreement.mean_difference": 0.004,
    "size.megabytes": 4.0,
}
BAD = {
    "test.recall": 0.949,
    "test.precision": 0.949,
    "agreement.same_verdict": 0.979,
    "agreement.mean_difference": 0.021,
    "size.megabytes": 5.01,
}


@pytest.fixture(scope="module")
def rules():
    return gate.read_rules(gate.RULES)


def test_a_good_model_passes(rules):
    assert gate.passed(gate.judge(GOOD, rules))


@pytest.mark.parametrize("rule", sorted(gate.KNOWN))
@pytest.mark.parametrize("found", ["bad", None, float("nan"), "missing", "0.99"])
def test_each_rule_alone_refuses(rules, rule, found):
    measured = GOOD | {rule: BAD[rule] if found == "bad" else found}
    if found == "missing":
        del measured[rule]
    findings = gate.judge(measured, rules)
    assert [finding.rule for finding in findings if not finding.passed] == [rule]
    assert not gate.passed(findings)
    line = next(line for line in gate.table(findings).splitlines() if line.startswith(rule))
    assert line.endswith("REFUSED")


def test_no_findings_are_no_pass():
    assert not gate.passed([])


def test_every_floor_is_095_unless_somebody_says_otherwise(rules):
    assert rules["test.recall"] == rules["test.precision"] == 0.95


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[test]\nrecall = 0.9", "exactly the rules"),
        ("[test", "cannot be read"),
        ("kindness = 3", "exactly the rules"),
    ],
)
def test_rules_that_are_incomplete_or_unknown_are_refused(tmp_path, text, says):
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(gate.GateError, match=says):
        gate.read_rules(path)


def test_a_rule_must_be_a_number(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(gate.RULES.read_text().replace("recall = 0.95", 'recall = "high"'))
    with pytest.raises(gate.GateError, match=r"test\.recall must be a number"):
        gate.read_rules(path)
