"""What the page's server reads from the environment: defaults that work, nonsense refused, secrets kept."""

import os
import re
from ipaddress import ip_network
from pathlib import Path

import gradio
import gradio_client
import pytest

from cat_model.settings import Settings, SettingsError
from web.settings import (
    UPLOADS,
    ServerSettings,
    ignore_gradio_variables,
    reach_this_machine_directly,
    uploads_lie_in,
    without_proxies,
)

NUMBERS = {
    "CAT_PORT": (1, 65_535),
    "CAT_QUEUE": (1, 100_000),
    "CAT_RATE": (0, 1_000_000),
    "CAT_UPLOAD_MB": (1, 1_000),
    "CAT_API": (0, 1),
}


def test_an_empty_environment_gives_the_defaults():
    settings = ServerSettings.from_env({})
    assert settings.host == "127.0.0.1"  # nobody else's machine, unless somebody says so
    assert (settings.port, settings.upload_mb, settings.queue, settings.rate) == (7860, 20, 64, 300)
    assert settings.on_space is False
    assert (settings.login, settings.owner_password) == (None, "")
    assert (settings.api, settings.api_key) == (True, "")
    assert settings.model == Settings.from_env({})


def test_empty_variables_are_as_good_as_none():
    names = (UPLOADS, "CAT_HOST", "SPACE_ID", "CAT_LOGIN", "CAT_OWNER_PASSWORD", "CAT_API_KEY", *NUMBERS)
    assert ServerSettings.from_env(dict.fromkeys(names, "")) == ServerSettings.from_env({})


def test_every_variable_counts():
    given = {
        "CAT_WORKERS": "3",
        "CAT_HOST": "::1",
        "CAT_PORT": "80",
        "CAT_QUEUE": "9",
        "CAT_RATE": "7",
        "CAT_UPLOAD_MB": "5",
        "CAT_LOGIN": "ann:secret",
        "CAT_OWNER_PASSWORD": "hush",
        "CAT_API": "0",
        "CAT_API_KEY": "k3y",
        UPLOADS: "/data/uploads",
    }
    settings = ServerSettings.from_env(given)
    assert settings.model.workers == 3
    assert (settings.host, settings.port, settings.queue) == ("::1", 80, 9)
    assert (settings.rate, settings.upload_mb) == (7, 5)
    assert (settings.api, settings.api_key) == (False, "k3y")
    assert settings.uploads_dir == Path("/data/uploads")
    assert (settings.login, settings.owner_password) == ("ann:secret", "hush")


def test_gradios_variables_count_where_ours_are_not_set():
    theirs = {"GRADIO_SERVER_NAME": "10.0.0.2", "GRADIO_SERVER_PORT": "81", "GRADIO_ROOT_PATH": "/cat"}
    settings = ServerSettings.from_env(theirs)
    assert (settings.host, settings.port, settings.root_path) == ("10.0.0.2", 81, "/cat")
    settings = ServerSettings.from_env(theirs | {"CAT_HOST": "10.0.0.1", "CAT_PORT": "80"})
    assert (settings.host, settings.port) == ("10.0.0.1", 80)
    with pytest.raises(SettingsError, match="GRADIO_SERVER_PORT"):
        ServerSettings.from_env({"GRADIO_SERVER_PORT": "many"})


def test_all_other_variables_of_gradio_are_removed():
    environ = {"GRADIO_SHARE": "1", "GRADIO_WHATEVER_COMES": "1", UPLOADS: "/cat", "HOME": "/"}
    environ |= dict.fromkeys(gradios_variables() - {UPLOADS}, "1")
    ignore_gradio_variables(environ)
    forced = {"GRADIO_ANALYTICS_ENABLED": "False", "FORWARDED_ALLOW_IPS": "none"}
    assert environ == {UPLOADS: "/cat", "HOME": "/", **forced}


def gradios_variables():
    """Its variables that the installed Gradio reads, by its source."""
    read = re.compile(r"""(?:environ(?:\.\w+)?[(\[]|getenv\()\s*["'](GRADIO_\w+)["']""")
    folders = [Path(package.__file__).parent for package in (gradio, gradio_client)]
    found = {
        name for at in folders for file in at.rglob("*.py") for name in read.findall(file.read_text("utf-8"))
    }
    assert {"GRADIO_DEBUG", "GRADIO_SHARE", "GRADIO_NODE_PATH", "GRADIO_DEFAULT_CONCURRENCY_LIMIT"} <= found
    return found


@pytest.mark.parametrize("path", ["cats", "//evil", "/a b", "ftp://x/cats", "https://x/c?a=1", "https:///c"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(SettingsError, match="a path such as /cats"):
        ServerSettings.from_env({"CAT_ROOT_PATH": path})


def test_our_path_counts_before_gradios_and_may_be_an_address():
    given = {"CAT_ROOT_PATH": "https://example.org/a/", "GRADIO_ROOT_PATH": "/b"}
    assert ServerSettings.from_env(given).root_path == "https://example.org/a"


def test_trusted_proxies_are_addresses_and_networks():
    settings = ServerSettings.from_env({"CAT_TRUSTED_PROXIES": "127.0.0.1, 10.1.2.3/8,fd00::/8,"})
    assert settings.trusted_proxies == tuple(map(ip_network, ("127.0.0.1", "10.0.0.0/8", "fd00::/8")))


@pytest.mark.parametrize("given", ["nginx", "127.0.0.1 10.0.0.1", "10.0.0.0/33", "*"])
def test_other_proxies_are_refused(given):
    with pytest.raises(SettingsError, match=r"CAT_TRUSTED_PROXIES is .* addresses or networks with commas"):
        ServerSettings.from_env({"CAT_TRUSTED_PROXIES": given})


def test_proxies_are_there_again_afterwards():
    environ = dict.fromkeys(("http_proxy", "HTTPS_PROXY", "all_proxy", "PATH"), "x")
    with without_proxies(environ):
        assert environ == {"PATH": "x"}
    assert set(environ) == {"http_proxy", "HTTPS_PROXY", "all_proxy", "PATH"}


def test_this_machine_is_never_asked_for_through_a_proxy():
    environ = {"NO_PROXY": "example.org, localhost"}
    reach_this_machine_directly(environ)
    assert environ["no_proxy"] == environ["NO_PROXY"] == "example.org,localhost,127.0.0.1,::1"


def test_a_space_listens_on_every_address():
    space = ServerSettings.from_env({"SPACE_ID": "someone/cats"})
    assert (space.on_space, space.host, space.open_browser) == (True, "0.0.0.0", False)
    assert ServerSettings.from_env({"SPACE_ID": "someone/cats", "CAT_HOST": "10.0.0.1"}).host == "10.0.0.1"


def test_a_browser_is_opened_only_where_there_is_a_screen(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    assert not ServerSettings.from_env({}).open_browser
    assert ServerSettings.from_env({"DISPLAY": ":0"}).open_browser
    assert not ServerSettings.from_env({"DISPLAY": ":0", "SPACE_ID": "someone/cats"}).open_browser


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_may_be_as_small_and_as_big_as_is_said(name):
    field = name.removeprefix("CAT_").lower()
    for limit in NUMBERS[name]:
        assert getattr(ServerSettings.from_env({name: str(limit)}), field) == limit


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["-3", "many", "1.5", "0x10", " ", "9" * 5000])
def test_other_numbers_are_refused_with_name_value_and_range(name, text):
    low, high = NUMBERS[name]
    with pytest.raises(SettingsError) as caught:
        ServerSettings.from_env({name: text})
    assert str(caught.value) == f"{name} is {text!r}; it must be a whole number from {low} to {high}."
    for outside in (low - 1, high + 1):
        with pytest.raises(SettingsError):
            ServerSettings.from_env({name: str(outside)})


def test_passwords_are_not_shown():
    settings = ServerSettings.from_env({"CAT_LOGIN": "ann:secret", "CAT_OWNER_PASSWORD": "hush"})
    assert "secret" not in repr(settings)
    assert "hush" not in repr(settings)


@pytest.mark.parametrize("login", ["ann", "ann:", ":secret"])
def test_half_a_login_is_refused(login):
    with pytest.raises(SettingsError, match="a name, a colon and a password"):
        ServerSettings.from_env({"CAT_LOGIN": login})


def test_the_folder_of_uploads_is_named_to_gradio_and_forgotten_again(monkeypatch, tmp_path):
    monkeypatch.setenv(UPLOADS, "before")
    with uploads_lie_in(tmp_path):
        assert os.environ[UPLOADS] == str(tmp_path)
    assert os.environ[UPLOADS] == "before"
    monkeypatch.delenv(UPLOADS)
    with uploads_lie_in(tmp_path):
        assert os.environ[UPLOADS] == str(tmp_path)
    assert UPLOADS not in os.environ


@pytest.mark.parametrize("key", ["two words", "schlüssel", "a\nb"])
def test_a_key_that_no_header_can_hold_is_refused(key):
    with pytest.raises(SettingsError, match="CAT_API_KEY"):
        ServerSettings.from_env({"CAT_API_KEY": key})


def test_a_request_may_be_a_photo_in_base64():
    settings = ServerSettings(upload_mb=3)
    assert settings.upload_bytes == 3_000_000
    assert settings.most_bytes > 4 * 3_000_000 / 3


def test_a_container_may_listen_where_sagemaker_asks():
    settings = ServerSettings.from_env({"CAT_HOST": "0.0.0.0", "CAT_PORT": "8080", "CAT_RATE": "0"})
    assert (settings.host, settings.port, settings.rate) == ("0.0.0.0", 8080, 0)
