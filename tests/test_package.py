"""The wheel: what it holds, that it answers without anything but what it asks for, what its extras add.

Each environment is new and holds the wheel and links to those packages of this one that the wheel itself asks
for, by its own metadata: nothing is downloaded, and what it does not ask for is missing.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import cat_model
from cat_model import extras
from tests.test_pins import page, wanted
from web.ui.photo import EXAMPLES

ROOT = Path(__file__).parents[1]
EXTRAS = {
    "explain": ("shap", ["--explain", "why.png"], {}),
    "mlflow": (
        "httpx",
        [],
        {"CAT_BUNDLE": "models:/cat@champion", "MLFLOW_TRACKING_URI": "http://127.0.0.1"},
    ),
    "hub": ("huggingface_hub", [], {"CAT_BUNDLE": "hf://me/cat", "CAT_BUNDLE_CACHE": "copies"}),
    "signing": ("cryptography", [], {"CAT_BUNDLE_PUBLIC_KEY": "AAAA"}),
    "web": ("gradio", ["serve"], {}),
}
"""What is missing without an extra, and what asks for it: arguments and variables."""
STORES = {"s3": ("boto3", "CAT_S3_BUCKET"), "hub": ("huggingface_hub", "CAT_HF_DATASET")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    ended = subprocess.run(build, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def plain(wheel, tmp_path_factory):
    """An environment without extras."""
    return installed(wheel, tmp_path_factory.mktemp("plain"))


def installed(wheel: Path, folder: Path, extra: str = "") -> Path:
    """Install a wheel with an extra into a new environment; return the folder of its commands."""
    venv.create(folder, with_pip=False)
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder,
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
    ]
    subprocess.run([*install, wheel], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (ours,) = metadata.distributions(path=[str(site)])
    for distribution in needed(ours, extra, {}).values():
        if distribution is not ours:
            link(distribution, site)
    checked = subprocess.run(
        [sys.executable, "-m", "pip", "--python", folder, "check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    return folder / "bin"


def needed(
    distribution: metadata.Distribution, extra: str, found: dict[str, metadata.Distribution]
) -> dict[str, metadata.Distribution]:
    """Return a package and what it needs, by name and extra."""
    found[f"{distribution.name}[{extra}]"] = distribution
    for line in distribution.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            same = requirement.name == distribution.name
            other = distribution if same else metadata.distribution(requirement.name)
            assert requirement.specifier.contains(other.version), requirement
            for wanted_extra in requirement.extras or [""]:
                if f"{other.name}[{wanted_extra}]" not in found:
                    needed(other, wanted_extra, found)
    return found


def link(distribution: metadata.Distribution, site: Path) -> None:
    """Link what a package has in its site-packages, but for commands and caches, into another one."""
    tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    for top in tops:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(distribution.locate_file(top))))


def run(commands: Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command, far from the checkout."""
    return subprocess.run(
        [commands / "are-you-a-cat", *arguments],
        cwd=commands.parent,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def sentences(ended: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in ended.stderr.splitlines() if not line.startswith("INFO:")]


def test_the_wheel_holds_the_package_its_model_the_page_and_its_examples(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    bundle = {
        f"cat_model/bundle/{name}"
        for name in ("model.tflite", "manifest.json", "MODEL_CARD.md", "reference.json")
    }
    static = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "web" / "static").rglob("*") if path.is_file()
    }
    examples = {f"web/examples/{name}" for name in (*EXAMPLES.values(), "CREDITS.md")}
    assert bundle | static | examples | {"cat_model/py.typed"} <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"cat_model", "web"}


def test_the_version_is_written_once(wheel):
    assert wheel.name.split("-")[1] == cat_model.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", cat_model.__version__)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "version" in project["dynamic"]
    assert f"## [{cat_model.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_package_and_all_its_extras_are_what_the_app_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert extras.pop("desktop")  # a window needs more than the page, which works without one
    asked = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    names = {Requirement(line).name for line in asked} - {project["name"]}
    assert names == wanted("requirements")
    gradio = next(line for line in asked if line.startswith("gradio"))
    _, header, _ = (ROOT / "README.md").read_text("utf-8").split("---\n", 2)
    assert Requirement(gradio).specifier.contains(re.search(r"sdk_version: (\S+)", header)[1])


def test_it_answers_with_nothing_but_what_it_asks_for(plain, predictor, examples):
    ended = run(plain, examples / "chelsea.jpg")
    probability = predictor.predict(examples / "chelsea.jpg").probability
    assert (ended.returncode, sentences(ended)) == (0, [])
    assert ended.stdout == f"{examples / 'chelsea.jpg'}: cat ({probability:.1%} cat)\n"
    code = "import sys, cat_model; print(cat_model.load().predict(sys.argv[1]).label, cat_model.__file__)"
    python = [plain / "python", "-c", code, examples / "coffee.jpg"]
    said = subprocess.run(python, check=True, capture_output=True, text=True, cwd=plain.parent).stdout
    assert said.startswith("not a cat ")
    assert str(plain.parent) in said


def test_instant_explanations_need_no_extra(plain, examples):
    ended = run(plain, "--explain", "instant.png", "--budget", "0", examples / "chelsea.jpg")
    assert (ended.returncode, sentences(ended)) == (0, [])
    assert (plain.parent / "instant.png").exists()


@pytest.mark.parametrize(
    "extra", [each if each == "explain" else pytest.param(each, marks=pytest.mark.slow) for each in EXTRAS]
)
def test_without_an_extra_a_sentence_says_which_to_install(plain, examples, extra):
    package, arguments, variables = EXTRAS[extra]
    photo = [] if arguments == ["serve"] else [examples / "chelsea.jpg"]
    ended = run(plain, *arguments, *photo, **variables)
    assert ended.returncode in (1, 2)
    (sentence,) = sentences(ended)
    assert (
        f"needs the package {package}, which is not installed: pip install 'are-you-a-cat[{extra}]'"
        in sentence
    )
    assert not (plain.parent / "why.png").exists()


@pytest.mark.parametrize("extra", STORES)
def test_a_store_without_its_package_is_a_setting_that_cannot_be_used(plain, extra):
    package, variable = STORES[extra]
    code = """if True:
        from cat_model.feedback.stores import from_settings
        from cat_model.settings import Settings, SettingsError
        try:
            from_settings(Settings.from_env())
        except SettingsError as error:
            print(error)"""
    said = subprocess.run(
        [plain / "python", "-c", code],
        env={variable: "somewhere"}, cwd=plain.parent, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    sentence = f"{variable} needs the package {package}, which is not installed"
    assert said == f"{sentence}: pip install 'are-you-a-cat[{extra}]'\n"


def test_in_a_checkout_the_sentence_names_the_checkout():
    assert extras.command("web") == "pip install '.[web]'"


@pytest.mark.slow
def test_with_the_extra_the_command_serves_the_page(wheel, tmp_path):
    commands = installed(wheel, tmp_path / "env", "web")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "GRADIO_TEMP_DIR": str(tmp_path / "uploads"),
    }
    with subprocess.Popen(
        [commands / "are-you-a-cat", "serve"], cwd=tmp_path, env={**variables, "CAT_PORT": str(port)}
    ) as served:
        try:
            assert "Are you a cat?" in page(port, served)
            example = next(path for path in (tmp_path / "uploads").rglob("chelsea.jpg"))
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/gradio_api/file={example}", timeout=30
            ) as response:
                assert response.read() == (ROOT / "examples" / "chelsea.jpg").read_bytes()
        finally:
            served.send_signal(signal.SIGTERM)
    assert served.returncode == 0
