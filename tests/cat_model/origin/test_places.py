"""What is particular to each origin: MLflow's logins and artifact stores, folders of a hub repository."""

import base64
import dataclasses
import json
from pathlib import Path

import pytest

from cat_model import __main__ as command_line
from cat_model import extras
from cat_model.bundle import MODEL, Bundle, BundleError
from cat_model.origin.follow import follower
from cat_model.origin.mlflow_registry import INSIDE
from cat_model.settings import RegistrySettings, Settings, SettingsError
from tests.cat_model.origin.servers import serving
from tests.cat_model.origin.test_follow import files


@pytest.fixture
def registry():
    with serving("models") as place:
        place.versions, place.points_to = {"7": files("model-7")}, {"champion": "7"}
        yield place


def brought(place, tmp_path, address="models:/cat@champion", **environ):
    given = {"CAT_BUNDLE": address, "CAT_BUNDLE_CACHE": str(tmp_path), "MLFLOW_TRACKING_URI": place.address}
    settings = Settings.from_env(given | environ)
    follower(settings).bring()
    return Bundle.read(settings.bundle).version


@pytest.mark.parametrize(
    ("environ", "header"),
    [
        ({"MLFLOW_TRACKING_TOKEN": "hush"}, "Bearer hush"),
        (
            {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "hush"},
            f"Basic {base64.b64encode(b'me:hush').decode()}",
        ),
    ],
)
def test_a_server_that_asks_who_it_is_gets_mlflows_own_variables(registry, tmp_path, environ, header):
    registry.asks = header
    with pytest.raises(BundleError, match=r"wants to know who asks \(401\): MLFLOW_TRACKING_TOKEN"):
        brought(registry, tmp_path / "without")
    assert brought(registry, tmp_path, **environ) == "model-7"


def test_a_password_in_the_address_is_used_and_not_shown(registry, tmp_path):
    registry.asks = f"Basic {base64.b64encode(b'me:hush').decode()}"
    inside = registry.address.replace("//", "//me:hush@")
    assert brought(registry, tmp_path, MLFLOW_TRACKING_URI=inside) == "model-7"
    registry.refuses = 500
    with pytest.raises(BundleError) as caught:
        brought(registry, tmp_path / "other", MLFLOW_TRACKING_URI=inside)
    assert "hush" not in str(caught.value)


def test_a_version_by_its_number_stays_that_version(registry, tmp_path):
    registry.versions["8"] = files("model-8")
    registry.points_to["champion"] = "8"
    assert brought(registry, tmp_path, "models:/cat/7") == "model-7"


def test_artifacts_in_a_folder_that_both_machines_see_are_copied(registry, tmp_path):
    registry.source = f"file://{tmp_path}/shared files"
    with pytest.raises(BundleError, match="in a folder of MLflow's server"):
        brought(registry, tmp_path / "copies")
    there = tmp_path / "shared files" / INSIDE
    there.mkdir(parents=True)
    for name, content in registry.versions["7"].items():
        (there / name).write_bytes(content)
    assert brought(registry, tmp_path / "copies") == "model-7"


def test_artifacts_that_cannot_be_read_from_here_are_named(registry, tmp_path):
    registry.source = "s3://bucket/1"
    with pytest.raises(BundleError, match=r"its files are at s3://.*--serve-artifacts"):
        brought(registry, tmp_path)


def test_a_model_that_was_made_anew_under_the_same_number_is_another_one(registry, tmp_path):
    assert brought(registry, tmp_path) == "model-7"
    registry.source = "mlflow-artifacts:/2/models/m-{}/artifacts"
    registry.versions["7"] = files("model-7-anew")
    assert brought(registry, tmp_path) == "model-7-anew"


def test_a_file_that_is_longer_than_it_is_said_to_be_is_refused(registry, tmp_path):
    listed = registry.versions["7"]
    registry.longer = b"more"
    with pytest.raises(BundleError, match=rf"has not the {len(listed['manifest.json'])} bytes"):
        brought(registry, tmp_path)


@pytest.mark.parametrize("answer", ["no JSON", '{"model_version": null}', "[]"])
def test_an_answer_of_something_else_is_no_traceback(registry, tmp_path, answer):
    registry.says = answer.encode()
    with pytest.raises(BundleError, match="cannot be asked"):
        brought(registry, tmp_path)


def test_a_bundle_may_lie_in_a_folder_of_the_hub_repository(tmp_path, monkeypatch):
    with serving("hf") as place:
        place.versions, place.points_to, place.folder = {"c1": files("model-1")}, {"main": "c1"}, "bundle/"
        constants = pytest.importorskip("huggingface_hub.constants")
        monkeypatch.setattr(constants, "ENDPOINT", place.address)
        template = f"{place.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        assert brought(place, tmp_path, "hf://me/cat") == "model-1"
        assert place.downloads(MODEL) == [None]
        with pytest.raises(BundleError, match="no such repository"):
            brought(place, tmp_path, "hf://you/cat")
        place.refuses = 503
        with pytest.raises(BundleError, match="the hub answers 503"):
            brought(place, tmp_path / "other", "hf://me/cat")


@pytest.mark.parametrize(
    ("address", "package"), [("models:/cat@champion", "httpx"), ("hf://me/cat", "huggingface_hub")]
)
def test_a_package_that_is_missing_is_named(address, package, monkeypatch, tmp_path):
    monkeypatch.setattr(extras.util, "find_spec", lambda name: None)
    settings = Settings.from_env(
        {"CAT_BUNDLE": address, "CAT_BUNDLE_CACHE": str(tmp_path), "MLFLOW_TRACKING_URI": "http://mlflow"}
    )
    with pytest.raises(SettingsError, match=f"CAT_BUNDLE={address} needs the package {package}"):
        follower(settings)


def test_a_bundle_that_is_just_a_folder_has_nothing_to_follow():
    assert follower(dataclasses.replace(Settings(), registry=RegistrySettings("http://mlflow"))) is None


def test_the_terminal_command_takes_the_same_addresses(registry, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAT_BUNDLE", "models:/cat@champion")
    monkeypatch.setenv("CAT_BUNDLE_CACHE", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.address)
    photo = str(Path(__file__).parents[3] / "examples" / "chelsea.jpg")
    assert command_line.main([photo, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model_version"] == "model-7"
    monkeypatch.setenv("CAT_BUNDLE", "models:/cat@nobody")
    assert command_line.main([photo]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "has no such model, version or alias" in said.err
