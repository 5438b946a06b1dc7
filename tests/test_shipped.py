"""The model that ships: its own files, and its recorded figures on photos it has never seen."""

import pytest

from benchmarks.accuracy import measure, photos
from cat_model.bundle import Bundle
from cat_model.settings import SHIPPED_BUNDLE
from export import card, gate


@pytest.fixture(scope="module")
def shipped():
    return Bundle.read(SHIPPED_BUNDLE)


def test_it_is_small_and_passed_the_gate_of_today_without_force(shipped):
    assert len(shipped.model) <= 5_000_000
    recorded, limits = shipped.manifest["gate"], gate.read_rules(gate.RULES)
    assert recorded["passed"] is True
    assert recorded["forced"] is None
    found = {each["rule"]: each["found"] for each in recorded["findings"]}
    for each in recorded["findings"]:
        rule = each["rule"]
        limit = limits.get(rule, limits.get(f"{rule.rpartition('.')[0]}.{gate.OTHER}"))
        assert each["limit"] == limit, rule
        assert each["passed"] is gate.hold(rule, each["direction"], limit, each["found"]).passed is True, rule
    assert {rule for rule in limits if not rule.endswith(f".{gate.OTHER}")} <= set(found)
    assert found["test.recall"] == shipped.manifest["metrics"]["test"]["recall_of"]["cat"]["low"]


def test_its_manifest_tells_how_to_make_it_again(shipped):
    training = shipped.manifest["training"]
    assert training["command"].startswith("python -m train run ")
    assert not training["code_commit"].endswith("-dirty")
    for name in ("data_fingerprint", "mlflow_run", "weights"):
        assert training[name]
    assert isinstance(training["config"]["seed"], int)


def test_its_card_says_what_its_manifest_says(shipped):
    assert (SHIPPED_BUNDLE / card.CARD).read_text("utf-8") == card.write(shipped.manifest)
    assert (SHIPPED_BUNDLE / card.PLOT).read_bytes().count(b"<svg") == 1


def test_it_holds_its_recorded_figures_on_wild_photos(shipped, predictor, shared_part):
    """What the intervals allow: the manifest does not say which photos its figures are of."""
    wild = shared_part("photos/wild")
    records = photos(shipped, wild)[1][::4]
    found, recorded = measure(predictor, wild, records), shipped.manifest["metrics"]["wild"]
    assert found.recall.high >= recorded["recall"]["low"]
    for group, rate in found.false_cat.items():
        if group in recorded["false_cat"]:
            assert rate.low <= recorded["false_cat"][group]["high"], group
