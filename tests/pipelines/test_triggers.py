"""`--if-needed`: a retraining is due by schedule, by reviewed answers, or by a drift alarm."""

import json
from datetime import UTC, datetime, timedelta

import pytest

TRIGGERS = "[triggers]\ndays = 7\nanswers = 2\n"
NEW = ["check", "run", "export", "publish"]


@pytest.fixture
def trained(pipeline):
    """A pipeline that was trained just now."""
    pipeline.config.write_text(pipeline.config.read_text() + TRIGGERS)
    pipeline.write("outbox/records/b.json", "b")
    assert pipeline.run("--if-needed") == 0
    assert pipeline.report["reasons"] == ["Nothing was trained here yet."]
    assert pipeline.ran == ["pull", *NEW, "drift", "report"]
    return pipeline


def review(pipeline, *lines):
    pipeline.write("set/reviewed.csv", "\n".join(["id,group,note", *lines]) + "\n")


def test_nothing_is_due_just_after_a_training(trained, capfd):
    assert trained.run("--if-needed") == 0
    assert trained.ran == []
    assert trained.results["train"] == "not needed"
    assert trained.results["pull"] == trained.results["watch"] == "skipped"
    assert trained.report["needed"] is False
    assert trained.report["reasons"] == [
        "The last training was 0.0 days ago; one is due after 7.",
        "0 answers were reviewed since the last training; 2 make one due.",
        "No drift alarm since the last training.",
    ]
    assert "No retraining is due. The last training was" in capfd.readouterr().out


def test_a_changed_photo_alone_makes_nothing_due(trained):
    trained.write("photos/cat/9", "new")
    trained.run("--if-needed")
    assert trained.ran == []
    trained.run()
    assert trained.ran == [*NEW, "drift", "report"]


@pytest.mark.parametrize("content", [b"id,group\na,k\xf6ter\n", b"id,group\na,\n"])
def test_a_damaged_review_gets_a_sentence(trained, capfd, content):
    (trained.folder / "set/reviewed.csv").write_bytes(content)
    assert trained.run("--if-needed") == 1
    error = capfd.readouterr().err
    assert "reviewed.csv" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(("days", "due"), [(6.9, False), (7.1, True)])
def test_by_schedule(trained, days, due):
    path = trained.folder / "pipeline/state.json"
    state = json.loads(path.read_text())
    state["trained"] = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    path.write_text(json.dumps(state))
    trained.write("photos/cat/9", "new")
    trained.run("--if-needed")
    assert trained.report["needed"] is due
    assert trained.ran == ([*NEW, "drift", "report"] if due else [])
    trained.run("--if-needed")
    assert trained.report["needed"] is False


@pytest.mark.parametrize(
    ("lines", "due"),
    [
        (["a,cat,"], False),
        (["a,cat,", "b,dog,"], True),
        (["a,cat,", "b,drop,"], False),
        (["a,cat,", "deleted,dog,"], False),
    ],
)
def test_by_reviewed_answers_that_are_new_kept_and_still_there(trained, lines, due):
    review(trained, *lines)
    trained.run("--if-needed", "--until", "train")
    assert trained.report["needed"] is due
    trained.run("--if-needed", "--until", "train")
    assert trained.report["needed"] is False


def test_by_a_drift_alarm_once(trained):
    trained.told(drift=1)
    trained.write("traffic/counts", "others")
    trained.run("--if-needed")
    assert trained.results["watch"] == "alarm"
    assert trained.report["needed"] is False
    trained.ran  # noqa: B018 - forgets the calls
    later(trained)
    trained.run("--if-needed")
    assert trained.report["reasons"][0] == "Drift alarm: drift: distance."
    assert trained.results["train"] == "skipped"
    later(trained)
    trained.run("--if-needed")
    assert trained.report["needed"] is False


def later(pipeline):
    """Put a second between what was and what comes: the state knows no shorter times."""
    path = pipeline.folder / "pipeline/state.json"
    state = json.loads(path.read_text())
    state["trained"] = (datetime.fromisoformat(state["trained"]) - timedelta(seconds=1)).isoformat()
    state["stages"]["watch"]["ended"] = (
        datetime.fromisoformat(state["stages"]["watch"]["ended"]) - timedelta(seconds=0.5)
    ).isoformat()
    path.write_text(json.dumps(state))


def test_alarms_can_be_left_out(trained):
    trained.config.write_text(trained.config.read_text() + "drift = false\n")
    trained.told(drift=1)
    trained.write("traffic/counts", "others")
    trained.run()
    later(trained)
    trained.run("--if-needed")
    assert trained.report["needed"] is False


@pytest.mark.parametrize("stage", ["run", "export", "publish"])
def test_a_retraining_that_failed_is_due_until_it_gets_to_its_end(trained, stage):
    trained.write("photos/cat/9", "new")
    trained.told(**{stage: "broken" if stage == "export" else 1})
    assert trained.run() == 1
    trained.told()
    trained.ran  # noqa: B018 - forgets the calls
    assert trained.run("--if-needed") == 0
    assert "did not get to its end" in trained.report["reasons"][0]
    assert [each for each in trained.ran if each in NEW] == NEW[NEW.index(stage) :]
    trained.run("--if-needed")
    assert trained.report["needed"] is False


def test_a_refused_retraining_is_over(trained):
    trained.write("photos/cat/9", "new")
    trained.told(export=1)
    assert trained.run() == 3
    trained.run("--if-needed")
    assert trained.report["needed"] is False


def test_a_plan_tells_whether_a_retraining_is_due(trained, capfd):
    review(trained, "a,cat,", "b,cat,")
    capfd.readouterr()
    assert trained.run("--plan", "--if-needed", "--json") == 0
    plan = json.loads(capfd.readouterr().out)
    assert plan["needed"] is True
    assert plan["reasons"][0] == "2 answers were reviewed since the last training; 2 make one due."
    assert trained.run("--plan", "--if-needed") == 0
    assert capfd.readouterr().out.startswith("A retraining is due. 2 answers")


def test_a_review_that_means_nothing_is_named(trained, capfd):
    review(trained, "a,,")
    assert trained.run("--if-needed") == 1
    assert "reviewed.csv, line 2: it needs an id and the name of a group." in capfd.readouterr().err
