"""The pins of the image: what each group needs, and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.requirements import GROUPS, PAGE, RequirementsError, chosen

ROOT = Path(__file__).parents[2]
PINS = (ROOT / "requirements-dev.txt").read_text("utf-8")
MADE_UP = """\
# made by uv
both==1.0 ; python_full_version < '3.12' \\
    --hash=sha256:aa
    # via
    #   -r requirements.in
    #   gradio
both==2.0 ; python_full_version >= '3.12' \\
    --hash=sha256:bb
    # via gradio
gradio==6.0 \\
    --hash=sha256:cc \\
    --hash=sha256:dd
    # via -r requirements.in
idle==1.0 \\
    --hash=sha256:ee
    # via pytest
inner==1.0 \\
    --hash=sha256:ff
    # via both
"""


def names(text: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+)==", text, re.MULTILINE))


@pytest.fixture
def two_groups(monkeypatch):
    monkeypatch.setattr("deploy.requirements.GROUPS", {PAGE: ("gradio",), "other": ("idle",)})


def test_needs_are_followed_to_their_ends_and_pins_stay_as_they_are(two_groups):
    assert chosen(MADE_UP, [PAGE]) == "".join(
        line
        for line in MADE_UP.splitlines(keepends=True)
        if "#" not in line and "idle" not in line and "ee" not in line
    )
    assert names(chosen(MADE_UP, ["other"])) == {"idle"}
    assert names(chosen(MADE_UP, ["other", PAGE])) == {"both", "gradio", "idle", "inner"}


def test_the_page_gets_what_its_own_pins_hold_without_the_extras():
    own = (ROOT / "requirements.txt").read_text("utf-8")
    page = names(chosen(PINS, [PAGE]))
    assert page < names(own)
    assert {"gradio", "starlette", "pandas"} <= page
    assert not {"shap", "llvmlite", "scipy", "botocore", "tensorflow", "mlflow"} & page
    assert names(chosen(PINS, [PAGE, "shap", "s3"])) == names(own)


def test_training_gets_what_its_own_pins_hold():
    own = (ROOT / "requirements-train.txt").read_text("utf-8")
    assert names(chosen(PINS, [PAGE, "shap", "s3", "train"])) == names(own)


@pytest.mark.parametrize(
    ("group", "package"),
    [("shap", "llvmlite"), ("s3", "botocore"), ("mlflow", "httpcore"), ("score", "pyarrow")],
)
def test_each_extra_brings_what_it_needs(group, package):
    assert package in names(chosen(PINS, [group]))


def test_every_pin_keeps_its_hashes():
    text = chosen(PINS, GROUPS)
    for pin in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]:
        assert re.search(r"^    --hash=sha256:[0-9a-f]{64}$", pin, re.MULTILINE), pin


def test_wrong_groups_and_missing_pins_are_named(two_groups):
    with pytest.raises(RequirementsError, match="no packages called 'cuda', only page, other"):
        chosen(MADE_UP, ["cuda"])
    with pytest.raises(RequirementsError, match="The pins lack gradio: make pins"):
        chosen("idle==1.0\n", [PAGE])


def run(*groups: str) -> subprocess.CompletedProcess:
    script = ROOT / "deploy" / "requirements.py"  # as in the image: without the other packages
    command = [sys.executable, "-I", "-S", str(script), *groups]
    return subprocess.run(command, input=PINS, capture_output=True, text=True, check=False)


def test_as_a_script_it_needs_nothing_but_python():
    assert names(run("build").stdout) >= {"hatchling", "pathspec"}
    wrong = run(PAGE, "cuda")
    assert wrong.returncode == 1
    assert wrong.stdout == ""
    assert wrong.stderr.startswith("There are no packages called 'cuda'")
    assert wrong.stderr.count("\n") == 1
