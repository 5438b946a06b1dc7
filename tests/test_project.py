"""Make, the hooks before a commit and GitHub's workflow do what the test command and .ci/run do."""

import os
import re
from pathlib import Path

import yaml

from tests.__main__ import LINT

ROOT = Path(__file__).parents[1]
DEV = ".venv-dev/bin/python"
ADDED = {"--quiet", "--force-exclude"}
"""What a hook needs beside: names of files come behind it."""


def commands() -> dict[str, list[str]]:
    """What each target of the Makefile runs, variables filled in."""
    text = (ROOT / "Makefile").read_text("utf-8")
    variables = dict(re.findall(r"^([A-Z]+) \??= ?(.*)$", text, re.MULTILINE))
    filled = re.sub(r"\$\(([A-Z]+)\)", lambda found: variables[found[1]], text)
    rules = re.findall(r"^([a-z]+):.*\n((?:\t.*\n?)*)", filled, re.MULTILINE)
    return {target: [line.strip() for line in lines.splitlines()] for target, lines in rules}


def lint() -> list[list[str]]:
    return [[word for word in command if word not in ADDED] for command in LINT]


def test_make_has_the_short_names_and_they_run_the_documented_commands():
    found = commands()
    assert set(found) >= {"setup", "run", "test", "lint", "bench", "pins", "mutants", "release"}
    assert found["test"] == ["python3 -m tests"]
    assert found["run"] == [".venv/bin/are-you-a-cat serve"]
    assert found["pins"] == [f"{DEV} -m tests.pins"]
    assert found["release"] == [f"{DEV} -m deploy.release"]
    assert found["mutants"] == [f"{DEV} -m tests.mutants"]
    (bench,) = found["bench"]
    assert (ROOT / f"{bench.removeprefix(f'{DEV} -m ').replace('.', '/')}.py").is_file()
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == set(found)


def test_make_lint_and_the_hooks_check_what_the_test_command_checks():
    assert [line.removeprefix(f"{DEV} -m ").split() for line in commands()["lint"]] == lint()
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert local["repo"] == "local"
    entries = [hook["entry"].removeprefix(f"{DEV} -m ").split() for hook in local["hooks"]]
    assert [[word for word in entry if word not in ADDED] for entry in entries] == lint()
    assert {hook["language"] for hook in local["hooks"]} == {"system"}


def test_the_workflow_runs_what_continuous_integration_runs():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text("utf-8"))
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    oldest = re.search(r'requires-python = ">=(.*)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert oldest
    assert job["strategy"]["matrix"]["python"][0] == oldest[1]
