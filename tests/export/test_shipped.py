"""A bundle that is there can be signed, given a self-test and taken back."""

import json
import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import cat_model
from cat_model import BundleError, selftest
from cat_model.bundle import Bundle, previous
from cat_model.settings import SHIPPED_BUNDLE
from export import __main__ as export_line


@pytest.fixture
def target(tmp_path):
    """A copy of the shipped bundle as it would be without a self-test."""
    folder = shutil.copytree(SHIPPED_BUNDLE, tmp_path / "bundle")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest.pop("golden", None)
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema": 1}))
    (folder / "manifest.sig").unlink(missing_ok=True)
    return folder


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """MLflow's store of each test: a file that is not there yet."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key.pem"
    private = Ed25519PrivateKey.generate()
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def run(target, *words):
    return export_line.main([*map(str, words), "--bundle", str(target)])


@pytest.mark.parametrize("command", ["self-test", "golden"])
def test_a_self_test_is_added_and_all_else_stays(target, capsys, command):
    before = Bundle.read(target)
    assert run(target, command) == 0
    after = cat_model.load(target).bundle
    assert len(after.recorded) == selftest.PICTURES
    assert dict(after.manifest) == dict(before.manifest) | {
        "schema": 2, "golden": json.loads(json.dumps([vars(each) for each in after.recorded]))
    }  # fmt: skip
    assert {path.name for path in target.iterdir()} == {path.name for path in previous(target).iterdir()}
    assert "a self-test of 4 pictures" in capsys.readouterr().out


def test_a_signed_bundle_is_served_by_its_key(target, key, capsys):
    assert run(target, "sign", "--key", key) == 0
    public = capsys.readouterr().out.strip().partition("CAT_BUNDLE_PUBLIC_KEY=")[2]
    assert cat_model.load(target, public_key=public)
    assert run(target, "self-test") == 0  # changes the manifest, so the signature goes
    with pytest.raises(BundleError, match="not signed"):
        cat_model.load(target, public_key=public)


def test_a_rollback_brings_back_the_bundle_before(target, capsys):
    assert run(target, "rollback") == 1
    assert "bundle.previous" in capsys.readouterr().err
    assert run(target, "self-test") == 0
    assert run(target, "rollback") == 0
    assert Bundle.read(target).recorded == ()
    said = capsys.readouterr().out
    assert Bundle.read(target).version in said
    assert "no alias was moved" in said


def test_a_key_that_is_none_is_refused_in_a_sentence(target, key, capsys):
    key.write_text("no key")
    assert run(target, "sign", "--key", key) == 1
    assert "Ed25519" in capsys.readouterr().err
    assert run(target, "sign", "--key", key.with_name("none.pem")) == 1


@pytest.mark.parametrize("words", [["sign"], [], ["rollback", "--run", "x"], ["rolback"]])
def test_half_a_command_is_refused(target, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(target, *words)
    assert stopped.value.code == 2
