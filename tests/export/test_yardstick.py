"""Size, time and memory beside a yardstick: what is measured is measured, and nonsense is refused."""

from dataclasses import replace
from functools import partial

import pytest

from cat_model.bundle import MODEL, Bundle
from cat_model.settings import SHIPPED_BUNDLE
from export import yardstick
from export.gate import GateError
from export.yardstick import Budget


@pytest.fixture(scope="module")
def model():
    return Bundle.read().model


def test_ratios_are_of_the_verdict_to_the_bare_invoke():
    budget = Budget("y.tflite", 2.0, 6.0, 5.0, 9.0, 4.0, 3.0, 6.0)
    assert budget.for_gate() == {"yardstick.size": 0.5, "yardstick.time": 2.0, "yardstick.memory": 1.5}
    # A tenth of the photos gets a second look, which takes ten times as long.
    twice = replace(budget, tiles_ms=60.0, looked_twice=0.1)
    assert twice.for_gate()["yardstick.time"] == pytest.approx(4.0)


def test_a_model_costs_something(model, monkeypatch):
    monkeypatch.setattr(yardstick, "LOADS", 1)
    monkeypatch.setattr(yardstick, "times", partial(yardstick.times, rounds=1))
    budget = yardstick.measure(model, model, "itself")
    assert budget.megabytes == budget.yardstick_megabytes == len(model) / 1e6
    assert min(budget.verdict_ms, budget.invoke_ms, budget.yardstick_invoke_ms) > 0
    # Whatever else it needs, it holds its own weights.
    assert min(budget.memory_mb, budget.yardstick_memory_mb) > 0.5 * budget.megabytes


def test_every_kind_is_timed_equally_often(model):
    taken = yardstick.times(model, model, rounds=2)
    assert {name: len(values) for name, values in taken.items()} == {
        "yardstick": 20, "invoke": 20, "verdict": 20, "tiles": 20
    }  # fmt: skip


def test_a_yardstick_that_is_none_is_refused_in_words(tmp_path):
    assert yardstick.read(SHIPPED_BUNDLE / MODEL)
    (tmp_path / "text.tflite").write_text("not a model")
    for name in ("text.tflite", "none.tflite"):
        with pytest.raises(GateError, match=f"{name} must be a .tflite file"):
            yardstick.read(tmp_path / name)
