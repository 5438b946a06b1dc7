"""A bundle is read whole and verified, or refused in words; it is replaced in one step, or not at all."""

import json
import stat
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cat_model import bundle, signature
from cat_model.bundle import Bundle, BundleError, previous, roll_back, sha256, write
from cat_model.selftest import Recorded


def files(name="first", **changes):
    """The files of a valid bundle; its model is no model, which reading does not mind."""
    model = name.encode() * 1000
    manifest = {
        "schema": 1,
        "version": name,
        "model": {"bytes": len(model), "sha256": sha256(model)},
        "input": {"side": 224},
        "threshold": 0.5,
        "unsure": [0.3, 0.7],
    }
    return {"manifest.json": json.dumps(manifest | changes).encode(), "model.tflite": model}


def content(folder):
    """All that lies in a folder, staging folders and other hidden things included."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def no_exchange(first, second):
    """What `_exchange` says on a system without renameat2."""
    return False


@pytest.fixture
def folder(tmp_path):
    """A bundle called "first", alone in its parent folder."""
    write(tmp_path / "home" / "bundle", files())
    return tmp_path / "home" / "bundle"


def refusal(folder):
    with pytest.raises(BundleError) as caught:
        Bundle.read(folder)
    assert str(folder) in str(caught.value)
    assert str(caught.value).endswith(".")
    return str(caught.value)


def test_read_gives_what_the_manifest_says(folder):
    read = Bundle.read(folder)
    assert (read.version, read.side, read.threshold, read.unsure) == ("first", 224, 0.5, (0.3, 0.7))
    assert read.model == files()["model.tflite"]
    assert read.manifest == json.loads(files()["manifest.json"])
    assert read == Bundle.read(str(folder))


@pytest.mark.parametrize("name", ["manifest.json", "model.tflite"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert name in refusal(folder)


def test_a_missing_folder_is_named(tmp_path):
    assert "No model" in refusal(tmp_path / "nowhere")


def test_changed_bytes_are_found(folder):
    model = bytearray(files()["model.tflite"])
    model[77] ^= 1
    (folder / "model.tflite").write_bytes(model)
    sentence = refusal(folder)
    assert "model.tflite" in sentence
    assert sha256(bytes(model)) in sentence
    assert sha256(files()["model.tflite"]) in sentence


def test_a_truncated_model_is_found_with_both_sizes(folder):
    (folder / "model.tflite").write_bytes(files()["model.tflite"][:-1])
    sentence = refusal(folder)
    assert "4999" in sentence
    assert "5000" in sentence


@pytest.mark.parametrize("schema", [0, 3, "1", None])
def test_another_schema_is_refused_by_its_number(folder, schema):
    (folder / "manifest.json").write_bytes(files(schema=schema)["manifest.json"])
    assert f"schema {schema}; this program reads schemas 1 and 2" in refusal(folder)


@pytest.mark.parametrize("text", [b"", b"{", b"no json", b"\xff\xfe\x00", b'{"schema": 1'])
def test_bad_json_is_named_so(folder, text):
    (folder / "manifest.json").write_bytes(text)
    assert "not valid JSON" in refusal(folder)


@pytest.mark.parametrize("key", ["schema", "version", "model", "input", "threshold", "unsure"])
def test_a_missing_key_is_named(folder, key):
    manifest = json.loads(files()["manifest.json"])
    del manifest[key]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert f"lacks '{key}'" in refusal(folder)


@pytest.mark.parametrize(("outer", "inner"), [("model", "bytes"), ("model", "sha256"), ("input", "side")])
def test_a_missing_inner_key_is_named(folder, outer, inner):
    manifest = json.loads(files()["manifest.json"])
    del manifest[outer][inner]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert f"lacks '{inner}'" in refusal(folder)


@pytest.mark.parametrize("manifest", ["[]", "3", "null", '"schema"'])
def test_a_manifest_that_is_no_object_is_refused(folder, manifest):
    (folder / "manifest.json").write_text(manifest)
    assert "wrong kind" in refusal(folder)


@pytest.mark.parametrize(
    ("threshold", "band"),
    [
        (0.2, [0.3, 0.7]),
        (0.8, [0.3, 0.7]),
        (0.5, [0.7, 0.3]),
        (1.5, [0.3, 1.7]),
        (-1, [-2, 0.5]),
        (float("nan"), [0.3, 0.7]),
        (0.5, [float("nan"), 0.7]),
    ],
)
def test_a_threshold_outside_its_band_is_refused(folder, threshold, band):
    (folder / "manifest.json").write_bytes(files(threshold=threshold, unsure=band)["manifest.json"])
    assert f"threshold {threshold}" in refusal(folder)


@pytest.mark.parametrize(
    "changes", [{"threshold": "0.5"}, {"unsure": 0.5}, {"unsure": ["a", "b"]}, {"model": 3}]
)
def test_values_of_another_kind_are_refused(folder, changes):
    (folder / "manifest.json").write_bytes(files(**changes)["manifest.json"])
    assert "wrong kind" in refusal(folder)


@pytest.mark.parametrize("band", [[], [0.5], [0.1, 0.5, 0.9]])
def test_a_band_has_two_ends(folder, band):
    (folder / "manifest.json").write_bytes(files(unsure=band)["manifest.json"])
    assert f"{len(band)} ends" in refusal(folder)


@pytest.fixture(params=["renameat2", "two renames"])
def way(request, monkeypatch):
    """Both ways to let two folders change places."""
    if request.param == "two renames":
        monkeypatch.setattr(bundle, "_exchange", no_exchange)
    return request.param


def test_write_replaces_everything_and_leaves_nothing_else(folder, way):
    (folder / "stale.json").write_text("of the old one")
    new = files("second") | {"MODEL_CARD.md": b"# Card", "reference.json": b"{}"}
    assert write(folder, new).version == "second"
    assert content(folder) == new
    assert sorted(p.name for p in folder.parent.iterdir()) == ["bundle", "bundle.previous"]
    assert content(previous(folder)) == files() | {"stale.json": b"of the old one"}


def test_what_is_written_may_be_read_by_the_user_who_serves_it(folder):
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {0o644}


def test_a_link_goes_on_pointing_to_the_bundle(folder, way):
    link = folder.with_name("current")
    link.symlink_to(folder)
    write(link, files("second"))
    assert link.is_symlink()
    assert Bundle.read(link).version == Bundle.read(folder).version == "second"
    assert sorted(p.name for p in folder.parent.iterdir()) == ["bundle", "bundle.previous", "current"]


def test_readers_never_see_a_mixture(folder):
    """The two models have the same size and other bytes: any mixture would fail verification."""
    known = [files("lions"), files("tiger")]
    write(folder, known[0])
    done, seen, failures = threading.Event(), set(), []

    def read():
        while not done.is_set():
            try:
                now = Bundle.read(folder)
                assert now.model == now.version.encode() * 1000
                seen.add(now.version)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test reports it
                failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for turn in range(200):
            write(folder, known[turn % 2])
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert failures == []
    assert seen == {"lions", "tiger"}
    assert sorted(p.name for p in folder.parent.iterdir()) == ["bundle", "bundle.previous"]


def test_a_swap_between_two_files_of_one_read_is_noticed(folder, monkeypatch):
    read_bytes = type(folder).read_bytes
    swaps = iter([files("tiger")])

    def swap_then_read(self):
        if (new := next(swaps, None)) is not None:
            write(folder, new)
        return read_bytes(self)

    monkeypatch.setattr(type(folder), "read_bytes", swap_then_read)
    assert Bundle.read(folder).version == "tiger"


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"manifest.json": files()["manifest.json"]},
        {"model.tflite": b"x"},
        files("second") | {"model.tflite": b"other bytes"},
        files("second", threshold=2),
    ],
)
def test_files_that_are_no_bundle_leave_the_old_one(folder, bad):
    before = content(folder.parent)
    with pytest.raises(BundleError):
        write(folder, bad)
    assert content(folder.parent) == before


@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir", "chmod"])
def test_a_failing_disk_leaves_the_old_one(folder, monkeypatch, call):
    before = content(folder.parent)

    def fail(*arguments, **settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"os.{call}", fail)
    with pytest.raises(OSError, match="No space"):
        write(folder, files("second"))
    monkeypatch.undo()
    assert content(folder.parent) == before


def test_a_failing_second_rename_puts_the_old_one_back(folder, monkeypatch):
    before = content(folder.parent)
    rename = type(folder).rename

    def fail_for_the_new_one(self, target):
        if self.name.startswith(".") and not self.name.endswith("-old"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(bundle, "_exchange", no_exchange)
    monkeypatch.setattr(type(folder), "rename", fail_for_the_new_one)
    with pytest.raises(OSError, match="Input/output"):
        write(folder, files("second"))
    assert content(folder.parent) == before


def test_everything_is_on_the_disk_before_the_folders_change_places(folder, monkeypatch):
    events = []
    swap, durably = bundle._swap, bundle.write_durably
    monkeypatch.setattr(bundle, "_swap", lambda new, old: (events.append("swap"), swap(new, old)))
    monkeypatch.setattr(bundle, "flush_folder", lambda path: events.append(f"flush {path.name}"))
    monkeypatch.setattr(
        bundle,
        "write_durably",
        lambda path, *rest, **more: (events.append(path.name), durably(path, *rest, **more)),
    )
    write(folder, files("second"))
    assert events == ["manifest.json", "model.tflite", "swap", "flush home"]


def test_linux_exchanges_in_one_step(folder, tmp_path):
    """On Linux the fallback would go unnoticed by every other test."""
    if not hasattr(bundle.ctypes.CDLL(None), "renameat2"):
        pytest.skip("This system has no renameat2: only the two renames can be had.")
    other = folder.with_name("other")
    other.mkdir()
    assert bundle._exchange(folder, other)
    assert list(folder.iterdir()) == []
    assert Bundle.read(other).version == "first"


def test_a_rollback_brings_the_one_before_back_and_again_forth(folder, way):
    first, second = files(), files("second")
    write(folder, second)
    assert roll_back(folder).version == "first"
    assert (content(folder), content(previous(folder))) == (first, second)
    assert roll_back(folder).version == "second"
    write(folder, files("third"))
    assert content(previous(folder)) == second
    assert sorted(p.name for p in folder.parent.iterdir()) == ["bundle", "bundle.previous"]


def test_a_rollback_to_nothing_or_to_a_damaged_bundle_changes_nothing(folder):
    with pytest.raises(BundleError, match=r"bundle\.previous"):
        roll_back(folder)
    write(folder, files("second"))
    (previous(folder) / "model.tflite").write_bytes(b"damaged")
    before = content(folder.parent)
    with pytest.raises(BundleError, match="7 bytes"):
        roll_back(folder)
    assert content(folder.parent) == before


GOLDEN = [{"picture": 3, "probability": 0.5, "embedding": [1.0, 2.0]}]


def test_a_self_test_is_read_and_belongs_to_the_present_schema(folder):
    assert Bundle.read(folder).recorded == ()
    write(folder, files("second", schema=2, golden=GOLDEN))
    assert Bundle.read(folder).recorded == (Recorded(3, 0.5, (1.0, 2.0)),)
    for changes, words in (({}, "lacks 'golden'"), ({"golden": []}, "no recorded answers")):
        (folder / "manifest.json").write_bytes(files("second", schema=2, **changes)["manifest.json"])
        assert words in refusal(folder)


def test_a_bundle_must_be_signed_by_the_key_that_is_asked_for(folder):
    mine, theirs = (
        Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for _ in range(2)
    )
    signed, key = signature.sign(files()["manifest.json"], mine)
    with pytest.raises(BundleError, match="not signed"):
        Bundle.read(folder, key)
    (folder / "manifest.sig").write_bytes(signed)
    assert Bundle.read(folder, key) == Bundle.read(folder)
    with pytest.raises(BundleError, match="does not fit"):
        Bundle.read(folder, signature.sign(b"", theirs)[1])
    (folder / "manifest.json").write_bytes(files(threshold=0.6)["manifest.json"])
    assert Bundle.read(folder).threshold == 0.6
    with pytest.raises(BundleError, match="does not fit"):
        Bundle.read(folder, key)
    (folder / "manifest.sig").write_bytes(b"nonsense")
    with pytest.raises(BundleError, match="does not fit"):
        Bundle.read(folder, key)
    for wrong in ("", "short", signed.decode()):
        with pytest.raises(BundleError, match="CAT_BUNDLE_PUBLIC_KEY must be 32 bytes"):
            Bundle.read(folder, wrong)


@pytest.mark.parametrize(
    "key", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----"]
)
def test_only_an_ed25519_key_signs(key):
    with pytest.raises(signature.SignatureError, match="Ed25519 key in PEM"):
        signature.sign(b"", key)
