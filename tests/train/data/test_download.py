"""The public set: parquet files become folders of groups; without a network there is one sentence."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from train.__main__ import main
from train.config import TrainError
from train.data import download

SOURCE = download.Source("owner/photos", "CC0", "label", {"tabby": "cat"}, "misc")


def write_parquet(path, column="label"):
    features = {column: {"names": ["tabby", "chair"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    table = pa.table(
        {"image": [{"bytes": b"one", "path": None}, {"bytes": b"two", "path": None}], column: [0, 1]}
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)


def test_classes_become_groups(tmp_path):
    write_parquet(tmp_path / "train.parquet")
    download.unpack(tmp_path, SOURCE, tmp_path / "out")
    found = {path.parent.name: path.read_bytes() for path in (tmp_path / "out").glob("*/*.jpg")}
    assert found == {"cat": b"one", "misc": b"two"}


def test_a_dataset_that_changed_its_columns_is_refused_in_words(tmp_path):
    write_parquet(tmp_path / "train.parquet", column="breed")
    with pytest.raises(TrainError, match="no classes in a column 'label'"):
        download.unpack(tmp_path, SOURCE, tmp_path / "out")


def test_an_empty_dataset_is_refused_in_words(tmp_path):
    with pytest.raises(TrainError, match="No photos"):
        download.unpack(tmp_path, SOURCE, tmp_path / "out")


def test_without_a_network_it_says_so_in_one_sentence(tmp_path, monkeypatch, capsys):
    def unreachable(*_, **__):
        raise ConnectionError("[Errno -2] Name or service not known")

    monkeypatch.setattr(download, "snapshot_download", unreachable)
    assert main(["fetch", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "is there a network?" in said
    assert "Traceback" not in said
