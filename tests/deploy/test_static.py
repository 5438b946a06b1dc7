"""python -m deploy.static: the files of the site, and what it refuses."""

import gzip
import io
import json
import re

import pytest
from PIL import Image

from cat_model.bundle import sha256
from deploy import static
from deploy.mark import MARK
from web.build import COMPRESSED, ENGINE
from web.build import PAGE as MODULES


@pytest.fixture
def engine(tmp_path):
    """A folder like that of a built engine."""
    folder = tmp_path / "engine"
    folder.mkdir()
    for name in (ENGINE, *MODULES):
        (folder / name).write_text("export {};")
    (folder / "litert-wasm.0123.wasm.gz.bin").write_bytes(b"packed")
    return folder


def test_the_site_holds_the_model_compressed_under_its_own_hash(engine):
    files = static.site(built=engine)
    described = json.loads(files["manifest.json"])["model"]
    assert described["file"].endswith(COMPRESSED)
    assert sha256(gzip.decompress(files[described["file"]])) == described["sha256"]


def test_the_service_worker_knows_every_file_and_keeps_the_first_ones(engine):
    files = static.site(built=engine)
    text = files["service-worker.js"].decode()
    kept, first, last = (json.loads(found) for found in re.findall(r"JSON\.parse\('(.*)'\)", text))
    assert set(kept) == set(files) - {"service-worker.js"}
    assert set(first) | set(last) <= set(kept)
    assert all(re.fullmatch(r"[0-9a-f]{16}", found) for found in kept.values())


def test_a_changed_file_changes_the_service_worker(engine):
    before = static.site(built=engine)["service-worker.js"]
    (engine / ENGINE).write_text("export const changed = 1;")
    assert static.site(built=engine)["service-worker.js"] != before


def test_the_page_names_only_files_of_its_own(engine):
    files = static.site(built=engine)
    text = files["index.html"].decode()
    for name in re.findall(r'(?:href|src|data-photo)="([^"]+)"', text):
        assert name in files
    for name in (each for each in files if each.endswith((".html", ".js", ".css", ".webmanifest"))):
        assert "://" not in files[name].decode(), name
    assert "style=" not in text


def test_icons_are_pictures_of_their_size(engine):
    files = static.site(built=engine)
    for each in json.loads(files["site.webmanifest"])["icons"]:
        assert "x".join(map(str, Image.open(io.BytesIO(files[each["src"]])).size)) == each["sizes"]


def test_a_site_is_replaced_and_what_is_gone_from_it_goes(engine, tmp_path):
    out = tmp_path / "out"
    static.write(out, static.site(built=engine))
    (engine / "litert-wasm.0123.wasm.gz.bin").rename(engine / "litert-wasm.4567.wasm.gz.bin")
    files = static.site(built=engine)
    static.write(out, files)
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert there == {*files, MARK}


@pytest.mark.parametrize("name", ["CNAME", ".git/HEAD", "site.webmanifest", "examples/mine.jpg"])
@pytest.mark.parametrize("with_site", [True, False])
def test_a_folder_that_holds_anything_else_is_left_as_it_is(engine, tmp_path, name, with_site):
    files = static.site(built=engine)
    out = tmp_path / "out"
    if with_site:
        static.write(out, {path: content for path, content in files.items() if path != name})
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(static.StaticError, match="something else"):
        static.write(out, files)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_file_in_the_way_is_left_as_it_is(engine, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(static.StaticError, match="something else"):
        static.write(tmp_path / "out", static.site(built=engine))
    assert (tmp_path / "out").read_text() == "mine"


def test_without_an_engine_a_sentence_says_how_to_make_it(tmp_path, monkeypatch, capsys):
    with pytest.raises(static.StaticError, match=r"python -m web\.build"):
        static.site(built=tmp_path)
    assert static.main([str(tmp_path / "out"), "--bundle", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err
