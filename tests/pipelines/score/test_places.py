"""Buckets: listing page by page, photos, manifests and results, with AWS's semantics and in a real store."""

import csv
import gzip
import io
import json
import pickle

import boto3
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from botocore.stub import Stubber
from pyarrow import parquet

from cat_model import PhotoError
from pipelines.score import __main__ as command
from pipelines.score.places import DeniedError, Objects, PlaceError
from pipelines.score.sources import BucketSource, source
from tests.cat_model.conftest import BUCKET, line, moto, place, swift  # noqa: F401
from tests.pipelines.score.conftest import KEYS


@pytest.fixture
def bucket(place):  # noqa: F811
    """The client of a store with an empty bucket."""
    return Objects(BUCKET)._client


def put(bucket, key, content=b"x"):
    bucket.put_object(Bucket=BUCKET, Key=key, Body=content)


@pytest.fixture
def uploaded(bucket, photos):
    """The photos of the folder, under in/."""
    for key in (*KEYS, "cat/notes.txt"):
        put(bucket, f"in/{key}", (photos / key).read_bytes())
    put(bucket, "in/@eaDir/thumb.jpg")
    put(bucket, "in-other/one.jpg")


def run(*arguments):
    return command.main(list(map(str, ["--workers=1", "--shard-size=2", *arguments])))


def table(folder):
    return ds.dataset(folder, format="parquet").to_table().sort_by("key")


@pytest.mark.slow
def test_a_prefix_is_scored_as_a_folder_is(uploaded, photos, tmp_path):
    assert run(f"s3://{BUCKET}/in/", tmp_path / "s3") == 0
    assert run(photos, tmp_path / "folder") == 0
    ours, folders = table(tmp_path / "s3"), table(tmp_path / "folder")
    assert ours.column("key").to_pylist() == [f"in/{key}" for key in sorted(KEYS)]
    assert ours.drop_columns("key") == folders.drop_columns("key")


def test_results_can_go_to_a_bucket_and_are_resumed_there(uploaded, bucket, photos, tmp_path, capsys):
    def files():
        found = bucket.list_objects_v2(Bucket=BUCKET, Prefix="out/")["Contents"]
        return {
            each["Key"].removeprefix("out/"): bucket.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read()
            for each in found
        }

    arguments = (photos, f"s3://{BUCKET}/out")
    assert run(*arguments) == run(photos, tmp_path / "out") == 0
    whole = files()
    assert whole == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert len(whole) == 4
    gone = sorted(whole)[2]
    bucket.delete_object(Bucket=BUCKET, Key=f"out/{gone}")
    capsys.readouterr()
    assert run(*arguments) == 0
    assert "; 3 were there" in capsys.readouterr().out
    assert files() == whole
    assert run(*arguments, "--limit=1") == 1
    assert "holds results of other settings" in capsys.readouterr().err


def test_a_listing_is_read_page_by_page(bucket):
    for number in range(5):
        put(bucket, f"in/{number}.jpg")
    where = Objects(BUCKET)
    asked = []

    def small(params, **_):
        params["MaxKeys"] = 2
        asked.append(params.get("ContinuationToken"))

    where._client.meta.events.register("before-parameter-build.s3.ListObjectsV2", small)
    found = BucketSource(where).keys()
    assert next(found) == "in/0.jpg"
    assert len(asked) == 1
    assert list(found) == [f"in/{number}.jpg" for number in range(1, 5)]
    assert len(asked) == len(set(asked)) == 3


def test_keys_with_signs_of_all_kinds_are_found_again(bucket):
    keys = ["in/a b+c%20.jpg", "in/käse & ø.jpg", "in/quote'\".jpg"]
    for key in keys:
        put(bucket, key, key.encode())
    found = source(f"s3://{BUCKET}/in/")
    assert sorted(found.keys()) == sorted(keys)
    assert [found.photos.read(key, 100) for key in keys] == [key.encode() for key in keys]


def test_of_a_large_object_only_enough_is_read_to_refuse_it(bucket):
    put(bucket, "large.jpg", bytes(5000))
    assert Objects(BUCKET).photo("large.jpg", 99) == bytes(100)
    assert Objects(BUCKET).photo("large.jpg", 5000) == bytes(5000)


def test_what_is_missing_is_said(bucket, tmp_path, capsys):
    with pytest.raises(PhotoError, match="There is no such object"):
        Objects(BUCKET).photo("nothing.jpg", 99)
    with pytest.raises(PlaceError, match=r"^S3 bucket no-such-bucket: .*NoSuchBucket"):
        Objects("no-such-bucket").photo("nothing.jpg", 99)
    assert run("s3://no-such-bucket/in/", tmp_path / "out") == 1
    assert "NoSuchBucket" in capsys.readouterr().err
    assert run(f"s3://{BUCKET}/list.csv", tmp_path / "out") == 1
    assert capsys.readouterr().err == f"s3://{BUCKET}/list.csv: There is no such object.\n"
    assert run(f"s3://{BUCKET}/in/", tmp_path / "other") == 1
    assert capsys.readouterr().err == "There are no photos to score.\n"


def test_wrong_credentials_are_said_in_a_sentence(uploaded, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert run(f"s3://{BUCKET}/in/", tmp_path / "out") == 1
    assert capsys.readouterr().err == f"S3 bucket {BUCKET}: Unable to locate credentials\n"


def test_a_bucket_crosses_to_another_process_without_its_connection(bucket):
    put(bucket, "a.jpg")
    where = Objects(BUCKET, "a")
    assert where.photo(".jpg", 9) == b"x"
    assert pickle.loads(pickle.dumps(where)) == where
    assert "_client" not in vars(pickle.loads(pickle.dumps(where)))


def test_a_body_that_breaks_off_is_read_again(bucket, line):  # noqa: F811
    content = bytes(range(256)) * 4000
    put(bucket, "a.jpg", content)
    line.mood = lambda number: "cut down" if number < 2 else "well"
    assert Objects(BUCKET).photo("a.jpg", 10_000_000) == content
    line.mood = lambda number: "cut down"
    with pytest.raises(PlaceError, match=f"^S3 bucket {BUCKET}: "):
        Objects(BUCKET).photo("a.jpg", 10_000_000)


@pytest.mark.parametrize("base", [None, "s3"])
def test_a_manifest_may_hold_addresses_and_keys(uploaded, photos, tmp_path, base):
    with (photos / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["key"], ["cat/one.jpg"], [f"s3://{BUCKET}/in/misc/cup.jpg"]])
    also = [f"--base=s3://{BUCKET}/in"] if base else []
    assert run(photos / "list.csv", tmp_path / "out", *also) == 0
    found = table(tmp_path / "out")
    assert found.column("key").to_pylist() == ["cat/one.jpg", f"s3://{BUCKET}/in/misc/cup.jpg"]
    assert found.column("error").to_pylist() == [None, None]


def test_an_address_of_a_manifest_that_is_none_is_a_row_and_costs_no_other_its_answer(
    uploaded, photos, tmp_path
):
    wrong = {
        "s3://": "This address names no object",
        f"s3://{BUCKET}/": "This address names no object",
        "s3://bad bucket/x.jpg": "No object of S3 can have this address.",
        "s3://no-such-bucket-here/x.jpg": "There is no such bucket.",
        f"s3://{BUCKET}/{'x' * 1100}.jpg": "There is no such object.",
    }
    manifest = photos / "keys.csv"
    manifest.write_text("\n".join(["key", KEYS[0], *wrong]) + "\n")
    assert run(manifest, tmp_path / "out") == 0
    rows = {row["key"]: row for row in table(tmp_path / "out").to_pylist()}
    assert rows[KEYS[0]]["label"] == "cat"
    for address, sentence in wrong.items():
        assert rows[address]["error"].startswith(sentence), address


def test_addresses_of_a_manifest_are_read_over_the_same_connections(uploaded, photos, monkeypatch):
    made, true = [], boto3.Session.client

    def client(session, *names, **settings):
        made.append(names)
        return true(session, *names, **settings)

    monkeypatch.setattr("boto3.Session.client", client)
    (photos / "list.csv").write_text("key\ncat/one.jpg\n")
    found = source(str(photos / "list.csv")).photos
    for key in KEYS[:3]:
        assert found.read(f"s3://{BUCKET}/in/{key}", 10_000_000) == (photos / key).read_bytes()
    assert made == [("s3",)]


def test_a_bucket_connects_once_and_leaves_it_to_the_first_photo_to_say_what_is_wrong(bucket, monkeypatch):
    put(bucket, "a.jpg")
    where = Objects(BUCKET)
    where.connect()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "no address")
    assert where.photo("a.jpg", 10) == b"x"  # by what it was told before
    wrong = Objects(BUCKET)
    wrong.connect()
    with pytest.raises(PlaceError, match="no address"):
        wrong.photo("a.jpg", 10)


def test_a_manifest_may_lie_in_the_bucket(uploaded, bucket):
    file = io.BytesIO()
    parquet.write_table(pa.table({"key": ["cat/one.jpg"]}), file)
    put(bucket, "in/list.parquet", file.getvalue())
    found = source(f"s3://{BUCKET}/in/list.parquet")
    assert list(found.keys()) == ["cat/one.jpg"]
    assert len(found.photos.read("cat/one.jpg", 10_000_000)) > 1000


def inventory(bucket, form, schema, contents):
    """Write an inventory of the bucket as S3 does; return its address."""
    keys = []
    for number, content in enumerate(contents):
        keys.append(f"inventory/data/{number}.{'csv.gz' if form == 'CSV' else 'parquet'}")
        put(bucket, keys[-1], content)
    stored = {
        "sourceBucket": BUCKET,
        "destinationBucket": f"arn:aws:s3:::{BUCKET}",
        "version": "2016-11-30",
        "fileFormat": form,
        "fileSchema": schema,
        "files": [{"key": key, "size": 1, "MD5checksum": ""} for key in keys],
    }
    put(bucket, "inventory/2026/manifest.json", json.dumps(stored).encode())
    return f"s3://{BUCKET}/inventory/2026/manifest.json"


def test_an_inventory_in_csv_is_read(uploaded, bucket, tmp_path):
    versions = [
        [
            [BUCKET, "in/cat/one.jpg", "v2", "true", "false"],
            [BUCKET, "in/cat/one.jpg", "v1", "false", "false"],
        ],
        [
            [BUCKET, "in/cat/two.jpg", "v1", "true", "true"],
            [BUCKET, "in/cat/notes.txt", "v1", "true", "false"],
        ],
        [[BUCKET, "in/a+b%2Bc%C3%A9.jpg", "v1", "true", "false"]],
    ]
    contents = []
    for rows in versions:
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
        contents.append(gzip.compress(text.getvalue().encode()))
    address = inventory(bucket, "CSV", "Bucket, Key, VersionId, IsLatest, IsDeleteMarker", contents)
    put(bucket, "in/a b+cé.jpg", b"none")
    assert list(source(address).keys()) == ["in/cat/one.jpg", "in/a b+cé.jpg"]
    assert run(address, tmp_path / "out") == 0
    assert [error is None for error in table(tmp_path / "out").column("error").to_pylist()] == [False, True]


@pytest.mark.slow
def test_an_inventory_in_parquet_is_read(bucket):
    file = io.BytesIO()
    rows = {"bucket": [BUCKET] * 3, "key": ["a b.jpg", "b%20.jpg", "c.txt"], "size": [1, 2, 3]}
    parquet.write_table(pa.table(rows), file)
    address = inventory(
        bucket, "Parquet", "message s3.inventory { required binary bucket (UTF8); }", [file.getvalue()]
    )
    assert list(source(address).keys()) == ["a b.jpg", "b%20.jpg"]
    assert list(source(address, every=True).keys()) == ["a b.jpg", "b%20.jpg", "c.txt"]


@pytest.fixture
def refusing(monkeypatch):
    """A bucket of nobody's, and what its next answer is: an error code of S3's."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    where = Objects("nobodys", "in/")
    with Stubber(where._client) as stub:
        yield where, lambda operation, code, status: stub.add_client_error(operation, code, code, status)


@pytest.mark.parametrize(
    ("code", "status", "kind", "sentence"),
    [
        ("NoSuchKey", 404, PhotoError, "There is no such object."),
        ("AccessDenied", 403, DeniedError, "It may not be read: access is denied."),
        ("InvalidObjectState", 403, PhotoError, "This object is in an archive; it must be restored first."),
        ("ExpiredToken", 400, PlaceError, "S3 bucket nobodys: .*ExpiredToken"),
        ("SlowDown", 503, PlaceError, "S3 bucket nobodys: .*SlowDown"),
    ],
)
def test_what_a_store_refuses_is_of_one_photo_or_of_all(refusing, code, status, kind, sentence):
    where, answers = refusing
    answers("get_object", code, status)
    with pytest.raises((PhotoError, PlaceError), match=f"^{sentence}") as refusal:
        where.photo("a.jpg", 99)
    assert type(refusal.value) is kind


def test_a_listing_or_a_file_that_is_denied_is_an_error_of_all(refusing):
    where, answers = refusing
    answers("list_objects_v2", "AccessDenied", 403)
    with pytest.raises(PlaceError, match=r"^s3://nobodys/in/: access is denied\. "):
        list(where.names())
    answers("get_object", "AccessDenied", 403)
    with pytest.raises(PlaceError, match=r"^s3://nobodys/in/list\.csv: access is denied\. "):
        where.open("list.csv")
    answers("put_object", "AccessDenied", 403)
    with pytest.raises(PlaceError, match=r"^s3://nobodys/in/a\.parquet: access is denied\. "):
        where.write("a.parquet", b"")
