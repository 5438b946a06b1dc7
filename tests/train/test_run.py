"""A run folder says where everything lies, wherever it is read from."""

import dataclasses
from pathlib import Path

import pytest

from train.config import TrainConfig, TrainError
from train.run import Run


@pytest.fixture
def run(tmp_path):
    told = dict.fromkeys(("command", "data", "code_commit", "weights", "mlflow_run"), "x")
    paths = {"photos": Path("photos"), "wild": None, "people": None, "boxes": None, "cache": Path("cache")}
    return Run(folder=tmp_path, config=TrainConfig(), tracking_uri="", **told, **paths)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///mlflow.db", "sqlite:///{here}/mlflow.db"),
        ("sqlite:///{here}/mlflow.db", "sqlite:///{here}/mlflow.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("http://mlflow:5000", "http://mlflow:5000"),
        ("", ""),
    ],
)
def test_photos_and_mlflow_are_found_from_another_working_directory(
    run, tmp_path, monkeypatch, uri, expected
):
    here = tmp_path.as_posix()
    monkeypatch.chdir(tmp_path)
    dataclasses.replace(run, tracking_uri=uri.format(here=here)).write()
    monkeypatch.chdir("/")
    found = Run.read_unfinished(tmp_path)
    assert found.tracking_uri == expected.format(here=here)
    assert (found.photos, found.cache) == (tmp_path / "photos", tmp_path / "cache")


def test_photos_that_a_run_was_not_given_are_named(run):
    assert run.need_root("test") == Path("photos")
    with pytest.raises(TrainError, match="no photos for wild"):
        run.need_root("wild")


def test_a_moved_run_finds_its_store_in_a_folder_above(run, tmp_path):
    before, folder = tmp_path / "before", tmp_path / "after" / "runs" / "run"
    folder.mkdir(parents=True)
    uri = f"sqlite:///{before / 'mlflow.db'}"
    dataclasses.replace(run, folder=folder, tracking_uri=uri).write()
    assert Run.read_unfinished(folder).tracking_uri == uri  # there is none anywhere
    (tmp_path / "after" / "mlflow.db").touch()
    assert Run.read_unfinished(folder).tracking_uri == f"sqlite:///{tmp_path / 'after' / 'mlflow.db'}"
    before.mkdir()
    (before / "mlflow.db").touch()
    assert Run.read_unfinished(folder).tracking_uri == uri
