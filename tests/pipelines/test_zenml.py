"""The adapter to ZenML in its own environment: a run, a cached one, a refused one, and what ZenML shows."""

import json

import pytest

from tests.pipelines.conftest import Engine

pytestmark = pytest.mark.engines
SHOWN = """
import json
from zenml.client import Client
client = Client()
def listed(found):
    return sorted(found, key=lambda each: each.created)
runs = [(run.status.value, {name: step.status.value for name, step in run.steps.items()})
        for run in listed(client.list_pipeline_runs())]
versions = [each.run_metadata for each in listed(client.list_model_versions("are-you-a-cat"))]
verdicts = [each.load() for each in client.list_artifact_versions(artifact="verdict")]
print("SHOWN" + json.dumps({"runs": runs, "versions": versions, "verdicts": verdicts}))
"""


@pytest.fixture
def zenml(tmp_path):
    return Engine(
        "zenml",
        {
            "ZENML_CONFIG_PATH": str(tmp_path / "zenml"),
            "ZENML_LOCAL_STORES_PATH": str(tmp_path / "stores"),
            "ZENML_LOGGING_COLORS_DISABLED": "true",
            "ZENML_ENABLE_RICH_TRACEBACK": "false",
        },
    )


def test_a_run_a_cached_one_and_a_refusal(pipeline, zenml, tmp_path):
    command = ("python", "-m", "pipelines.zenml.pipeline", "--config", pipeline.config)
    first = zenml.call(*command)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "check says so" in first.stdout + first.stderr
    assert pipeline.ran == ["pull", "check", "run", "export", "publish"]

    again = zenml.call(*command)
    assert again.returncode == 0, again.stderr
    assert "All steps of the pipeline run were cached" in again.stdout + again.stderr
    assert pipeline.ran == []

    pipeline.write("photos/cat/9", "new")
    pipeline.told(export=1)
    refused = zenml.call(*command)
    assert refused.returncode == 1
    assert pipeline.ran == ["check", "run", "export"]
    assert "export refused: rule" in refused.stderr.splitlines()[-2]
    assert "test.recall  at least 0.9  0.5000  REFUSED" in refused.stderr.splitlines()[-1]

    (tmp_path / "shown.py").write_text(SHOWN)
    shown = zenml.call("python", tmp_path / "shown.py")
    assert shown.returncode == 0, shown.stderr
    content = json.loads(shown.stdout.partition("SHOWN")[2])
    assert [status for status, _ in content["runs"]] == ["completed", "completed", "failed"]
    assert set(content["runs"][1][1].values()) == {"cached"}
    assert content["runs"][2][1]["pull"] == "cached"
    assert content["runs"][2][1]["export"] == "failed"
    figures = content["versions"][0]
    assert figures["gate"] == "passed"
    assert figures["test.recall"] == 0.95
    assert figures["version"].startswith("made-run-")
    assert content["versions"][-1]["gate"] == "refused"
    assert content["versions"][-1]["test.recall"] == 0.5
    assert {each["stage"] for each in content["verdicts"]} == {"pull", "check", "train", "export", "publish"}


def test_without_an_interpreter_it_says_what_is_missing(pipeline, zenml, monkeypatch):
    monkeypatch.delenv("CAT_PYTHON")
    ended = zenml.call("python", "-m", "pipelines.zenml.pipeline", "--config", pipeline.config)
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines()[-1].startswith("CAT_PYTHON must name the interpreter")
