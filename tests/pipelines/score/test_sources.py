"""What is to be scored: folders and manifests on disk, in an order that stays."""

import csv
import gzip
import json
import os

import pyarrow as pa
import pytest
from pyarrow import parquet

from cat_model import PhotoError
from pipelines.score import sources
from pipelines.score.places import PlaceError
from pipelines.score.sources import SourceError, source
from tests.pipelines.score.conftest import KEYS


def keys(*arguments, **options):
    return list(source(*map(str, arguments), **options).keys())


def write_csv(path, *rows, **options):
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", newline="", **options) as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_folder_gives_its_photos_sorted_and_no_junk(photos):
    assert keys(photos) == list(KEYS)
    assert keys(f"{photos}/") == list(KEYS)
    assert keys(photos, every=True) == sorted([*KEYS, "cat/notes.txt"])


def test_keys_of_a_folder_lead_to_the_files(photos):
    found = source(str(photos))
    assert found.photos.read("misc/bad.jpg", 100) == b"no photo at all"
    assert found.photos.read("misc/bad.jpg", 4) == b"no ph"  # one more than may be: enough to refuse it


def test_links_to_folders_are_not_followed_and_links_to_files_are(photos):
    (photos / "loop").symlink_to(photos)
    (photos / "again.jpg").symlink_to(photos / "cat" / "one.jpg")
    assert keys(photos) == ["again.jpg", *KEYS]


def test_a_folder_that_cannot_be_listed_stops_the_listing(photos, monkeypatch):
    def scandir(path, scandir=os.scandir):
        if str(path).endswith("misc"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(SourceError, match=r"misc cannot be read: Permission denied\.$"):
        keys(photos)


def test_what_is_no_source_is_refused(tmp_path):
    with pytest.raises(SourceError, match="is no folder, no address"):
        source(str(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match="--base is for manifests"):
        source(str(tmp_path), base="s3://bucket")
    with pytest.raises(PlaceError, match="names no bucket"):
        source("s3:///photos")


@pytest.mark.parametrize("name", ["list.csv", "list.csv.gz"])
def test_a_csv_manifest_gives_the_keys_of_its_column(photos, name):
    path = write_csv(
        photos / name, ["size", "key"], [1, "cat/two.jpg"], [2, "x, y.bin"], encoding="utf-8-sig"
    )
    found = source(str(path))
    assert list(found.keys()) == list(found.keys()) == ["cat/two.jpg", "x, y.bin"]
    assert found.photos.read("misc/bad.jpg", 100) == b"no photo at all"  # beside the manifest


def test_a_parquet_manifest_gives_the_keys_of_its_column(photos):
    parquet.write_table(pa.table({"size": [1, 2], "path": ["a.jpg", "b.jpg"]}), photos / "list.parquet")
    assert keys(photos / "list.parquet", column="path") == ["a.jpg", "b.jpg"]


def test_keys_of_a_manifest_are_relative_to_its_folder_or_to_base(photos, tmp_path):
    path = write_csv(tmp_path / "list.csv", ["key"], ["bad.jpg"])
    with pytest.raises(PhotoError, match="no such file"):
        source(str(path)).photos.read("bad.jpg", 100)
    assert source(str(path), base=str(photos / "misc")).photos.read("bad.jpg", 100) == b"no photo at all"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([["path"], ["a.jpg"]], r"has no column 'key'; it has path\."),
        ([], r"has no column 'key'; it has none\."),
        ([["key", "size"], ["a.jpg"]], r"has a row of 1 cells, line 2\."),
        ([["key", "size"], ["", "1"]], r"has a row without a key\."),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(tmp_path, rows, sentence):
    with pytest.raises(SourceError, match=sentence):
        keys(write_csv(tmp_path / "list.csv", *rows))


@pytest.mark.parametrize("name", ["list.csv", "list.csv.gz", "list.parquet"])
def test_a_manifest_that_is_no_table_is_refused_in_a_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\0 no table")
    with pytest.raises(SourceError, match=r"^list\.\S+ (cannot be read as a table|has no column)"):
        keys(tmp_path / name)


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(PlaceError, match=r"nowhere\.csv cannot be read: No such file"):
        source(str(tmp_path / "nowhere.csv"))


def test_what_is_no_inventory_is_refused(tmp_path):
    path = tmp_path / "manifest.json"
    for text in ("no json", "[]", "{}"):
        path.write_text(text)
        with pytest.raises(SourceError, match="is not the manifest of an S3 Inventory"):
            source(str(path))
    stored = {"sourceBucket": "a", "destinationBucket": "arn:aws:s3:::b", "files": [], "fileSchema": ""}
    path.write_text(json.dumps({**stored, "fileFormat": "ORC"}))
    with pytest.raises(SourceError, match="lists ORC files; only CSV and Parquet"):
        source(str(path))


def test_a_large_manifest_is_not_held_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "ROWS", 10)
    table = pa.table({"key": [f"{number}.jpg" for number in range(1000)]})
    parquet.write_table(table, tmp_path / "list.parquet", row_group_size=10)
    read = []
    iterate = parquet.ParquetFile.iter_batches

    def counted(self, *arguments, **options):
        for batch in iterate(self, *arguments, **options):
            read.append(len(batch))
            yield batch

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", counted)
    found = source(str(tmp_path / "list.parquet")).keys()
    assert [next(found) for _ in range(15)][-1] == "14.jpg"
    assert read == [10, 10]
