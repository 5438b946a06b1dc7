"""Who may import whom, and who may read the environment: read from the code itself, and tried."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import architecture

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "app": {"app", "web", "cat_model"},
    "web": {"web", "cat_model"},
    "cat_model": {"cat_model"},
    "train": {"train", "cat_model"},
    "export": {"export", "train", "cat_model"},
    "pipelines": {"pipelines", "export", "train", "cat_model"},
    "deploy": {"deploy", "pipelines", "web", "cat_model"},
    "benchmarks": {"benchmarks", "deploy", "pipelines", "web", "export", "train", "cat_model"},
}
OFFLINE = {"tensorflow", "keras", "mlflow", "train", "export"}
SLOW = {"shap", "boto3", "botocore"}


BY_NAME = {"cat_model/__main__.py": ["web.__main__", "web.desktop"]}
"""What is imported by a name in a text, against the arrows: `serve` and `app` start the page."""


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


def test_only_the_terminal_knows_the_page_and_only_by_name():
    module = re.compile(rf"({'|'.join(MAY_IMPORT)})(\.\w+)*\.\w+")
    found = {}
    for source in sources("cat_model"):
        texts = [
            node.value
            for node in ast.walk(ast.parse(source.read_text("utf-8")))
            if isinstance(node, ast.Constant)
        ]
        names = [text for text in texts if isinstance(text, str) and module.fullmatch(text)]
        found |= {source.relative_to(ROOT).as_posix(): names} if names else {}
    assert found == BY_NAME


@pytest.mark.parametrize("part", RUN_TIME)
def test_run_time_never_names_what_is_offline(part):
    wrong = {str(s): sorted(bad) for s in sources(part) if (bad := imported(s) & OFFLINE)}
    assert wrong == {}


@pytest.mark.parametrize("module", ["cat_model", "cat_model.__main__", "cat_model.feedback.record", "app"])
def test_importing_run_time_brings_in_nothing_offline_and_nothing_slow(module):
    program = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    brought = set(ended.stdout.split())
    assert module.split(".", maxsplit=1)[0] in brought
    assert brought & (OFFLINE | SLOW) == set()
    assert module == "app" or brought & {"web", "gradio", "tqdm"} == set()


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
    settings = [ROOT / part / "settings.py" for part in ("cat_model", "web")]
    assert all(map(environment_reads, settings))
    others = [source for part in RUN_TIME for source in sources(part) if source not in settings]
    assert {str(s.relative_to(ROOT)): lines for s in others if (lines := environment_reads(s))} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_says_who_may_live_there(package):
    assert ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text("utf-8")))


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_each_file_says_what_it_is_for(part):
    for source in sources(part):
        assert ast.get_docstring(ast.parse(source.read_text("utf-8"))), source


def test_no_files_import_each_other_in_a_circle():
    known = architecture.modules(ROOT)
    assert {"app", "cat_model.cascade", "web.ui.page", "export.gate"} <= set(known)
    assert architecture.circle(architecture.imports(known)) == []


def test_a_circle_of_imports_is_found(tmp_path):
    package = tmp_path / "house"
    package.mkdir()
    for name, content in {"__init__": "", "a": "from house import b", "b": "import house.c", "c": ""}.items():
        (package / f"{name}.py").write_text(content)
    assert architecture.circle(architecture.imports(architecture.modules(tmp_path))) == []
    (package / "c.py").write_text("def late():\n    from house.a import x")
    assert set(architecture.circle(architecture.imports(architecture.modules(tmp_path)))) == {
        "house.a",
        "house.b",
        "house.c",
    }
