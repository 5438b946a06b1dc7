"""The whole line on generated pictures, in small: photos, training, gate, bundle, verdict."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image

import cat_model
from cat_model.photo import resize
from export import __main__ as export_line
from tests import generated_photos
from train import __main__ as train_line
from train.run import Run

RULES = """
[test]
recall = 0.6
precision = 0.6
[agreement]
same_verdict = 0.95
mean_difference = 0.03
[size]
megabytes = 1.0
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder of its own to train in: MLflow's store, the cache and the runs go there."""
    folder = tmp_path_factory.mktemp("line")
    (folder / "rules.toml").write_text(RULES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("CAT_WEIGHTS", raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setenv("CAT_CACHE", str(folder / "cache"))
        yield folder


def train(photos: Path, wild: Path, *more: str) -> Run:
    command = f"run --photos {photos} --wild {wild} --quick --backbone tiny --side 64".split()
    assert train_line.main([*command, *more]) == 0
    (run,) = [
        Run.read(path.parent) for path in Path("runs").glob("*/run.json") if str(photos) in path.read_text()
    ]
    return run


def export(run: Run, bundle: Path, rules: Path) -> int:
    return export_line.main(["--run", str(run.folder), "--bundle", str(bundle), "--gate", str(rules)])


@pytest.fixture(scope="module")
def wild(workplace):
    return generated_photos.write(workplace / "wild", 15, seed=9)


@pytest.fixture(scope="module")
def good(workplace, wild):
    return train(generated_photos.write(workplace / "photos", 150), wild)


@pytest.fixture(scope="module")
def bundle(workplace, good):
    assert export(good, workplace / "bundle", workplace / "rules.toml") == 0
    return workplace / "bundle"


def test_the_exported_bundle_tells_generated_cats_from_the_rest(bundle):
    predictor = cat_model.load(bundle)
    generator = np.random.default_rng(77)
    shown = [group for group in generated_photos.GROUPS for _ in range(40)]
    verdicts = predictor.predict_many(generated_photos.draw(group, generator) for group in shown)
    right = [verdict.is_cat == (group == "cat") for verdict, group in zip(verdicts, shown, strict=True)]
    assert np.mean(right) > 0.85


def test_the_shares_of_the_cells_sum_to_the_logit(bundle):
    predictor = cat_model.load(bundle)
    generator = np.random.default_rng(5)
    pictures = [
        resize(Image.blend(*(generated_photos.draw(g, generator) for g in ("cat", "dog")), 0.5), 64)
        for _ in range(100)
    ]
    outputs = predictor.outputs(np.stack(pictures))
    clear = (outputs.probability > 0.05) & (outputs.probability < 0.95)
    assert clear.sum() > 10
    logit = np.log(outputs.probability[clear] / (1 - outputs.probability[clear]))
    # Each cell is rounded to int8 by itself, so the sum is right on the whole, not to the last digit.
    summed = outputs.share.sum(axis=(1, 2))[clear]
    assert np.corrcoef(summed, logit)[0, 1] > 0.97
    assert abs(np.mean(summed - logit)) < 0.5


def test_the_manifest_says_where_the_model_comes_from(bundle, good):
    manifest = json.loads((bundle / "manifest.json").read_text())
    training = manifest["training"]
    assert training["data_fingerprint"] == good.data
    assert training["mlflow_run"] == good.mlflow_run
    assert training["command"].startswith("python -m train run --photos photos --wild wild --quick")
    assert len(training["code_commit"]) >= 7
    assert training["photos"] == {"train": 330, "validation": 60, "test": 210, "wild": 60}
    assert manifest["gate"]["passed"] is True
    assert manifest["model"]["sha256"] == cat_model.bundle.sha256((bundle / "model.tflite").read_bytes())
    recall = manifest["metrics"]["test"]["recall"]
    assert recall["low"] < recall["value"] == recall["hits"] / recall["total"]
    assert recall["total"] in (52, 53)
    assert "/" not in training["weights"]
    assert manifest["version"] in (bundle / "MODEL_CARD.md").read_text()


def test_mlflow_holds_parameters_epochs_plots_model_and_verdict(bundle, good):
    client = mlflow.MlflowClient(good.tracking_uri)
    run = client.get_run(good.mlflow_run)
    assert run.info.status == "FINISHED"
    assert run.data.params["backbone"] == "tiny"
    assert run.data.tags["data_fingerprint"] == good.data
    assert run.data.tags["gate"] == "passed"
    assert [point.step for point in client.get_metric_history(good.mlflow_run, "val_loss")] == [0, 1]
    names = {item.path for item in client.list_artifacts(good.mlflow_run)}
    assert {"environment.txt", "manifest.csv", "plots", "gate.txt", "export"} <= names
    plots = {item.path for item in client.list_artifacts(good.mlflow_run, "plots")}
    assert {f"plots/test-{kind}.png" for kind in ("precision-recall", "calibration", "confusion")} <= plots
    mlflow.set_tracking_uri(good.tracking_uri)
    (logged,) = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id='{run.info.run_id}'"
    )
    model = mlflow.keras.load_model(logged.model_uri)
    assert set(model.output) == {"probability", "embedding", "share"}


def test_the_same_command_again_trains_nothing(good, wild, capsys):
    again = train(good.photos, wild)
    assert again == good
    assert "finished already" in capsys.readouterr().out


def test_a_model_of_shuffled_labels_is_refused_and_the_bundle_is_untouched(workplace, wild, bundle, capsys):
    photos = generated_photos.write(workplace / "shuffled", 150, shuffled=True)
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    run = train(photos, wild, "--override-checks")
    assert export(run, bundle, workplace / "rules.toml") == 1
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    said = capsys.readouterr().out
    assert "REFUSED" in said
    assert "test.recall" in said
    verdict = mlflow.MlflowClient(run.tracking_uri).get_run(run.mlflow_run).data.tags["gate"]
    assert verdict == "refused"


def test_export_needs_a_finished_run_and_says_so(workplace, good, capsys):
    assert export_line.main(["--run", str(workplace / "nowhere"), "--bundle", str(workplace / "none")]) == 1
    assert "no training run" in capsys.readouterr().err
    assert not (workplace / "none").exists()


def test_what_the_checks_find_stops_the_run_until_it_is_decided_about_or_overridden(workplace, capsys):
    photos = generated_photos.write(workplace / "flawed", 20)
    broken = b"\xff\xd8\xff\xe0 no more"
    (photos / "cat" / "broken.jpg").write_bytes(broken)
    command = f"run --photos {photos} --quick --backbone tiny --side 32 --epochs 1".split()
    assert train_line.main(command) == 1
    said = capsys.readouterr().err
    assert "cat/broken.jpg" in said
    assert "--override-checks" in said
    decisions = workplace / "decisions.csv"
    decisions.write_text(f"sha256,decision,group,note\n{cat_model.bundle.sha256(broken)},drop,,\n")
    assert train_line.main([*command, "--decisions", str(decisions)]) == 0
    assert "cat/broken.jpg" not in capsys.readouterr().out
    assert train_line.main([*command, "--override-checks"]) == 0
    assert "cat/broken.jpg" in capsys.readouterr().out
