"""What README promises of packages holds: the Space's configuration, the pins, the app with only those."""

import os
import re
import socket
import subprocess
import time
import urllib.request
import venv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SETS = ("requirements", "requirements-train", "requirements-dev")


def pins(name: str) -> set[str]:
    lines = (ROOT / f"{name}.txt").read_text().splitlines()
    return {line.strip().removesuffix(" \\") for line in lines if re.match(r"[a-z0-9]", line)}


def wanted(name: str) -> set[str]:
    lines = (ROOT / f"{name}.in").read_text().splitlines()
    return {re.split("[ <>]", line)[0] for line in lines if re.match(r"[a-z]", line)}


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


@pytest.mark.parametrize("name", SETS)
def test_everything_asked_for_is_pinned_and_nothing_is_open(name):
    assert all(re.match(r"[\w.-]+==[\w.!+]+( ; .+)?$", pin) for pin in pins(name))
    pinned = {re.split("==", pin)[0] for pin in pins(name)}
    assert {package.replace("_", "-").partition("[")[0] for package in wanted(name)} <= pinned
    assert not {"torch", "torchvision"} & pinned


@pytest.mark.parametrize("name", SETS)
def test_every_pin_names_the_files_it_may_be(name):
    """With one hash in a file, pip refuses to install anything that has none or another."""
    lines = (ROOT / f"{name}.txt").read_text().splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if re.match(r"[a-z0-9]", line):
            assert re.match(r" +--hash=sha256:[0-9a-f]{64}", following), line


def test_the_three_sets_agree():
    assert pins("requirements") <= pins("requirements-train") <= pins("requirements-dev")


def test_the_app_needs_no_more_than_a_handful_of_packages():
    assert wanted("requirements") == {
        "ai-edge-litert", "backports-strenum", "boto3", "cryptography", "gradio", "huggingface_hub", "numba",
        "numpy", "pillow", "prometheus-client", "shap",
    }  # fmt: skip


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
