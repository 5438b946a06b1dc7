"""python -m deploy.release in a checkout of its own: what it refuses, what it writes, what it pushes.

The tools are programs that note how they were called; Git, the signature and the archive are real.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cat_model.bundle import Bundle
from cat_model.settings import SHIPPED_BUNDLE
from deploy import release

ROOT = Path(__file__).parents[2]
MODEL = Bundle.read().version
CHANGELOG = (
    "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-12-01\n\n- Something.\n\n## [1.2.2] - 2026-11-01\n"
)
TOOL = """#!{python}
import pathlib, sys
here = pathlib.Path({folder!r})
with (here / "calls").open("a") as log:
    log.write({name!r} + " " + " ".join(sys.argv[1:]) + "\\n")
broken = here / "broken"
if broken.exists() and broken.read_text() in " ".join(sys.argv):
    sys.exit("it broke")
for option, name in (("--outdir", "are_you_a_cat-1.2.3.whl"), ("-o", ""), ("--output", "")):
    if option in sys.argv:
        out = pathlib.Path(sys.argv[sys.argv.index(option) + 1])
        (out / name if name else out).write_text("made")
if "deploy.hub" in sys.argv:
    bundle = pathlib.Path(sys.argv[sys.argv.index("--bundle") + 1])
    (here / "pushed").write_text(" ".join(sorted(path.name for path in bundle.iterdir())))
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A folder with a Python and a podman that only note; `broken` there names what is to fail."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("python", "podman"):
        (folder / name).write_text(TOOL.format(python=sys.executable, folder=str(folder), name=name))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    (folder / "calls").touch()
    return folder


def git(root, *arguments):
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    ended = subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return ended.stdout.strip()


def commit(root, **files):
    for name, content in files.items():
        (root / name).write_text(content)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "-m", "state")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A checkout that is ready for version 1.2.3, with an `origin`."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "me")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "me@example.org")
    root = tmp_path / "checkout"
    shutil.copytree(SHIPPED_BUNDLE, root / "cat_model" / "bundle")
    (root / "cat_model" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    (root / ".gitignore").write_text("/dist/\n")
    git(root.parent, "init", "--quiet", "--bare", "origin.git")
    git(root, "init", "--quiet")
    git(root, "remote", "add", "origin", str(root.parent / "origin.git"))
    commit(root, **{"CHANGELOG.md": CHANGELOG})
    return root


@pytest.fixture
def key(tmp_path):
    made = Ed25519PrivateKey.generate()
    path = tmp_path / "key.pem"
    path.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def run(root, tools, *arguments):
    return release.main([str(each) for each in arguments], root, str(tools / "python"))


def calls(tools):
    return (tools / "calls").read_text().splitlines()


def test_a_release_has_wheel_signed_bundle_bill_of_materials_and_sums(root, tools, key, capsys):
    assert run(root, tools, "--key", key) == 0
    out = root / "dist" / "1.2.3"
    names = {path.name for path in out.iterdir()}
    bundle, bill = "are-you-a-cat-1.2.3-bundle.tar.gz", "are-you-a-cat-1.2.3.cdx.json"
    assert names == {"are_you_a_cat-1.2.3.whl", bundle, bill, "SHA256SUMS"}
    for line in (out / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
        names.remove(name)
    assert names == {"SHA256SUMS"}
    said = capsys.readouterr().out
    with tarfile.open(out / bundle) as archive:
        archive.extractall(root.parent / "unpacked", filter="data")
    public = re.search(r"CAT_BUNDLE_PUBLIC_KEY=(\S+)", said)
    assert public
    assert Bundle.read(root.parent / "unpacked" / MODEL, public[1]).version == MODEL
    assert [call.partition(" -m ")[2] for call in calls(tools)[:3]] == ["web.build", "tests", "tests --slow"]
    assert [call.split()[2] for call in calls(tools)[3:]] == ["build", "cyclonedx_py"]
    assert "No image was made: that takes deploy/Dockerfile, podman and make." in said
    assert said.endswith("Nothing was pushed; --push does.\n")


def test_nothing_is_pushed_unless_asked(root, tools):
    assert run(root, tools, "--unsigned", "--image", "r/cat", "--model", "me/cats") == 0
    assert not any("podman push" in call or "deploy.hub" in call for call in calls(tools))
    assert git(root, "tag") == ""
    assert git(root.parent / "origin.git", "tag") == ""


def test_the_same_bundle_gives_the_same_archive_at_any_time(root, tools, monkeypatch):
    archives = []
    for now in (1.8e9, 1.9e9):
        monkeypatch.setattr("time.time", lambda now=now: now)
        assert run(root, tools, "--unsigned") == 0
        archives.append((root / "dist/1.2.3/are-you-a-cat-1.2.3-bundle.tar.gz").read_bytes())
        shutil.rmtree(root / "dist")
    assert archives[0] == archives[1]


def test_the_image_is_built_and_saved_where_there_is_a_dockerfile(root, tools, monkeypatch):
    (root / "deploy").mkdir()
    shutil.copy(ROOT / "Makefile", root)
    commit(root, **{"deploy/Dockerfile": "FROM scratch\n"})
    monkeypatch.setenv("MAKEFLAGS", " -- ARGS=--unsigned")  # as `make release` sets it
    assert run(root, tools, "--unsigned", "--image-options=--network=host") == 0
    assert (root / "dist/1.2.3/are-you-a-cat-1.2.3-image.tar").exists()
    build, save = (call for call in calls(tools) if call.startswith("podman"))
    assert build.startswith("podman build -f deploy/Dockerfile -t are-you-a-cat:1.2.3 ")
    assert f"--build-arg VERSION=1.2.3 --build-arg REVISION={git(root, 'rev-parse', 'HEAD')}" in build
    assert build.endswith(" --network=host .")
    assert save.startswith("podman save --format docker-archive --output ")


def test_a_push_pushes_what_is_named_and_the_tag_last(root, tools, key, capsys):
    assert run(root, tools, "--key", key, "--push", "--image", "r/cat", "--model", "me/cats") == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "Pushed the image r/cat:1.2.3.", "Pushed the model to me/cats.", "Pushed the tag v1.2.3.",
    ]  # fmt: skip
    assert "podman push are-you-a-cat:1.2.3 r/cat:1.2.3" in calls(tools)
    assert "manifest.sig" in (tools / "pushed").read_text()
    assert git(root.parent / "origin.git", "rev-list", "-1", "v1.2.3") == git(root, "rev-parse", "HEAD")


def test_without_names_a_push_pushes_the_tag_alone(root, tools):
    git(root, "tag", "v1.2.3")  # as in the workflow, which a tag starts
    assert run(root, tools, "--unsigned", "--push") == 0
    assert not any("podman push" in call or "deploy.hub" in call for call in calls(tools))
    assert git(root.parent / "origin.git", "tag") == "v1.2.3"


@pytest.mark.parametrize("tool", ["tests", "tests --slow", "web.build", "build", "cyclonedx_py"])
def test_a_tool_that_fails_is_named_and_leaves_nothing(root, tools, tool, capsys):
    (tools / "broken").write_text(f"-m {tool}")
    assert run(root, tools, "--unsigned") == 1
    said = capsys.readouterr().err
    assert re.match(r"The .* failed:\nit broke\n", said)
    assert not list(root.glob("dist/*"))


def test_a_push_that_fails_leaves_the_tag_unpushed(root, tools, capsys):
    (tools / "broken").write_text("deploy.hub")
    assert run(root, tools, "--unsigned", "--push", "--model", "me/cats") == 1
    assert capsys.readouterr().err == "The push of the model failed:\nit broke\n"
    assert git(root.parent / "origin.git", "tag") == ""


@pytest.mark.parametrize(
    ("changelog", "sentence"),
    [
        (CHANGELOG.replace("1.2.3", "1.2.4"), "CHANGELOG.md has no section [1.2.3]."),
        (CHANGELOG.replace("- Something.\n", ""), "The section [1.2.3] of CHANGELOG.md is empty."),
        (CHANGELOG.replace(" - 2026-12-01", ""), "The section [1.2.3] of CHANGELOG.md has no date"),
        (CHANGELOG.replace("## [1.2.3]", "- More.\n\n## [1.2.3]"), "has changes under [Unreleased]"),
    ],
)
def test_the_changelog_must_have_the_version(root, tools, changelog, sentence, capsys):
    commit(root, **{"CHANGELOG.md": changelog})
    assert run(root, tools, "--unsigned") == 1
    assert sentence in capsys.readouterr().err
    assert calls(tools) == []


def test_what_is_not_committed_is_refused(root, tools, capsys):
    (root / "new.py").write_text("")
    assert run(root, tools, "--unsigned") == 1
    assert capsys.readouterr().err == "The checkout has changes that are not committed.\n"


def test_a_version_that_was_released_from_another_commit_is_refused(root, tools, capsys):
    git(root, "tag", "v1.2.3")
    commit(root)
    assert run(root, tools, "--unsigned") == 1
    assert capsys.readouterr().err.startswith("The tag v1.2.3 names another commit")


@pytest.mark.parametrize("gate", [{"passed": False}, {"passed": True, "forced": "in a hurry"}, None])
def test_a_model_that_did_not_pass_its_gate_is_refused(root, tools, gate, capsys):
    path = root / "cat_model/bundle/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["gate"] = gate
    if gate is None:
        del manifest["gate"]
    commit(root, **{"cat_model/bundle/manifest.json": json.dumps(manifest)})
    assert run(root, tools, "--unsigned") == 1
    assert capsys.readouterr().err == f"The model {MODEL} did not pass its gate.\n"


def test_an_unsigned_bundle_is_released_only_on_request(root, tools, capsys):
    assert run(root, tools) == 1
    assert "The bundle is not signed: --key KEY.pem signs it" in capsys.readouterr().err


def test_a_key_that_is_none_and_a_file_that_is_missing_are_sentences(root, tools, capsys):
    assert run(root, tools, "--key", root / "CHANGELOG.md") == 1
    assert capsys.readouterr().err.startswith("The key must be an Ed25519 key in PEM")
    assert run(root, tools, "--key", root / "none.pem") == 1
    assert capsys.readouterr().err == f"{root / 'none.pem'}: No such file or directory.\n"
    assert not list(root.glob("dist/*"))


def test_an_earlier_release_is_not_replaced(root, tools, capsys):
    (root / "dist" / "1.2.3").mkdir(parents=True)
    assert run(root, tools, "--unsigned") == 1
    assert "is there already; delete it" in capsys.readouterr().err


def test_a_version_of_another_form_is_refused(root, tools, capsys):
    (root / "cat_model/__init__.py").write_text('__version__ = "soon"\n')
    assert run(root, tools, "--unsigned") == 1
    assert capsys.readouterr().err == "cat_model/__init__.py names no version of the form 1.2.3.\n"


def test_the_workflow_makes_a_release_on_a_tag():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8"))
    assert workflow[True]["push"]["tags"] == ["v*"]  # YAML 1.1 reads "on" as true
    (job,) = workflow["jobs"].values()
    (script,) = [step["run"] for step in job["steps"] if "run" in step]
    assert "make release ARGS=" in script
    assert "--push" not in script


@pytest.mark.slow
def test_the_bill_of_materials_lists_the_pins(tmp_path):
    pytest.importorskip("cyclonedx_py", reason="cyclonedx-bom is not installed")
    ready = release.Release(ROOT, "1.2.3", Bundle.read(), sys.executable)
    release._bill_of_materials(ready, tmp_path / "bill.json")
    bill = json.loads((tmp_path / "bill.json").read_text())
    pins = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE))
    assert {each["name"] for each in bill["components"]} == pins
    assert bill["metadata"]["component"]["name"] == "are-you-a-cat"
