"""Each rule of the gate alone refuses, and so does whatever is missing."""

import pytest

from export import gate
from train.evaluation.stress import SLICES

GROUPS = ("dog", "misc", "selfie", "animal")
GOOD = {
    "test.recall": 0.96,
    "test.calibration_error": 0.01,
    "test.false_cat": dict.fromkeys(GROUPS, 0.01),
    "people.recall": 0.95,
    "people.hard_quick": 0.5,
    "people.hard_thorough": 0.6,
    "people.calibration_error": 0.02,
    "people.false_cat": dict.fromkeys(GROUPS, 0.01),
    "wild.recall": 0.99,
    "wild.calibration_error": 0.01,
    "wild.false_cat": dict.fromkeys(GROUPS, 0.01),
    **{f"stress.recall.{name}": 0.96 for name in SLICES},
    **{f"stress.false_cat.{name}": 0.01 for name in SLICES},
    "agreement.same_verdict": 0.995,
    "agreement.mean_difference": 0.004,
    "baseline.size": 0.98,
    "baseline.first_view": 1.5,
    "baseline.time": 2.4,
    "baseline.memory": 1.2,
    "champion.p_worse": 0.4,
}


@pytest.fixture(scope="module")
def rules():
    return gate.read_rules(gate.RULES)


def refused(measured, rules):
    results = gate.apply(measured, rules)
    names = [result.rule for result in results if not result.passed]
    assert gate.passed(results) == (not names)
    lines = gate.table(results).splitlines()
    assert [line.split()[0] for line in lines if line.endswith("REFUSED")] == names
    return names


def test_a_good_model_passes(rules):
    assert refused(GOOD, rules) == []


def test_there_is_a_figure_for_every_rule(rules):
    assert set(GOOD) == {*gate.KNOWN, *gate.GROUPED}
    assert set(gate.KNOWN) <= set(rules)


@pytest.mark.parametrize("rule", sorted(gate.KNOWN))
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


@pytest.mark.parametrize("table", gate.GROUPED)
@pytest.mark.parametrize("group", ["dog", "misc", "selfie"])
@pytest.mark.parametrize("found", [0.11, None])
def test_each_negative_group_alone_refuses(rules, table, group, found):
    measured = GOOD | {table: GOOD[table] | {group: found}}
    assert refused(measured, rules) == [f"{table}.{group}"]


@pytest.mark.parametrize("table", gate.GROUPED)
def test_a_group_that_the_rules_name_and_nobody_measured_refuses(rules, table):
    without = {group: rate for group, rate in GOOD[table].items() if group != "dog"}
    assert refused(GOOD | {table: without}, rules) == [f"{table}.dog"]
    named = {rule for rule in rules if rule.startswith(f"{table}.") and not rule.endswith(gate.OTHER)}
    assert set(refused({name: v for name, v in GOOD.items() if name != table}, rules)) == named


@pytest.mark.parametrize("table", gate.GROUPED)
def test_a_new_group_has_the_limit_of_all_others(rules, table):
    limit = rules[f"{table}.{gate.OTHER}"]
    for rate, names in ((limit, []), (limit + 0.001, [f"{table}.ferret"])):
        assert refused(GOOD | {table: GOOD[table] | {"ferret": rate}}, rules) == names


def test_no_results_are_no_pass():
    assert not gate.passed([])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[test]\nrecall = 0.9", "must hold the rules"),
        ("[test", "cannot be read"),
        (gate.RULES.read_text() + "kindness = 3", r"look at champion\.kindness"),
        (gate.RULES.read_text().replace("blur = 0.82", ""), r"look at stress\.recall\.blur"),
        (gate.RULES.read_text().replace("other = 0.045", ""), r"look at test\.false_cat\.other"),
        (gate.RULES.read_text().replace("recall = 0.955", 'recall = "high"'), r"test\.recall must be a num"),
        (gate.RULES.read_text().replace("recall = 0.955", "recall = true"), r"test\.recall must be a num"),
        (gate.RULES.read_text().replace("recall = 0.955", "recall = nan"), r"test\.recall must be a num"),
    ],
)
def test_rules_that_are_incomplete_unknown_or_no_numbers_are_refused(tmp_path, text, says):
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(gate.GateError, match=says):
        gate.read_rules(path)


def test_what_was_lowered_is_looser_than_it_was():
    limits = gate.read_rules(gate.RULES)
    for rule, (stricter, why) in gate.LOWERED.items():
        assert limits[rule] > stricter, rule
        assert why
