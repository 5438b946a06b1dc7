"""What README promises of packages holds: the Space's configuration, the pins, the app with only those."""

import os
import re
import socket
import subprocess
import time
import urllib.request
import venv
import zipfile

import pytest
import yaml

from tests import pins as renewing
from tests.engines import PINS
from tests.pins import ROOT, SETS

ALL = [*SETS, *(path.relative_to(ROOT).with_suffix("").as_posix() for path in PINS.values())]


def pins(name: str) -> set[str]:
    lines = (ROOT / f"{name}.txt").read_text().splitlines()
    return {line.strip().removesuffix(" \\") for line in lines if re.match(r"[a-z0-9]", line)}


def wanted(name: str) -> set[str]:
    lines = (ROOT / f"{name}.in").read_text().splitlines()
    return {re.split("[ <>=~]", line)[0] for line in lines if re.match(r"[a-z]", line)}


def test_the_space_is_configured_as_the_pins_say():
    _, header, _ = (ROOT / "README.md").read_text("utf-8").split("---\n", 2)
    space = yaml.safe_load(header)
    assert f"gradio=={space['sdk_version']}" in pins("requirements")
    assert space["sdk"] == "gradio"
    assert (ROOT / space["app_file"]).is_file()
    assert space["license"] == "apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert len(space["short_description"]) <= 60  # what the hub accepts
    assert space["tags"]
    assert re.fullmatch(r"3\.1[1-9]", space["python_version"])


@pytest.mark.parametrize("name", ALL)
def test_everything_asked_for_is_pinned_and_nothing_is_open(name):
    assert all(re.match(r"[\w.-]+==[\w.!+]+( ; .+)?$", pin) for pin in pins(name))
    pinned = {re.split("==", pin)[0] for pin in pins(name)}
    assert {package.replace("_", "-").partition("[")[0] for package in wanted(name)} <= pinned
    assert not {"torch", "torchvision"} & pinned


@pytest.mark.parametrize("name", ALL)
def test_every_pin_names_the_files_it_may_be(name):
    """With one hash in a file, pip refuses to install anything that has none or another."""
    lines = (ROOT / f"{name}.txt").read_text().splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if re.match(r"[a-z0-9]", line):
            assert re.match(r" +--hash=sha256:[0-9a-f]{64}", following), line


def test_the_three_sets_agree():
    """On versions: what else is asked for may widen where a package is needed."""
    app, train, dev = ({pin.partition(" ;")[0] for pin in pins(name)} for name in SETS)
    assert app <= train <= dev


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project, and an index that holds two versions of each package that it asks for."""
    index, root = tmp_path / "index", tmp_path / "project"
    index.mkdir()
    root.mkdir()
    for package in ("gradio", "keras", "ruff"):
        for version in ("1.0", "2.0"):
            folder = f"{package}-{version}.dist-info"
            with zipfile.ZipFile(index / f"{package}-{version}-py3-none-any.whl", "w") as wheel:
                told = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
                wheel.writestr(f"{folder}/METADATA", told)
                wheel.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
                wheel.writestr(f"{folder}/RECORD", "")
    for name, before, package in zip(SETS, ("", *SETS), ("gradio", "keras", "ruff"), strict=False):
        also = f"-r {before}.in\n-c {before}.txt\n" if before else ""
        (root / f"{name}.in").write_text(f"{also}{package}\n")
        (root / f"{name}.txt").write_text("".join(f"{each}==1.0\n" for each in ("gradio", "keras", "ruff")))
    (root / "pipelines").mkdir()
    (root / "pipelines" / "requirements-engine.in").write_text("-c ../requirements-dev.txt\nkeras\n")
    (root / "README.md").write_text("---\nsdk: gradio\nsdk_version: 1.0\n---\nsdk_version: stays\n")
    (tmp_path / "uv.toml").write_text(f'no-index = true\nfind-links = ["{index.as_posix()}"]\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return root


def state(project):
    return {path.name: path.read_text() for path in project.rglob("*.*")}


def test_one_command_renews_all_pins_with_hashes_and_the_space(project):
    assert renewing.main([], project) == 0
    after = state(project)
    assert re.findall(r"^\w+==\S+", after["requirements-dev.txt"], re.MULTILINE) == [
        "gradio==2.0", "keras==2.0", "ruff==2.0",
    ]  # fmt: skip
    assert re.findall(r"^\w+==\S+", after["requirements.txt"], re.MULTILINE) == ["gradio==2.0"]
    assert after["requirements-dev.txt"].count("--hash=sha256:") == 3
    assert re.findall(r"^\w+==\S+", after["requirements-engine.txt"], re.MULTILINE) == ["keras==2.0"]
    assert "make pins" in after["requirements.txt"]
    assert after["README.md"] == "---\nsdk: gradio\nsdk_version: 2.0\n---\nsdk_version: stays\n"


def test_named_packages_alone_are_renewed(project):
    assert renewing.main(["keras"], project) == 0
    after = state(project)
    assert re.findall(r"^\w+==\S+", after["requirements-dev.txt"], re.MULTILINE) == [
        "gradio==1.0", "keras==2.0", "ruff==1.0",
    ]  # fmt: skip
    assert "sdk_version: 1.0" in after["README.md"]


@pytest.mark.parametrize("trouble", ["a package that there is not", "a README without a Space"])
def test_what_cannot_be_renewed_changes_nothing(project, trouble, capfd):
    if "package" in trouble:
        (project / "requirements-dev.in").write_text("-r requirements-train.in\nno-such-package\n")
    else:
        (project / "README.md").write_text("# A project\n")
    before = state(project)
    assert renewing.main([], project) == 1
    assert state(project) == before
    assert "nothing was changed" in capfd.readouterr().err


def test_the_app_needs_no_more_than_a_handful_of_packages():
    assert wanted("requirements") == {
        "ai-edge-litert", "backports-strenum", "boto3", "cryptography", "filelock", "gradio", "httpx",
        "huggingface_hub", "numba", "numpy", "orjson", "pi-heif", "pillow", "prometheus-client", "shap",
        "tqdm",
    }  # fmt: skip


@pytest.mark.slow
def test_the_app_runs_in_an_environment_of_only_its_requirements(tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [python, "-m", "pip", "install", "--quiet", "-r", ROOT / "requirements.txt"]
    subprocess.run(install, check=True)
    installed = subprocess.run(
        [python, "-m", "pip", "list"], check=True, capture_output=True, text=True
    ).stdout
    assert not re.search(r"^(tensorflow|keras|mlflow|torch)\b", installed, re.MULTILINE)

    answer = [python, "-m", "cat_model", ROOT / "examples" / "chelsea.jpg"]
    said = subprocess.run(answer, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert "cat (" in said
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "CAT_PORT": str(port), "CAT_FEEDBACK_DIR": str(tmp_path / "feedback")}
    with subprocess.Popen([python, "app.py"], cwd=ROOT, env=environment) as app:
        try:
            assert "Are you a cat?" in page(port, app)
        finally:
            app.terminate()
    assert app.returncode == 0


def page(port: int, app: subprocess.Popen) -> str:
    """Return the page as soon as it answers."""
    for _ in range(600):
        assert app.poll() is None, "the app ended before it answered"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
                return response.read().decode()
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the app did not answer")
