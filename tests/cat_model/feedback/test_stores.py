"""Stores keep exactly what they are sent, say in words what is wrong, and forget what is deleted."""

import hashlib
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
from huggingface_hub import HfApi

from cat_model.feedback.stores import FolderStore, HubStore, S3Store, StoreError, from_settings
from cat_model.settings import Settings
from tests.cat_model.conftest import BUCKET

KEY, PICTURE = "records/0123456789abcdef.json", b"\xff\xd8 a picture"
PHOTO_KEY = f"photos/0123456789abcdef-{hashlib.sha256(PICTURE).hexdigest()}.jpg"


def hub():
    """A dataset repository as the hub keeps one, behind exactly the methods that HfApi has."""
    files, large, history = {}, {}, []
    api = create_autospec(HfApi, instance=True)

    def info(repo_id, paths, *, repo_type):
        assert (repo_id, repo_type) == ("me/cats", "dataset")
        return [_info(path, files[path]) for path in paths if path in files]

    def upload(*, path_or_fileobj, path_in_repo, repo_id, repo_type):
        files[path_in_repo] = path_or_fileobj
        history.append(path_or_fileobj)
        if path_in_repo.endswith(".jpg"):
            large[hashlib.sha256(path_or_fileobj).hexdigest()] = path_or_fileobj

    def download(repo_id, filename, *, repo_type, local_dir):
        target = local_dir + "/file"
        Path(target).write_bytes(files[filename])
        return target

    def purge(repo_id, lfs_files, *, repo_type):
        for each in lfs_files:
            del large[each.file_oid]

    def squash(repo_id, *, repo_type):
        history[:] = files.values()

    api.get_paths_info.side_effect = info
    api.upload_file.side_effect = upload
    api.hf_hub_download.side_effect = download
    api.delete_file.side_effect = lambda path_in_repo, repo_id, *, repo_type: files.pop(path_in_repo)
    api.list_repo_files.side_effect = lambda repo_id, *, repo_type: list(files)
    api.list_lfs_files.side_effect = lambda repo_id, *, repo_type: [
        SimpleNamespace(file_oid=digest) for digest in large
    ]
    api.permanently_delete_lfs_files.side_effect = purge
    api.super_squash_history.side_effect = squash
    return api, files, large, history


def _info(path, content):
    if path.endswith(".jpg"):
        return SimpleNamespace(lfs=SimpleNamespace(sha256=hashlib.sha256(content).hexdigest()), blob_id="0")
    blob = b"blob %d\0" % len(content) + content
    return SimpleNamespace(lfs=None, blob_id=hashlib.sha1(blob).hexdigest())


def keeps_what_it_is_sent(store):
    assert store.get(KEY) is None
    assert store.keys("records/") == []
    for _ in range(2):
        store.put(KEY, b"{}\n")
        store.put(PHOTO_KEY, PICTURE)
    assert (store.get(KEY), store.get(PHOTO_KEY)) == (b"{}\n", PICTURE)
    assert (store.keys("records/"), store.keys("photos/")) == ([KEY], [PHOTO_KEY])
    for _ in range(2):
        store.delete(PHOTO_KEY)
        store.delete(KEY)
    assert store.get(KEY) is store.get(PHOTO_KEY) is None
    assert store.keys("") == []


def test_s3_keeps_what_it_is_sent(place):
    keeps_what_it_is_sent(S3Store(BUCKET, "kept/365-days"))


def test_s3_keys_lie_under_the_prefix_and_only_those_are_seen(place):
    S3Store(BUCKET).put("records/other.json", b"x")
    S3Store(BUCKET, "kept/365-days").put(KEY, b"{}")
    assert set(S3Store(BUCKET).keys("")) == {"records/other.json", f"kept/365-days/{KEY}"}
    assert S3Store(BUCKET, "kept/365-days").keys("") == [KEY]


def test_s3_mends_what_was_damaged_on_its_way(place):
    store = S3Store(BUCKET)
    store.put(KEY, b"damaged")
    store.put(KEY, b"whole")
    assert store.get(KEY) == b"whole"


def test_s3_lists_more_than_one_page(place):
    store = S3Store(BUCKET)
    for number in range(5):
        store._client.put_object(Bucket=BUCKET, Key=f"records/{number}.json", Body=b"x")
    store._client.meta.events.register(
        "before-parameter-build.s3.ListObjectsV2", lambda params, **_: params.update(MaxKeys=2)
    )
    assert len(store.keys("records/")) == 5


@pytest.mark.parametrize("place", ["moto"], indirect=True)
def test_server_side_encryption_is_asked_for(place):
    for sse, key in (("AES256", ""), ("aws:kms", "alias/cats")):
        store = S3Store(BUCKET, "secret", sse, key)
        store.put(KEY, sse.encode())
        head = store._client.head_object(Bucket=BUCKET, Key=f"secret/{KEY}")
        assert head["ServerSideEncryption"] == sse
        assert key in head.get("SSEKMSKeyId", "")


@pytest.mark.parametrize("place", ["moto"], indirect=True)
def test_where_conditions_are_known_an_object_is_written_once(place):
    store = S3Store(BUCKET)
    asked = []
    store._client.meta.events.register(
        "before-call.s3.PutObject",
        lambda params, **_: asked.append(params["headers"].get("If-None-Match")),
    )
    store.put(KEY, b"{}")
    store.put(KEY, b"{}")
    assert asked == ["*"]


def test_a_missing_bucket_is_named(place):
    with pytest.raises(StoreError, match=r"S3 bucket no-such-cats: .*NoSuchBucket"):
        S3Store("no-such-cats").put(KEY, b"x")


def test_missing_keys_to_the_store_are_named(place, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="credentials"):
        S3Store(BUCKET).put(KEY, b"x")


@pytest.mark.parametrize("place", ["swift"], indirect=True)
def test_wrong_keys_to_the_store_are_named_and_not_shown(place, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(StoreError, match=r"SignatureDoesNotMatch|AccessDenied|403") as caught:
        S3Store(BUCKET).put(KEY, b"x")
    assert "not-the-secret" not in str(caught.value)


def test_the_hub_keeps_what_it_is_sent():
    keeps_what_it_is_sent(HubStore("me/cats", hub()[0]))


def test_what_is_deleted_on_the_hub_is_not_in_its_history_either():
    api, _, large, history = hub()
    store = HubStore("me/cats", api)
    store.put(KEY, b"{}")
    store.put(PHOTO_KEY, PICTURE)
    other = PHOTO_KEY.replace("0123456789abcdef", "f" * 16)
    store.put(other, PICTURE)
    store.delete(PHOTO_KEY)
    assert large  # the other record's photo is the same file
    store.delete(other)
    store.delete(KEY)
    assert (large, history) == ({}, [])


def test_what_the_hub_holds_otherwise_is_an_error():
    api, files, *_ = hub()
    api.upload_file.side_effect = lambda *, path_or_fileobj, path_in_repo, repo_id, repo_type: files.update(
        {path_in_repo: path_or_fileobj + b"x"}
    )
    for key in (KEY, PHOTO_KEY):
        with pytest.raises(StoreError, match="otherwise than it was sent"):
            HubStore("me/cats", api).put(key, PICTURE)


def test_whatever_the_hub_raises_is_told_in_words():
    api, *_ = hub()
    api.get_paths_info.side_effect = OSError("no such repository")
    with pytest.raises(StoreError, match="Hugging Face dataset me/cats: no such repository"):
        HubStore("me/cats", api).put(KEY, b"x")


def test_a_folder_is_read_as_a_store(tmp_path):
    for name in (KEY, PHOTO_KEY, "records/.half"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    store = FolderStore(tmp_path)
    assert store.keys("") == [PHOTO_KEY, KEY]
    assert (store.get(KEY), store.get("records/none.json")) == (b"x", None)


def test_settings_name_the_stores():
    assert from_settings(Settings()) == []
    both = from_settings(Settings(s3_bucket="cats", hf_dataset="me/cats"))
    assert [store.name for store in both] == ["S3 bucket cats", "Hugging Face dataset me/cats"]
