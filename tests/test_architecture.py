"""Who may import whom, and who may read the environment: read from the code itself, and tried."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "app": {"app", "web", "cat_model"},
    "web": {"web", "cat_model"},
    "cat_model": {"cat_model"},
    "train": {"train", "cat_model"},
    "export": {"export", "train", "cat_model"},
    "benchmarks": {"benchmarks", "web", "export", "train", "cat_model"},
}
OFFLINE = {"tensorflow", "keras", "mlflow", "train", "export"}
SLOW = {"shap", "boto3", "botocore"}


PACKAGES = sorted({folder.parent.name for folder in ROOT.glob("*/__init__.py")} - {"tests"})
RUN_TIME = ("app", "web", "cat_model")


def sources(part):
    """The Python files of app.py or of a package."""
    return [ROOT / "app.py"] if part == "app" else sorted((ROOT / part).rglob("*.py"))


def imported(source):
    """The top-level names that a file imports, wherever in the file that is."""
    names = set()
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." if node.level else node.module)
    return {name.split(".")[0] or "." for name in names}


def test_every_package_has_its_place_in_the_order():
    assert {"app", *PACKAGES} == set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_arrows_of_import_point_one_way(part):
    assert sources(part)
    ours = set(MAY_IMPORT) | {"tests", "."}  # "." would be a relative import: none are used
    wrong = {
        str(source.relative_to(ROOT)): sorted(bad)
        for source in sources(part)
        if (bad := (imported(source) & ours) - MAY_IMPORT[part])
    }
    assert wrong == {}


@pytest.mark.parametrize("part", RUN_TIME)
def test_run_time_never_names_what_is_offline(part):
    wrong = {str(s): sorted(bad) for s in sources(part) if (bad := imported(s) & OFFLINE)}
    assert wrong == {}


@pytest.mark.parametrize("module", ["cat_model", "cat_model.__main__", "cat_model.feedback", "app"])
def test_importing_run_time_brings_in_nothing_offline_and_nothing_slow(module):
    program = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    brought = set(ended.stdout.split())
    assert module.split(".", maxsplit=1)[0] in brought
    assert brought & (OFFLINE | SLOW) == set()


def environment_reads(source):
    """Lines where a file names os.environ, os.getenv or their like."""
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    return [
        node.lineno
        for node in ast.walk(ast.parse(source.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and names & {a.name for a in node.names})
    ]


def test_only_settings_read_the_environment():
    settings = ROOT / "cat_model" / "settings.py"
    assert environment_reads(settings)
    others = [source for part in RUN_TIME for source in sources(part) if source != settings]
    assert {str(s.relative_to(ROOT)): lines for s in others if (lines := environment_reads(s))} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_says_who_may_live_there(package):
    assert ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text("utf-8")))


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_each_file_says_what_it_is_for_and_stays_short(part):
    for source in sources(part):
        text = source.read_text("utf-8")
        assert ast.get_docstring(ast.parse(text)), source
        assert len(text.splitlines()) <= 300, source
