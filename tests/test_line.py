"""The whole line on generated pictures, in small: photos, training, gate, bundle, verdict."""

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import log_loss

import cat_model
from cat_model.bundle import MODEL
from cat_model.feedback.outbox import Outbox
from cat_model.feedback.record import NUMBERS, PHOTO, Feedback, new_secret
from cat_model.monitoring import drift
from cat_model.photo import resize
from cat_model.settings import SHIPPED_BUNDLE
from export import __main__ as export_line
from tests import generated_photos
from train import __main__ as train_line
from train.evaluation import predictions
from train.evaluation.plots import KINDS
from train.evaluation.stress import SLICES
from train.models import heads
from train.run import Run

RULES = """
[test]
recall = 0.6
calibration_error = 0.5
[people]
recall = 0.2
hard_quick = 0
hard_thorough = 0
calibration_error = 0.6
[wild]
recall = 0.3
calibration_error = 0.5
[agreement]
same_verdict = 0.95
mean_difference = 0.03
[baseline]
size = 1.0
first_view = 1000
time = 3000
memory = 1000
[champion]
p_worse = 0.05
"""
RULES += "".join(f"[{split}.false_cat]\nother = 0.6\n" for split in ("test", "people", "wild"))
RECIPE = {"augmentation": 0.3, "head_factor": 1.0, "average_views": 2000, "warmup": 0.1}
SMALL = "--config recipe.json --quick --backbone tiny --side 64 --views 1600 --epochs 4 --learning-rate 4e-3"
# A model that learned for seconds is not asked to know pictures under stress.
RULES += "[stress.recall]\n" + "".join(f"{name} = 0\n" for name in SLICES)
RULES += "[stress.false_cat]\n" + "".join(f"{name} = 1\n" for name in SLICES)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder of its own to train in: MLflow's store, the cache and the runs go there."""
    folder = tmp_path_factory.mktemp("line")
    (folder / "rules.toml").write_text(RULES)
    (folder / "recipe.json").write_text(json.dumps({"config": RECIPE}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setenv("CAT_CACHE", str(folder / "cache"))
        yield folder


def train(photos: Path, wild: Path, people: Path, *more: str) -> Run:
    folders = f"--photos {photos} --wild {wild} --people {people}"
    assert train_line.main([*f"run {folders} {SMALL}".split(), *more]) == 0
    (run,) = [
        Run.read(path.parent) for path in Path("runs").glob("*/run.json") if str(photos) in path.read_text()
    ]
    return run


def export(run: Run, bundle: Path, rules: Path) -> int:
    given = {"run": run.folder, "bundle": bundle, "gate": rules, "baseline": SHIPPED_BUNDLE / MODEL}
    return export_line.main([f"--{name}={value}" for name, value in given.items()])


@pytest.fixture(scope="module")
def wild(workplace):
    return generated_photos.write(workplace / "wild", 15, seed=9)


@pytest.fixture(scope="module")
def people(workplace):
    # Of some seeds a picture looks like one of `photos`, by chance; the checks would call it a leak.
    folder = generated_photos.write(workplace / "people", 15, seed=10)
    (folder / "cat_hard").mkdir()
    for path in sorted((folder / "cat").iterdir())[:4]:
        path.rename(folder / "cat_hard" / path.name)
    return folder


@pytest.fixture(scope="module")
def good(workplace, wild, people):
    photos = generated_photos.write(workplace / "photos", 150)
    return train(photos, wild, people)


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
    outputs = predictor.cascade.runtime.run(np.stack(pictures))
    clear = (outputs.probability > 0.05) & (outputs.probability < 0.95)
    assert clear.sum() > 10
    logit = np.log(outputs.probability[clear] / (1 - outputs.probability[clear]))
    # Each cell is rounded to int8 by itself, so the sum is right on the whole, not to the last digit.
    summed = outputs.share.sum(axis=(1, 2))[clear]
    assert np.corrcoef(summed, logit)[0, 1] > 0.97
    assert abs(np.mean(summed - logit)) < 0.5


def test_what_is_served_is_calibrated(bundle, good):
    assert heads.load(good.folder / "model.keras").served.input_shape == (None, 64, 64, 3)
    assert cat_model.load(bundle).bundle.side == 64
    said = predictions.read(good.folder / predictions.ANSWERS)["validation"]
    # What Platt's scaling says of the photos that it was fitted to is right on the whole.
    assert said.probabilities.mean() == pytest.approx(said.cats.mean(), abs=0.003)


def test_the_manifest_says_where_the_model_comes_from(bundle, good):
    manifest = json.loads((bundle / "manifest.json").read_text())
    training = manifest["training"]
    assert training["data_fingerprint"] == good.data
    assert training["mlflow_run"] == good.mlflow_run
    folders = "--photos photos --wild wild --people people"
    assert training["command"].startswith(f"python -m train run {folders} --config")
    assert len(training["code_commit"]) >= 7
    counts = training["photos"]
    assert (counts["people"], counts["wild"]) == (60, 60)
    assert counts["train"] + counts["validation"] + counts["test"] == 600
    assert 30 < counts["test"] < 90
    assert manifest["gate"]["passed"] is True
    assert manifest["model"]["sha256"] == cat_model.bundle.sha256((bundle / "model.tflite").read_bytes())
    recall = manifest["metrics"]["test"]["recall"]
    assert recall["low"] < recall["value"] == recall["hits"] / recall["total"]
    assert recall["total"] == sum(record.is_cat for record in good.manifest("test"))
    assert "/" not in training["weights"]
    assert manifest["version"] in (bundle / "MODEL_CARD.md").read_text()


def test_mlflow_holds_parameters_epochs_plots_model_and_verdict(bundle, good):
    client = mlflow.MlflowClient(good.tracking_uri)
    run = client.get_run(good.mlflow_run)
    assert run.info.status == "FINISHED"
    assert run.data.params["backbone"] == "tiny"
    assert run.data.tags["data_fingerprint"] == good.data
    assert run.data.tags["gate"] == "passed"
    assert [point.step for point in client.get_metric_history(good.mlflow_run, "val_loss")] == [0, 1, 2, 3]
    names = {item.path for item in client.list_artifacts(good.mlflow_run)}
    assert {"environment.txt", "manifest.csv", "plots", "gate.txt", "export"} <= names
    assert {"report.html", "answers.csv"} <= names
    assert {"test.recall.value", "wild.calibration.ece_before"} <= set(run.data.metrics)
    champion = client.get_model_version_by_alias("are-you-a-cat", "champion")
    assert champion.run_id == good.mlflow_run
    assert champion.tags["version"] == cat_model.load(bundle).bundle.version
    assert (champion.tags["gate"], champion.tags["data_fingerprint"]) == ("passed", good.data)
    plots = {item.path for item in client.list_artifacts(good.mlflow_run, "plots")}
    assert {f"plots/test-{kind}.png" for kind in KINDS} <= plots
    mlflow.set_tracking_uri(good.tracking_uri)
    found = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id='{run.info.run_id}'"
    )
    (logged,) = [each for each in found if each.name == "model"]  # another one is the registry's
    logged_model = mlflow.keras.load_model(logged.model_uri)
    assert set(logged_model.output) == {"probability", "embedding", "share", "cat_map"}


def test_the_summary_is_of_the_answers_that_are_kept(good):
    summary = json.loads((good.folder / "summary.json").read_text())
    kept = predictions.read(good.folder / "answers.csv")
    assert set(kept) == {"validation", "test", "people", "wild"}
    assert set(kept) | {"threshold", "unsure", "calibration"} == set(summary)
    low, high = summary["unsure"]
    assert low <= summary["threshold"] <= high
    for split, each in kept.items():
        found = each.probabilities[each.cats] >= summary["threshold"]
        assert summary[split]["recall"]["hits"] == found.sum()
    for split, figures in summary["calibration"].items():
        assert figures["ece_after"] == summary[split]["ece"]
        assert figures["log_loss_after"] == pytest.approx(
            log_loss(kept[split].cats, kept[split].probabilities)
        )


def test_the_same_command_again_trains_nothing(good, wild, people, capsys):
    again = train(good.photos, wild, people)
    assert again == good
    assert "finished already" in capsys.readouterr().out


@pytest.mark.slow
def test_a_model_of_shuffled_labels_is_refused_and_the_bundle_is_untouched(
    workplace, wild, people, bundle, capsys
):
    photos = generated_photos.write(workplace / "shuffled", 150, shuffled=True)
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    run = train(photos, wild, people, "--override-checks")
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


@pytest.mark.slow
def test_what_the_checks_find_stops_the_run_until_it_is_decided_about_or_overridden(workplace, capsys):
    photos = generated_photos.write(workplace / "flawed", 20)
    broken = b"\xff\xd8\xff\xe0 no more"
    (photos / "cat" / "broken.jpg").write_bytes(broken)
    policy = workplace / "policy.toml"
    policy.write_text("[label]\ntolerated = 1\n")  # of pictures that no network knows
    small = f"--backbone tiny --side 32 --epochs 1 --policy {policy}"
    command = f"run --photos {photos} --quick {small}".split()
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


@pytest.mark.slow
def test_peoples_answers_refresh_the_head_through_the_same_gate(workplace, good, bundle, capsys):
    served, outbox = shutil.copytree(bundle, workplace / "served"), Outbox(workplace / "outbox")
    predictor, generator = cat_model.load(served), np.random.default_rng(3)
    assert drift.read_reference(served).photos == len(good.manifest("validation"))
    for number, group in enumerate(generated_photos.GROUPS * 20):
        photo = generated_photos.draw(group, generator)
        told = (group == "cat") != (number % 10 == 0)  # every tenth answer is false
        numbers = predictor.embedding(photo)
        digest = predictor.bundle.manifest["model"]["sha256"]
        outbox.add(
            Feedback(predictor.predict(photo), digest, told, new_secret(), consent=NUMBERS, embedding=numbers)
        )
    told = str(workplace / "set")
    assert train_line.main(["feedback", "pull", "--source", str(outbox.folder), "--out", told]) == 0
    refresh = ["refresh", "--run", str(good.folder), "--feedback", told]
    assert train_line.main(refresh) == 0
    assert train_line.main(refresh) == 0
    assert "finished already" in capsys.readouterr().out
    (run,) = [Run.read(path.parent) for path in Path("runs").glob("*refresh*/run.json")]
    old, new = (heads.load(each.folder / "model.keras") for each in (good, run))
    for before, after in zip(old.features.get_weights(), new.features.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert np.abs(old.head.get()[0] - new.head.get()[0]).max() > 0.01
    assert run.manifest("test") == good.manifest("test")
    assert export(run, served, workplace / "rules.toml") == 0
    manifest = json.loads((served / "manifest.json").read_text())
    assert manifest["champion"]["version"] == predictor.bundle.version != manifest["version"]
    assert manifest["champion"]["photos"] == len(good.manifest("test"))
    assert "train refresh" in manifest["training"]["command"]


@pytest.mark.slow
def test_reviewed_photos_of_peoples_answers_are_learned_from_through_the_same_checks(
    workplace, wild, people, good, bundle
):
    predictor, outbox = cat_model.load(bundle), Outbox(workplace / "given")
    generator, groups = np.random.default_rng(21), ["cat", "dog"] * 6
    digest = predictor.bundle.manifest["model"]["sha256"]
    kept = []
    for group in groups:
        picture = generated_photos.draw(group, generator)
        says_cat = group == "cat"
        verdict = predictor.predict(picture)
        feedback = Feedback(verdict, digest, says_cat, new_secret(), consent=PHOTO, photo=picture)
        kept.append(outbox.add(feedback))
    told = workplace / "given-set"
    assert train_line.main(["feedback", "pull", "--source", str(outbox.folder), "--out", str(told)]) == 0
    reviewed = [*groups[:-1], "drop"]
    rows = [f"{each.id},{group}," for each, group in zip(kept, reviewed, strict=True)]
    (told / "reviewed.csv").write_text("\n".join(["id,group,note", *rows]))
    before = set(Path("runs").glob("*/summary.json"))
    command = f"run --photos {good.photos} --wild {wild} --people {people} {SMALL}"
    assert train_line.main([*command.split(), "--feedback", str(told)]) == 0
    (summary,) = set(Path("runs").glob("*/summary.json")) - before
    run = Run.read(summary.parent)
    learned = {
        record.path.rpartition("/")[2]: record.group
        for split in ("train", "validation", "test")
        for record in run.manifest(split)
        if "feedback-" in record.path
    }
    # Generated pictures look alike: the checks leave out what they take for a copy of another photo.
    given = {f"feedback-{each.id}.jpg": group for each, group in zip(kept[:-1], reviewed[:-1], strict=True)}
    assert learned.items() <= given.items()
    assert len(learned) > len(given) / 2
    assert "--feedback" in run.command
    assert run.data != good.data
    assert export(run, workplace / "after-feedback", workplace / "rules.toml") in (0, 1)
