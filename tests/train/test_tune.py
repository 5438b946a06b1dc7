"""The search goes on where it was stopped, keeps to its budget, and its winner can be trained."""

import json
import shutil

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from tests import generated_photos
from train import __main__ as train_line
from train import pipeline, tune
from train.config import QUICK, DataOptions, Paths, TrainConfig, TrainError, TrainOptions, read_config
from train.tracking import Tracker

FIXED = {"side": 32, "epochs": 1, "views": 64, "batch": 32, "augmentation": 0.25}
BASE = TrainConfig(backbone="tiny", **FIXED)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    generated_photos.write(folder / "photos", 20)
    generated_photos.write(folder / "people", 5, seed=3)
    return folder


@pytest.fixture
def search(photos, tmp_path, monkeypatch):
    """Search in a folder of its own: `search(trials=2)`."""
    monkeypatch.setattr(tune.stress, "SLICES", {"jpeg-25": tune.stress.SLICES["jpeg-25"]})
    paths = Paths(tracking_uri=f"sqlite:///{photos / 'mlflow.db'}", cache=photos / "cache")

    def searched(
        trials, hours=1.0, people="people", backbones=("tiny",), override_checks=False, fixed=tuple(FIXED)
    ):
        people = photos / people if people else None
        options = TrainOptions(
            DataOptions(photos / "photos", policy, people=people),
            out=tmp_path / "runs",
            command="python -m train tune",
            override_checks=override_checks,
        )
        return tune.search(
            options,
            BASE,
            fixed=fixed,
            backbones=backbones,
            budget=tune.Budget(trials, hours),
            paths=paths,
        )

    policy = tmp_path / "policy.toml"
    policy.write_text("[label]\ntolerated = 1\n")  # of pictures that no network knows
    monkeypatch.chdir(tmp_path)
    return searched


@pytest.fixture
def learned(monkeypatch):
    """The configurations that were trained, in order; the first `fails` of them raise what is put there."""
    configs, raises = [], []
    learn = pipeline.learn

    def noted(current, init, tracker):
        configs.append(current.config)
        if raises:
            raise raises.pop(0)
        return learn(current, init, tracker)

    monkeypatch.setattr(pipeline, "learn", noted)
    return configs, raises


@pytest.mark.slow
def test_a_killed_trial_is_repeated_and_finished_ones_are_not(search, learned, photos):
    configs, raises = learned
    first = search(trials=1)
    assert configs == [BASE]
    raises.append(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        search(trials=3)
    best = search(trials=3)
    assert best == first
    assert len(configs) == 4
    assert configs[1] == configs[2]
    assert len({str(config) for config in configs}) == 3
    search(trials=3)
    assert len(configs) == 4
    assert not list(best.parent.glob("**/state"))  # the optimizer's, large
    told = json.loads(best.read_text())
    assert [each["score"] for each in told["trials"]] == sorted(
        (each["score"] for each in told["trials"]), reverse=True
    )
    assert len(told["trials"]) == 3
    for each in told["trials"]:
        assert each["score"] == (each["stressed"] + each["people"]) / 2

    client = mlflow.MlflowClient(f"sqlite:///{photos / 'mlflow.db'}")
    trials = [client.get_run(each["mlflow_run"]) for each in told["trials"]]
    (parent,) = {trial.data.tags["mlflow.parentRunId"] for trial in trials}
    assert {run.info.status for run in (client.get_run(parent), *trials)} == {"FINISHED"}
    assert trials[0].data.metrics["score"] == told["trials"][0]["score"]
    assert [item.path for item in client.list_artifacts(parent) if item.path == "best.json"]


@pytest.mark.slow
def test_the_winner_is_a_configuration_that_run_takes_and_options_beside_it_win(search, photos, monkeypatch):
    best = search(trials=2, people=None)
    told = json.loads(best.read_text())
    winner = TrainConfig(**read_config(best))
    assert winner.learning_rate == told["trials"][0]["values"]["learning_rate"]
    assert told["trials"][0]["people"] is None
    taken = []
    monkeypatch.setattr(pipeline, "run", lambda _, config, __: taken.append(config) or 1 / 0)
    for extra in ([], ["--epochs", "7"]):
        with pytest.raises(ZeroDivisionError):
            train_line.main(["run", "--photos", str(photos / "photos"), "--config", str(best), *extra])
    assert taken[0] == winner
    assert taken[1].epochs == 7
    assert taken[1].learning_rate == winner.learning_rate


def test_a_search_may_start_from_a_recipe_and_searches_what_no_option_fixes(photos, tmp_path, monkeypatch):
    recipe = tmp_path / "recipe.json"
    values = {"backbone": "tiny", "side": 96, "dropout": 0.0, "map_weight": 0.25}
    recipe.write_text(json.dumps({"config": values}))
    taken = []
    monkeypatch.setattr(tune, "search", lambda _, base, **told: taken.append((base, told)) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_line.main(["tune", "--photos", str(photos), "--config", str(recipe), "--side", "32"])
    ((base, told),) = taken
    assert base == TrainConfig(**values | {"side": 32})
    assert told["fixed"] == ("side",)
    assert told["backbones"] == ["tiny"]


def test_a_quick_run_is_the_same_recipe_but_smaller(photos, monkeypatch):
    taken = []
    monkeypatch.setattr(pipeline, "run", lambda _, config, __: taken.append(config) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_line.main(["run", "--photos", str(photos), "--quick", "--learning-rate", "0.001"])
    assert taken == [TrainConfig(**QUICK, learning_rate=0.001)]


def test_no_trial_begins_once_the_hours_are_used_up(search, learned):
    search(trials=9, hours=1e-9)
    assert len(learned[0]) == 1


@pytest.mark.slow
def test_a_trial_that_breaks_is_left_out_and_the_next_one_goes_on(search, learned, capsys):
    learned[1].append(ValueError("no memory"))
    told = json.loads(search(trials=2).read_text())
    assert len(told["trials"]) == 1
    assert "no memory" in capsys.readouterr().err


@pytest.mark.slow
def test_a_trial_that_begins_while_the_store_is_away_is_trained_and_told_later(
    search, learned, photos, monkeypatch
):
    begun = []
    put = Tracker._put_start

    def put_start(tracker, name, *more):
        begun.append(name)
        if len(begun) == 2:  # the first is the search's own
            raise MlflowException("no answer")
        put(tracker, name, *more)

    monkeypatch.setattr(Tracker, "_put_start", put_start)
    told = json.loads(search(trials=1).read_text())
    assert len(learned[0]) == len(told["trials"]) == 1
    assert begun[1:] == [told["trials"][0]["run"]] * 2
    trial = mlflow.MlflowClient(f"sqlite:///{photos / 'mlflow.db'}").get_run(told["trials"][0]["mlflow_run"])
    assert trial.info.status == "FINISHED"
    assert trial.data.metrics["score"] == told["trials"][0]["score"]
    assert "mlflow.parentRunId" in trial.data.tags


@pytest.mark.slow
def test_damaged_notes_are_named_and_without_them_no_finished_trial_is_repeated(search, learned):
    folder = search(trials=2).parent
    notes = folder / tune.STATE / "oracle.json"
    notes.write_text(notes.read_text()[:100])
    with pytest.raises(TrainError, match="keras-tuner"):
        search(trials=2)
    shutil.rmtree(notes.parent)
    search(trials=2)
    assert len(learned[0]) == 2


def test_the_table_has_a_column_for_each_value_that_is_searched():
    result = tune.Result(0.5, 0.5, None, 9.0, "tiny-32-00", "id", {"side": 32, "dropout": 0.1})
    shown = tune.table([result])
    assert list(shown.columns[:3]) == ["side", "dropout", "score"]
    assert "values" not in shown
    assert shown["dropout"][0] == 0.1


def test_what_no_configuration_can_mend_ends_the_search_in_words(search):
    with pytest.raises(TrainError, match="no backbone"):
        search(trials=2, backbones=("enormous",))


@pytest.mark.slow
def test_photos_that_do_not_pass_the_checks_stop_the_search_before_its_first_trial(search, learned, photos):
    first = sorted((photos / "photos" / "cat").glob("*"))[0]
    leak = photos / "people" / "cat" / "leak.png"
    leak.write_bytes(first.read_bytes())
    try:
        with pytest.raises(TrainError, match=rf"two folders.*photos/cat/{first.name}.*--override-checks"):
            search(trials=1)
        assert not learned[0]
        trial = search(trials=1, override_checks=True).parent.glob("trials/*/checks.json")
    finally:
        leak.unlink()
    assert [json.loads(path.read_text())["passed"] for path in trial] == [False]


def test_a_file_that_is_no_configuration_is_named(tmp_path):
    path = tmp_path / "best.json"
    for content in ("{", "[]", '{"config": {"colour": "red"}}'):
        path.write_text(content)
        with pytest.raises(TrainError, match=r"best\.json"):
            read_config(path)
