"""`python -m pipelines run`: what runs, what is skipped, what a failure stops, and what the report says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.runner import locked

ROOT = Path(__file__).parents[2]
ALL = ["pull", "check", "run", "export", "publish", "drift", "report"]


def test_all_stages_run_once_and_are_skipped_while_nothing_changes(pipeline, capfd):
    assert pipeline.run() == 0
    assert pipeline.ran == ALL
    assert set(pipeline.results.values()) == {"passed"}
    capfd.readouterr()
    assert pipeline.run() == 0
    assert pipeline.ran == []
    assert set(pipeline.results.values()) == {"skipped"}
    assert "train: skipped. nothing has changed since" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("changed", "run"),
    [
        ("photos/cat/3", ["check", "run", "export", "publish", "drift", "report"]),
        ("outbox/records/b.json", ["pull", "drift", "report"]),
        ("set/reviewed.csv", ["run", "export", "publish", "drift", "report"]),
        ("traffic/counts", ["drift", "report"]),
        ("bundle/model.tflite", ["export"]),
        ("pipeline/checks/checks.json", ["check"]),
    ],
)
def test_what_changed_runs_anew_with_all_that_follows_from_it(pipeline, changed, run):
    pipeline.run()
    assert pipeline.ran == ALL
    pipeline.write(changed, "changed")
    assert pipeline.run() == 0
    assert pipeline.ran == run


def test_a_file_that_was_only_touched_changes_nothing(pipeline):
    pipeline.run()
    os.utime(pipeline.folder / "photos/cat/1", (1, 1))
    assert pipeline.ran == ALL
    pipeline.run()
    assert pipeline.ran == []


def test_changed_options_run_anew(pipeline):
    pipeline.run()
    assert pipeline.ran == ALL
    text = pipeline.config.read_text()
    pipeline.config.write_text(text + '[train]\noptions = ["--quick"]\n')
    pipeline.run("--until", "train")
    assert pipeline.ran == ["run"]


@pytest.mark.parametrize(
    ("table", "ran"),
    [
        ('options = ["--init", "weights.npz"]', ["run"]),
        ('options = ["--init=weights.npz"]', ["run"]),
        ('how = "tune"\ntune_options = ["--init=weights.npz"]', ["tune", "run"]),
        ('how = "refresh"\nrun = "earlier"\noptions = ["--tracking=weights.npz"]', ["refresh"]),
    ],
)
def test_a_changed_file_that_options_name_runs_anew(pipeline, table, ran):
    pipeline.write("weights.npz", "old")
    pipeline.config.write_text(f"{pipeline.config.read_text()}[train]\n{table}\n")
    pipeline.run("--from", "train", "--until", "train")
    assert pipeline.ran == ran
    pipeline.run("--from", "train", "--until", "train")
    assert pipeline.ran == []
    pipeline.write("weights.npz", "new")
    pipeline.run("--from", "train", "--until", "train")
    assert pipeline.ran == ran


@pytest.mark.parametrize(
    "options", ['"--backbone", "tiny"', '"--backbone=tiny"', '"--quick", "--backbone=tiny"']
)
def test_photos_are_checked_by_the_backbone_that_learns_from_them(pipeline, options):
    pipeline.config.write_text(f"{pipeline.config.read_text()}[train]\noptions = [{options}]\n")
    pipeline.run("--from", "check", "--until", "check")
    assert "--backbone tiny" in pipeline.report["stages"][0]["commands"][0]


@pytest.mark.parametrize(
    ("told", "code", "results"),
    [
        (
            {"pull": 1},
            1,
            {
                "pull": "failed",
                "check": "passed",
                "train": "blocked",
                "export": "blocked",
                "publish": "blocked",
            },
        ),
        ({"check": 1}, 3, {"check": "refused", "train": "blocked", "export": "blocked", "watch": "passed"}),
        ({"check": "broken"}, 1, {"check": "failed", "train": "blocked"}),
        ({"run": 1}, 1, {"train": "failed", "export": "blocked", "publish": "blocked", "watch": "passed"}),
        ({"export": 1}, 3, {"train": "passed", "export": "refused", "publish": "blocked", "watch": "passed"}),
        ({"export": "broken"}, 1, {"export": "failed", "publish": "blocked"}),
        ({"publish": 1}, 1, {"export": "passed", "publish": "failed", "watch": "passed"}),
        ({"drift": 1}, 0, {"publish": "passed", "watch": "alarm"}),
        ({"drift": "few"}, 0, {"watch": "passed"}),
        ({"drift": "broken"}, 1, {"watch": "failed"}),
        ({"report": 1}, 1, {"watch": "failed"}),
    ],
)
def test_a_failure_stops_what_hangs_on_it_and_nothing_else(pipeline, told, code, results):
    pipeline.told(**told)
    assert pipeline.run() == code
    assert pipeline.results | results == pipeline.results
    assert pipeline.report["result"] == {0: "passed", 1: "failed", 3: "refused"}[code]
    pipeline.told()
    assert pipeline.run() == 0
    assert {"failed", "refused", "blocked"} & set(pipeline.results.values()) == set()


def test_a_refusal_of_the_gate_says_its_table_and_its_figures(pipeline):
    pipeline.told(export=1)
    assert pipeline.run() == 3
    export = pipeline.report["stages"][3]
    assert "test.recall  at least 0.9  0.5000  REFUSED" in export["why"]
    assert export["metrics"] == {"test.recall": 0.5}
    assert (pipeline.folder / "bundle/model.tflite").read_text() == "old"


def test_a_gate_that_refused_before_is_not_taken_for_one_that_refuses_now(pipeline):
    pipeline.told(export=1)
    pipeline.run()
    pipeline.told(export="broken")
    assert pipeline.run() == 1
    assert pipeline.report["stages"][3]["why"] == "export says so"


def test_part_of_the_stages_goes_by_what_earlier_ones_left(pipeline):
    assert pipeline.run("--until", "train") == 0
    assert pipeline.ran == ["pull", "check", "run"]
    assert pipeline.run("--from", "export", "--until", "publish") == 0
    assert pipeline.ran == ["export", "publish"]
    assert [each["stage"] for each in pipeline.report["earlier"]] == ["pull", "check", "train"]


def test_an_earlier_refusal_holds_for_later_stages(pipeline):
    pipeline.told(check=1)
    assert pipeline.run("--until", "check") == 3
    assert pipeline.run("--from", "train", "--until", "train") == 1
    assert pipeline.results == {"train": "blocked"}
    assert pipeline.ran == ["pull", "check"]


def test_export_without_a_run_says_what_makes_one(pipeline):
    assert pipeline.run("--from", "export", "--until", "export") == 1
    assert pipeline.report["stages"][0]["why"] == "No training run is known yet: the stage train makes one."


def test_a_search_comes_before_the_training_that_it_configures(pipeline):
    pipeline.config.write_text(
        pipeline.config.read_text() + '[train]\nhow = "tune"\ntune_options = ["--trials", "2"]\n'
    )
    pipeline.run("--from", "check", "--until", "export")
    train = pipeline.report["stages"][1]
    assert pipeline.ran == ["check", "tune", "run", "export"]
    assert "--trials 2" in train["commands"][0]
    assert "--config runs/tune-" in train["commands"][1]
    assert pipeline.report["values"]["exported"].startswith("runs/run-")
    pipeline.run("--from", "check", "--until", "export")
    assert pipeline.ran == []


def test_a_refresh_starts_from_the_run_that_ships_and_looks_at_no_photos(pipeline):
    config = pipeline.config.read_text()
    pipeline.run()
    shipped = pipeline.report["values"]["exported"]
    pipeline.config.write_text(config + '[train]\nhow = "refresh"\n')
    assert pipeline.run() == 0
    assert pipeline.results["check"] == "off"
    assert f"--run {shipped} --feedback set" in pipeline.report["stages"][2]["commands"][0]
    assert pipeline.report["values"]["exported"] != shipped


REFRESHES = ["refresh", "export", "publish", "drift", "report"]


@pytest.fixture
def refreshing(pipeline):
    """A pipeline that has exported a run, and refreshes from now on."""
    pipeline.run()
    pipeline.config.write_text(pipeline.config.read_text() + '[train]\nhow = "refresh"\n')
    pipeline.ran  # noqa: B018 - forgets the calls
    return pipeline


def started_from(pipeline):
    words = pipeline.report["stages"][2]["commands"][0].split()
    return words[words.index("--run") + 1]


def test_the_same_answers_are_learned_once(refreshing):
    assert refreshing.run() == 0
    assert refreshing.ran == REFRESHES
    for _ in range(2):
        assert refreshing.run() == 0
        assert refreshing.ran == []
        assert set(refreshing.results.values()) == {"skipped", "off"}


def test_other_answers_are_learned_by_the_run_that_ships(refreshing):
    refreshing.run()
    refreshed = refreshing.report["values"]["exported"]
    refreshing.write("outbox/records/b.json", "another answer")
    refreshing.ran  # noqa: B018 - forgets the calls
    assert refreshing.run() == 0
    assert refreshing.ran == ["pull", *REFRESHES]
    assert started_from(refreshing) == refreshed
    assert refreshing.report["values"]["exported"] != refreshed
    assert refreshing.run() == 0
    assert refreshing.ran == []


def test_a_refused_refresh_is_not_what_the_next_one_starts_from(refreshing):
    shipped = json.loads((refreshing.folder / "pipeline/state.json").read_text())["values"]["exported"]
    refreshing.told(export=1)
    assert refreshing.run() == 3
    refreshing.told()
    refreshing.write("outbox/records/b.json", "another answer")
    assert refreshing.run() == 0
    assert started_from(refreshing) == shipped


def test_other_options_refresh_with_the_same_answers_from_the_same_run(refreshing):
    refreshing.run()
    first = started_from(refreshing)
    refreshing.config.write_text(refreshing.config.read_text() + 'options = ["--tracking", "x"]\n')
    refreshing.ran  # noqa: B018 - forgets the calls
    assert refreshing.run() == 0
    assert refreshing.ran == REFRESHES
    assert started_from(refreshing) == first


def test_a_refresh_starts_from_a_new_run_once_that_ships(refreshing):
    refreshing.run()
    refresh = refreshing.config.read_text()
    refreshing.config.write_text(refresh.replace('"refresh"', '"run"'))
    refreshing.write("photos/cat/3", "new")
    assert refreshing.run() == 0
    shipped = refreshing.report["values"]["exported"]
    refreshing.config.write_text(refresh)
    assert refreshing.run() == 0
    assert started_from(refreshing) == shipped


def test_a_refresh_without_a_run_says_what_it_needs(pipeline):
    pipeline.config.write_text(pipeline.config.read_text() + '[train]\nhow = "refresh"\n')
    assert pipeline.run() == 1
    assert "[train] needs run, its folder" in pipeline.report["stages"][2]["why"]


def test_reviewed_feedback_is_learned_from(pipeline):
    pipeline.write("outbox/reviewed.csv", "id,group,note\na,cat,\n")
    pipeline.run()
    assert "--feedback set" in pipeline.report["stages"][2]["commands"][0]


def test_what_is_not_set_up_is_off(pipeline):
    pipeline.config.write_text('[data]\nphotos = "photos"\n[export]\nbundle = "bundle"\n')
    assert pipeline.run() == 0
    assert pipeline.ran == ["check", "run", "export"]
    assert {name for name, result in pipeline.results.items() if result == "off"} == {
        "pull",
        "publish",
        "watch",
    }


def test_feedback_that_lies_in_a_store_is_pulled_each_time(pipeline):
    pipeline.config.write_text(pipeline.config.read_text().replace('source = "outbox"\n', ""))
    for _ in range(2):
        assert pipeline.run("--until", "pull") == 0
        assert pipeline.ran == ["pull"]


def test_a_plan_runs_nothing_and_says_why(pipeline, capfd):
    assert pipeline.run("--plan") == 0
    first = capfd.readouterr().out
    assert "check: run (it has not run here yet)" in first
    assert "export: decided once the stages before it have run" in first
    assert "$ python -m train check --photos photos --people people --out pipeline/checks" in first
    assert "reads photos, people" in first
    assert "exit codes 0: the bundle was replaced; 1: the gate refused" in first
    assert not (pipeline.folder / "pipeline").exists()
    pipeline.run()
    pipeline.write("photos/cat/3", "new")
    pipeline.ran  # noqa: B018 - forgets the calls
    capfd.readouterr()
    assert pipeline.run("--plan", "--json") == 0
    plans = {each["stage"]: each for each in json.loads(capfd.readouterr().out)["stages"]}
    assert plans["pull"]["will"] == "skip"
    assert (plans["check"]["will"], plans["check"]["why"]) == (
        "run",
        "its inputs, options or code have changed",
    )
    assert pipeline.ran == []


def test_the_keys_of_a_plan_go_by_what_no_stage_makes(pipeline, capfd):
    def keys():
        pipeline.run("--plan", "--json")
        return {each["stage"]: each["key"] for each in json.loads(capfd.readouterr().out)["stages"]}

    before = keys()
    pipeline.run()
    capfd.readouterr()
    after = keys()
    assert {name for name in after if after[name] != before[name]} <= {"train", "watch"}
    pipeline.write("photos/cat/3", "new")
    assert {name for name, key in keys().items() if key != after[name]} == {"check", "train"}


def test_json_goes_to_standard_output_and_all_else_elsewhere(pipeline, capfd):
    assert pipeline.run("--json") == 0
    said = capfd.readouterr()
    assert json.loads(said.out) == pipeline.report
    assert "check says so" in said.err


def test_the_page_of_the_report_shows_stages_and_checks(pipeline):
    pipeline.told(check=1)
    pipeline.run()
    page = (pipeline.folder / "pipeline" / "report.html").read_text("utf-8")
    assert "<td class=refused>refused" in page
    assert "<td>expect_no_leak<td class=failed>failed<td>0<td>1<td>photos/cat/1" in page
    assert 'href="logs/check.log"' in page
    assert "check says so" in (pipeline.folder / "pipeline/logs/check.log").read_text()


def test_two_runs_at_once_are_one_too_many(pipeline, capfd):
    with locked(pipeline.folder / "pipeline"):
        assert pipeline.run() == 75
        assert f"by process {os.getpid()}" in capfd.readouterr().err
        assert pipeline.run("--plan") == 0
    assert pipeline.ran == []
    assert pipeline.run() == 0


def test_a_run_may_wait_for_another_one(pipeline):
    command = [sys.executable, "-m", "pipelines", "run", "--config", str(pipeline.config), "--wait", "5"]
    with locked(pipeline.folder / "pipeline"):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        line = process.stdout.readline()
        assert f"by process {os.getpid()}" in line
        assert "Waiting for its end, 5 minutes at most." in line
        assert pipeline.ran == []
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert pipeline.ran == ALL


def test_a_run_waits_no_longer_than_it_was_told_to(pipeline, capfd):
    with locked(pipeline.folder / "pipeline"):
        assert pipeline.run("--wait", "0.001") == 75
    assert "only one can be" in capfd.readouterr().err
    assert pipeline.ran == []


@pytest.mark.parametrize("minutes", ["-1", "nan", "soon"])
def test_a_wait_that_means_nothing_gets_a_sentence(pipeline, capfd, minutes):
    with pytest.raises(SystemExit, match="2"):
        pipeline.run("--wait", minutes)
    assert "--wait" in capfd.readouterr().err.splitlines()[-1]


def test_sigterm_stops_the_command_too_and_the_next_run_goes_on(pipeline):
    pipeline.told(run="wait")
    command = [sys.executable, "-m", "pipelines", "run", "--config", str(pipeline.config)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        log = pipeline.folder / "pipeline/logs/train.log"
        deadline = time.monotonic() + 60
        while not (log.exists() and "waiting" in log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    assert (pipeline.folder / "interrupted").exists()
    assert pipeline.results["train"] == "stopped"
    assert "export" not in pipeline.results
    pipeline.told()
    pipeline.ran  # noqa: B018 - forgets the calls
    assert pipeline.run() == 0
    assert pipeline.ran == ["run", "export", "publish", "drift", "report"]


def test_sigterm_means_afterwards_what_it_meant_before(pipeline):
    def other(*_):
        """Does nothing."""

    before = signal.signal(signal.SIGTERM, other)
    try:
        assert pipeline.run() == 0
        assert signal.getsignal(signal.SIGTERM) is other
        with locked(pipeline.folder / "pipeline"):
            assert pipeline.run() == 75
        assert signal.getsignal(signal.SIGTERM) is other
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_run_that_waits_for_another_one_can_be_stopped(pipeline):
    command = [sys.executable, "-m", "pipelines", "run", "--config", str(pipeline.config), "--wait", "5"]
    with locked(pipeline.folder / "pipeline"):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 130
    assert pipeline.ran == []


def test_an_interpreter_that_is_not_there_is_named(pipeline, monkeypatch):
    monkeypatch.setenv("CAT_PYTHON", "/nowhere/python")
    assert pipeline.run("--until", "pull") == 1
    assert (
        pipeline.report["stages"][0]["why"] == "/nowhere/python cannot be started: No such file or directory"
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "{",
        lambda _: "[]",
        lambda _: '"nothing"',
        lambda memory: json.dumps({"values": memory["values"]}),
        lambda memory: json.dumps(memory | {"unknown": 1}),
        lambda memory: json.dumps(memory | {"trained": "yesterday"}),
        lambda memory: json.dumps(memory | {"trained": "2026-11-01T10:00:00"}),
        lambda memory: json.dumps(memory | {"trained": 3}),
        lambda memory: json.dumps(memory | {"values": {"run": None}}),
        lambda memory: json.dumps(memory | {"values": ["run"]}),
        lambda memory: json.dumps(memory | {"answers": {"a": 1}}),
        lambda memory: json.dumps(memory | {"pending": [["train"]]}),
        lambda memory: json.dumps(memory | {"stages": []}),
        *(
            lambda memory, wrong=wrong: json.dumps(
                memory | {"stages": memory["stages"] | {"watch": memory["stages"]["watch"] | wrong}}
            )
            for wrong in (
                {"ended": ""},
                {"ended": "never"},
                {"why": 3},
                {"seconds": "long"},
                {"metrics": {"a": "much"}},
                {"other": 1},
            )
        ),
    ],
)
def test_a_damaged_memory_is_told(pipeline, capfd, damage):
    pipeline.config.write_text(pipeline.config.read_text() + "[triggers]\ndays = 7\n")
    pipeline.run()
    memory = json.loads((pipeline.folder / "pipeline/state.json").read_text())
    pipeline.write("pipeline/state.json", damage(memory))
    capfd.readouterr()
    assert pipeline.run("--if-needed") == 1
    error = capfd.readouterr().err
    assert "Without it all stages run anew" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "damaged",
    [
        '{"broken',
        "{}",
        "[]",
        '{"passed": true, "problems": 3, "photos": {}, "notes": []}',
        '{"passed": true, "problems": [{"kind": "leak"}], "photos": {}, "notes": []}',
        '{"passed": true, "problems": [], "photos": {"photos": "many"}, "notes": []}',
        '{"passed": true, "problems": [], "photos": [], "notes": []}',
    ],
)
def test_damaged_checks_are_told_by_the_report_and_made_anew(pipeline, damaged):
    pipeline.run()
    assert pipeline.report["data_checks_error"] == ""
    pipeline.write("pipeline/checks/checks.json", damaged)
    assert pipeline.run("--from", "watch") == 0
    assert pipeline.report["data_checks"] is None
    said = pipeline.report["data_checks_error"]
    assert "checks.json is damaged. The stage check writes it anew." in said
    assert said in (pipeline.folder / "pipeline/report.html").read_text("utf-8")
    pipeline.run()
    assert pipeline.report["data_checks"]["success"] is True


def test_a_damaged_policy_is_told_by_the_report(pipeline):
    pipeline.config.write_text(pipeline.config.read_text().replace("[data]", '[data]\npolicy = "p.toml"'))
    pipeline.write("p.toml", "")
    pipeline.run()
    pipeline.write("p.toml", "[leak")
    assert pipeline.run("--from", "watch") == 0
    assert "cannot be read" in pipeline.report["data_checks_error"]


@pytest.mark.parametrize(
    ("stage", "told"), [("check", "check"), ("train", "run"), ("export", "export"), ("watch", "drift")]
)
def test_a_command_that_writes_something_else_has_failed(pipeline, stage, told):
    pipeline.told(**{told: "else"})
    assert pipeline.run() == 1
    found = next(each for each in pipeline.report["stages"] if each["stage"] == stage)
    assert found["result"] == "failed"
    pipeline.told()
    assert pipeline.run() == 0


def test_a_damaged_note_of_who_is_at_work_is_told_as_it_is(pipeline, capfd):
    with locked(pipeline.folder / "pipeline"):
        (pipeline.folder / "pipeline/running.txt").write_bytes(b"\xff\xfe")
        assert pipeline.run() == 75
        (pipeline.folder / "pipeline/running.txt").unlink()
        assert pipeline.run() == 75
    assert "begun just now" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[data", "cannot be read"),
        ("[nothing]\n", "there is no table [nothing]; there are pipeline, data"),
        ('[data]\nphoto = "x"\n', "[data] has no 'photo'; it has photos"),
        ("[data]\nphotos = 3\n", "photos of [data] is 3; it must be a path"),
        ("[export]\n", "[data] needs photos"),
        ('[data]\nphotos = "p"\n[train]\nhow = "guess"\n', "it is one of run, refresh, tune"),
        ('[train]\nhow = "refresh"\n', "[feedback] needs set"),
        ('[data]\nphotos = "p"\n[train]\noptions = "--quick"\n', "it must be a list of texts"),
        ('[data]\nphotos = "p"\n[triggers]\ndays = 0\n', "it must be a number above 0"),
        ('[data]\nphotos = "p"\n[triggers]\nanswers = 1.5\n', "it must be a whole number above 0"),
        ('[data]\nphotos = "p"\n[triggers]\ndrift = 1\n', "it must be true or false"),
    ],
)
def test_settings_that_mean_nothing_get_a_sentence(pipeline, capfd, text, said):
    pipeline.config.write_text(text)
    assert pipeline.run() == 2
    error = capfd.readouterr().err
    assert said in error
    assert "pipeline.toml" in error
    assert "Traceback" not in error


def test_a_missing_file_of_settings_and_a_wrong_order_get_a_sentence(pipeline, capfd):
    assert pipeline.run("--from", "export", "--until", "check") == 2
    assert "export comes after check" in capfd.readouterr().err
    pipeline.config.unlink()
    assert pipeline.run() == 2
    assert "--config FILE" in capfd.readouterr().err
