"""What the adapters to engines share: a stage by its command, its verdict as JSON, refusals and failures."""

import io
import subprocess
import sys
from contextlib import ExitStack

import pytest

from pipelines import engines
from pipelines.engines import StageFailedError, StageRefusedError
from pipelines.runner import locked
from pipelines.settings import ROOT


def test_nothing_but_pythons_own_library_is_needed():
    program = "import pipelines.engines, pipelines.stages"
    subprocess.run([sys.executable, "-S", "-c", program], cwd=ROOT, check=True, timeout=60)


def test_a_verdict_is_the_same_whether_the_stage_ran_or_was_skipped(pipeline, capsys):
    first = engines.run_stage("check", str(pipeline.config))
    assert first["result"] == "passed"
    assert first["metrics"] == {"photos.photos": 2.0, "photos.people": 1.0}
    assert "check says so" in capsys.readouterr().out
    assert engines.run_stage("check", str(pipeline.config)) == first
    assert pipeline.ran == ["check"]


def test_a_stage_hands_on_what_it_made(pipeline):
    run = engines.run_stage("train", str(pipeline.config))["values"]["run"]
    exported = engines.run_stage("export", str(pipeline.config))
    assert exported["values"]["exported"] == run
    assert exported["metrics"] == {"test.recall": 0.95}


def test_an_alarm_is_a_verdict_and_what_is_not_set_up_is_off(pipeline):
    pipeline.told(drift=1)
    assert engines.run_stage("watch", str(pipeline.config))["result"] == "alarm"
    pipeline.config.write_text('[data]\nphotos = "photos"\n')
    assert engines.run_stage("watch", str(pipeline.config))["result"] == "off"


def test_a_refusal_has_the_table_and_the_figures(pipeline):
    engines.run_stage("train", str(pipeline.config))
    pipeline.told(export=1)
    with pytest.raises(StageRefusedError, match=r"export refused: rule.*\n.*REFUSED$") as caught:
        engines.run_stage("export", str(pipeline.config))
    assert caught.value.metrics == {"test.recall": 0.5}
    with pytest.raises(StageFailedError, match="publish blocked: it needs export, which was refused"):
        engines.run_stage("publish", str(pipeline.config))


def test_a_failure_has_the_last_line(pipeline):
    pipeline.told(run=1)
    with pytest.raises(StageFailedError, match="train failed: run says so"):
        engines.run_stage("train", str(pipeline.config))
    with pytest.raises(StageFailedError, match=r"There is no .*nothing\.toml"):
        engines.run_stage("train", str(pipeline.folder / "nothing.toml"))


def test_a_stage_waits_for_another_run(pipeline, monkeypatch):
    with ExitStack() as other:
        other.enter_context(locked(pipeline.folder / "pipeline"))

        class Told(io.StringIO):
            def write(self, text):
                if "Waiting for its end" in text:
                    assert pipeline.ran == []
                    other.close()
                return super().write(text)

        monkeypatch.setattr(sys, "stdout", Told())
        assert engines.run_stage("check", str(pipeline.config))["result"] == "passed"
    assert pipeline.ran == ["check"]


def test_another_run_that_does_not_end_is_told(pipeline, monkeypatch):
    monkeypatch.setattr(engines, "WAIT_MINUTES", 0.001)
    with (
        locked(pipeline.folder / "pipeline"),
        pytest.raises(StageFailedError, match="Another run is at work in"),
    ):
        engines.run_stage("check", str(pipeline.config))


def test_a_plan_has_keys_and_reasons(pipeline):
    plan = engines.plan(str(pipeline.config))
    assert plan["needed"] is True
    assert plan["reasons"] == ["Nothing was trained here yet."]
    assert [each["stage"] for each in plan["stages"]] == [*engines.RETRAINING, "watch"]
    assert all(len(each["key"]) == 64 for each in plan["stages"])
    assert pipeline.ran == []


@pytest.mark.parametrize(
    ("python", "said"),
    [(None, "CAT_PYTHON must name"), ("/nowhere/python", "cannot be started: No such file")],
)
def test_an_interpreter_that_is_not_there_is_told(pipeline, monkeypatch, python, said):
    monkeypatch.delenv("CAT_PYTHON") if python is None else monkeypatch.setenv("CAT_PYTHON", python)
    with pytest.raises(StageFailedError, match=said):
        engines.plan(str(pipeline.config))
