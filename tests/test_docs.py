"""What README and docs say of files, variables and commands is so in the code."""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *DOCS]
CONFIGURATION = ROOT / "docs" / "configuration.md"
OTHER_VARIABLES = {"GRADIO_TEMP_DIR", "MLFLOW_TRACKING_URI", "KERAS_BACKEND"}
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
VARIABLE = re.compile(r"\bCAT_[A-Z0-9_]+\b")
COMMAND = re.compile(r"\bpython3? -m ([A-Za-z_][\w.]*\w)([^\n`|]*)")
OURS = {"cat_model", "train", "export", "pipelines", "benchmarks", "deploy"}


def name(page):
    return page.relative_to(ROOT).as_posix()


def links(page):
    """The targets of a page's links; each is given by one of two forms."""
    return [markdown or html for markdown, html in LINK.findall(page.read_text("utf-8"))]


def anchors(page):
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def python_files(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def variables_read():
    """The CAT_* variables that the code reads; of tests, which also name others', only what they ask for."""
    packages = [init.parent.name for init in ROOT.glob("*/__init__.py") if init.parent.name != "tests"]
    found = set()
    for path in [ROOT / "app.py", *python_files(*packages)]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value} if VARIABLE.fullmatch(node.value) else set()
    for path in python_files("tests"):
        found |= set(re.findall(r"environ(?:\.get\(|\[)[\"'](CAT_[A-Z0-9_]+)", path.read_text("utf-8")))
    return found


def source(module):
    """The files of a module of ours: its own, or all of the package that it is the command of."""
    path = ROOT.joinpath(*module.split("."))
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page):
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


def test_the_list_of_pages_is_whole():
    listed = set(links(ROOT / "docs" / "README.md"))
    assert listed == {page.name for page in DOCS} - {"README.md"} | {"../CONTRIBUTING.md", "../CHANGELOG.md"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_variable_named_is_read(page):
    assert set(VARIABLE.findall(page.read_text("utf-8"))) <= variables_read()


def test_every_variable_read_is_documented():
    text = CONFIGURATION.read_text("utf-8")
    assert variables_read() >= {"CAT_BUNDLE", "CAT_CACHE", "CAT_SHARED"}
    assert variables_read() | OTHER_VARIABLES <= set(re.findall(r"`([A-Z0-9_]+)`", text))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_exists_with_its_options(page):
    joined = page.read_text("utf-8").replace("\\\n", " ")
    for module, rest in COMMAND.findall(joined):
        if module.split(".")[0] not in OURS:
            assert importlib.util.find_spec(module), module
            continue
        files = source(module)
        assert all(path.is_file() for path in files), module
        assert files[0].parent.joinpath("__main__.py").is_file() or "__main__" in files[0].read_text("utf-8")
        text = "\n".join(path.read_text("utf-8") for path in files)
        for option in re.findall(r"(?<!\S)--[a-z-]+", rest):
            assert f'"{option}"' in text, f"{module} {option}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 6_000
