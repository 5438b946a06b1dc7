"""Size, time and memory beside a baseline: what is measured is measured, and nonsense is refused."""

from dataclasses import replace
from functools import partial

import pytest

from cat_model.bundle import MODEL, Bundle
from cat_model.settings import SHIPPED_BUNDLE
from export import baseline
from export.baseline import Budget
from export.gate import GateError


@pytest.fixture(scope="module")
def model():
    return Bundle.read().model


def test_ratios_are_of_the_answer_to_the_bare_invoke():
    budget = Budget("b.tflite", 2.0, 6.0, 5.0, 9.0, 4.0, 3.0, 6.0)
    assert budget.for_gate() == {
        "baseline.size": 0.5,
        "baseline.first_view": 2.0,
        "baseline.time": 2.0,
        "baseline.memory": 1.5,
    }
    zooming = replace(budget, passes=1.5)
    assert (zooming.for_gate()["baseline.first_view"], zooming.for_gate()["baseline.time"]) == (2.0, 3.0)


def test_a_model_costs_something(model, monkeypatch):
    monkeypatch.setattr(baseline, "LOADS", 1)
    monkeypatch.setattr(baseline, "times", partial(baseline.times, rounds=1))
    budget = baseline.measure(model, model, "itself", passes=1.4)
    assert budget.megabytes == budget.baseline_megabytes == len(model) / 1e6
    assert budget.passes == 1.4
    assert min(budget.verdict_ms, budget.invoke_ms, budget.baseline_invoke_ms) > 0
    # Whatever else it needs, it holds its own weights.
    assert min(budget.memory_mb, budget.baseline_memory_mb) > 0.5 * budget.megabytes


def test_every_kind_is_timed_equally_often(model):
    taken = baseline.times(model, model, rounds=2)
    assert {name: len(values) for name, values in taken.items()} == {
        "baseline": 20, "invoke": 20, "verdict": 20
    }  # fmt: skip


def test_a_baseline_that_is_none_is_refused_in_words(tmp_path):
    assert baseline.read(SHIPPED_BUNDLE / MODEL)
    (tmp_path / "text.tflite").write_text("not a model")
    for name in ("text.tflite", "none.tflite"):
        with pytest.raises(GateError, match=f"{name} must be a .tflite file"):
            baseline.read(tmp_path / name)
