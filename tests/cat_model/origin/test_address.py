"""What CAT_BUNDLE may say beside a folder, and what is said where it says neither."""

import re
from pathlib import Path

import pytest

from cat_model.origin import address
from cat_model.origin.address import AddressError
from cat_model.settings import Settings, SettingsError

SERVER = {"MLFLOW_TRACKING_URI": "https://me:secret@mlflow.example"}


@pytest.mark.parametrize(
    ("text", "name", "alias", "version"),
    [
        ("models:/are-you-a-cat@champion", "are-you-a-cat", "champion", ""),
        ("models:/are-you-a-cat/12", "are-you-a-cat", "", "12"),
        ("hf://me/cat", "me/cat", "main", ""),
        ("hf://me/cat.v2@refs/pr/1", "me/cat.v2", "refs/pr/1", ""),
    ],
)
def test_addresses_are_read(text, name, alias, version):
    found = address.parse(text)
    assert (found.name, found.alias, found.version) == (name, alias, version)


@pytest.mark.parametrize("text", ["", "cat_model/bundle", "/srv/bundle", "C:/bundle", "models", "hf"])
def test_folders_are_no_addresses(text):
    assert address.parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "models:/cat",
        "models:/cat/latest",
        "models:/a@b@c",
        "hf://cat",
        "hf://a/b/c",
        "hf:/a/b",
        "s3://a/b",
        "hf://a/b@",
    ],
)
def test_half_an_address_is_refused_with_the_forms_that_there_are(text):
    with pytest.raises(AddressError):
        address.parse(text)
    with pytest.raises(SettingsError, match=r"CAT_BUNDLE is .*models:/NAME@ALIAS.*hf://OWNER/REPO"):
        Settings.from_env({"CAT_BUNDLE": text} | SERVER)


def test_the_copy_has_a_folder_of_its_own_for_each_address_and_server(tmp_path):
    def folder(text, server="https://mlflow.example", **more):
        return Settings.from_env({"CAT_BUNDLE": text, "MLFLOW_TRACKING_URI": server} | more).bundle

    cached = {"CAT_BUNDLE_CACHE": str(tmp_path)}
    made = [
        folder("models:/cat@champion", **cached),
        folder("models:/cat/1", **cached),
        folder("models:/cat@champion", "https://other.example", **cached),
        folder("hf://me/cat", **cached),
    ]
    assert len(set(made)) == 4
    assert all(each.relative_to(tmp_path).parts[1:] == ("bundle",) for each in made)
    at_home = folder("hf://me/cat", XDG_CACHE_HOME="/var/cache")
    assert at_home.parts[:4] == ("/", "var", "cache", "are-you-a-cat")
    assert folder("hf://me/cat").is_relative_to(Path.home())


def test_a_registry_needs_the_address_of_a_server():
    for uri in ("", "sqlite:///mlflow.db"):
        with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI must be the http"):
            Settings.from_env({"CAT_BUNDLE": "models:/cat@champion", "MLFLOW_TRACKING_URI": uri})
    settings = Settings.from_env(
        {"CAT_BUNDLE": "models:/cat@champion", "MLFLOW_TRACKING_PASSWORD": "hush"} | SERVER
    )
    assert settings.registry.shown == "https://mlflow.example"
    assert not {"secret", "hush"} & set(re.findall(r"\w+", repr(settings)))


def test_of_a_folder_nothing_is_asked():
    settings = Settings.from_env({"CAT_BUNDLE": "/srv/bundle", "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"})
    assert (settings.bundle, settings.origin) == (Path("/srv/bundle"), None)
