"""Where feedback is delivered to: an S3 bucket, a Hugging Face dataset repository. Both are slow to import.

Keys are made from content, so that putting twice does no harm; nothing counts as put before it was read back.
"""

import hashlib
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from cat_model import extras
from cat_model.settings import Settings, SettingsError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CONNECT_S, READ_S = 5, 20
KINDS = {".json": "application/json", ".jpg": "image/jpeg"}
READ_CHECK, DELETION_CHECK = "check/reading.json", "check/deletion.json"
"""Objects of this program's own, by which it finds out what its credentials may do."""
MISSING, DENIED = ("NoSuchKey", "404"), ("AccessDenied", "Forbidden", "403")
NO_VERSIONS = ("NotImplemented", "501", "MethodNotAllowed", "405")
"""What S3 stores answer where there is nothing, where it is not allowed, and where versions are unknown."""


class StoreError(Exception):
    """A store did not do what was asked; the message says which store and why."""


class DeletionRefusedError(StoreError):
    """A store keeps what is to be deleted, or earlier versions of it: these credentials may not delete it."""


class Store(Protocol):
    """A place for small objects under keys such as "records/0123456789abcdef.json"."""

    name: str

    def put(self, key: str, content: bytes) -> None:
        """Keep an object; when this returns the store holds exactly this content.

        Raises:
            StoreError: it could not be kept, or what the store holds differs.
        """

    def get(self, key: str) -> bytes | None:
        """Return an object, None where there is none.

        Raises:
            StoreError: it could not be told.
        """

    def delete(self, key: str) -> None:
        """Delete an object; when this returns there is none, nor any earlier version of it.

        Raises:
            DeletionRefusedError: the store keeps it, or an earlier version of it.
            StoreError: it could not be deleted.
        """

    def check_deletion(self) -> None:
        """Try whether deleting leaves nothing, on an object made for that.

        Raises:
            DeletionRefusedError: the store keeps what is deleted, or earlier versions of it.
            StoreError: it could not be told.
        """

    def keys(self, prefix: str) -> list[str]:
        """Return all keys that begin with a prefix.

        Raises:
            StoreError: they could not be listed.
        """
        ...


class S3Store:
    """A bucket of Amazon S3 or of anything compatible, by boto3's standard settings (AWS_* variables)."""

    def __init__(self, bucket: str, prefix: str = "", sse: str = "", kms_key: str = "") -> None:
        """Name a bucket; nothing is asked of it yet.

        Args:
            bucket: its name.
            prefix: what all keys begin with.
            sse: server-side encryption, "AES256" or "aws:kms"; empty for the bucket's default.
            kms_key: key for "aws:kms"; empty for the bucket's default.
        """
        self.name = f"S3 bucket {bucket}"
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        encryption = {"ServerSideEncryption": sse, "SSEKMSKeyId": kms_key if sse == "aws:kms" else ""}
        self._encryption = {name: value for name, value in encryption.items() if value}
        self._conditional = True
        self._versioned = False
        self._may_read = False

    def put(self, key: str, content: bytes) -> None:
        """Keep an object; see `Store.put`."""
        with _in_words(self.name):
            if self._get(key) == content:  # sent before, but the answer was lost
                return
            self._put(key, content)
            if self._get(key) != content:
                raise StoreError(f"{self.name}: it holds {key} otherwise than it was sent.")

    def get(self, key: str) -> bytes | None:
        """Return an object; see `Store.get`."""
        with _in_words(self.name):
            return self._get(key)

    def delete(self, key: str) -> None:
        """Delete an object; see `Store.delete`."""
        from botocore.exceptions import ClientError

        with _in_words(self.name):
            try:
                for version in reversed(self._versions(key)):  # the current one last
                    self._client.delete_object(**self._object(key), VersionId=version["VersionId"])
                refusal = None
            except ClientError as error:
                if _code(error) not in (*DENIED, *NO_VERSIONS):
                    raise
                refusal = error
            # Only where versions cannot be deleted one by one: it hides the object, and tells whether there
            # are versions at all. Where that is known already, one deletion more would be one marker more.
            if (refusal and not self._versioned) or self._get(key) is not None:
                self._hide(key)
                if self._get(key) is not None:
                    raise StoreError(f"{self.name}: it still holds {key}.")
            if self._versioned:
                self._expect_no_versions(key, refusal)

    def check_deletion(self) -> None:
        """Put an object and delete it; see `Store.check_deletion`."""
        with _in_words(self.name):
            if not self._versioned:  # else versions of an earlier check are still there to be deleted
                self._put(DELETION_CHECK, b"{}\n")
        self.delete(DELETION_CHECK)

    def keys(self, prefix: str) -> list[str]:
        """Return all keys that begin with a prefix; see `Store.keys`."""
        with _in_words(self.name):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            found = [each["Key"] for page in pages for each in page.get("Contents", ())]
        return [key.removeprefix(self._prefix) for key in found]

    def _versions(self, key: str) -> list[dict[str, Any]]:
        """Return all versions of an object, the newest first; delete markers are those without a size."""
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=self._prefix + key
        )
        found = [
            each
            for page in pages
            for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
            if each["Key"] == self._prefix + key
        ]
        return sorted(found, key=lambda each: (each["IsLatest"], each["LastModified"]), reverse=True)

    def _hide(self, key: str) -> None:
        """Delete an object as one does without versions; with them it becomes an earlier version.

        Raises:
            DeletionRefusedError: the credentials may not do that either.
        """
        from botocore.exceptions import ClientError

        try:
            answer = self._client.delete_object(**self._object(key))
        except ClientError as error:
            if _code(error) not in DENIED:
                raise
            raise DeletionRefusedError(
                f"{self.name}: it keeps what is deleted, because the credentials may not delete it "
                f"(s3:ListBucketVersions and s3:DeleteObjectVersion, or s3:DeleteObject). {error}"
            ) from error
        self._versioned = bool(answer.get("DeleteMarker") or answer.get("VersionId"))

    def _expect_no_versions(self, key: str, refusal: Exception | None) -> None:
        """See to it that no version with content is left of a deleted object.

        Raises:
            DeletionRefusedError: there may be one.
        """
        from botocore.exceptions import ClientError

        try:
            if not any("Size" in version for version in self._versions(key)):
                return
        except ClientError as error:
            refusal = refusal or error
        raise DeletionRefusedError(
            f"{self.name}: it keeps earlier versions of what is deleted, because the credentials may not "
            f"list and delete these (s3:ListBucketVersions, s3:DeleteObjectVersion). {refusal or ''}".strip()
        )

    def _put(self, key: str, content: bytes) -> None:
        """Write an object; where another content lies under its key, it was damaged on its way."""
        from botocore.exceptions import ClientError

        asked = {
            **self._object(key),
            **self._encryption,
            "Body": content,
            "ContentType": KINDS[Path(key).suffix],
            "ContentMD5": b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode(),
        }
        if self._conditional:
            try:
                self._client.put_object(**asked, IfNoneMatch="*")
                return
            except ClientError as error:
                code = _code(error)
                if code in ("NotImplemented", "501"):  # not every store knows conditions
                    self._conditional = False
                    self._client.close()  # a store that answered unread content may hang up right after
                elif code not in ("PreconditionFailed", "412"):
                    raise
        self._client.put_object(**asked)

    def _get(self, key: str) -> bytes | None:
        from botocore.exceptions import ClientError

        try:
            content = self._client.get_object(**self._object(key))["Body"].read()
        except ClientError as error:
            if _code(error) in MISSING:
                return None
            # Without s3:ListBucket S3 answers so, too, where there is nothing.
            if _code(error) in DENIED and self._reads():
                return None
            raise
        self._may_read = True
        return content

    def _reads(self) -> bool:
        """Whether the credentials may read at all: tried on an object that is there for certain."""
        from botocore.exceptions import ClientError

        if not self._may_read:
            try:
                self._client.put_object(**self._object(READ_CHECK), **self._encryption, Body=b"{}\n")
                self._client.get_object(**self._object(READ_CHECK))["Body"].read()
                self._may_read = True
            except ClientError as error:
                if _code(error) not in DENIED:
                    raise
        return self._may_read

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - boto3 makes its classes when it runs
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"total_max_attempts": 1},  # whoever delivers waits and tries again
            # Not every store knows the checksums that newer versions of boto3 add.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},  # every store knows it; a host name for each bucket few have
        )
        return boto3.Session().client("s3", config=config)


class _Place(TypedDict):
    """Where on the hub, as its functions call it."""

    repo_id: str
    repo_type: str


class HubStore:
    """A dataset repository of the Hugging Face hub; the token is had as huggingface_hub has it (HF_TOKEN)."""

    def __init__(self, repository: str, api: "HfApi | None" = None) -> None:
        """Name a repository, "OWNER/NAME"; `api` is `HfApi()` unless given."""
        self.name = f"Hugging Face dataset {repository}"
        self._where = _Place(repo_id=repository, repo_type="dataset")
        self._given = api

    def put(self, key: str, content: bytes) -> None:
        """Keep an object; see `Store.put`."""
        with _in_words(self.name):
            if self._holds(key, content):
                return
            self._api.upload_file(path_or_fileobj=content, path_in_repo=key, **self._where)
            if not self._holds(key, content):
                raise StoreError(f"{self.name}: it holds {key} otherwise than it was sent.")

    def get(self, key: str) -> bytes | None:
        """Return an object; see `Store.get`."""
        # Not through the hub's cache: what is deleted there would stay here.
        with _in_words(self.name), tempfile.TemporaryDirectory() as folder:
            if not self._api.get_paths_info(paths=[key], **self._where):
                return None
            return Path(self._api.hf_hub_download(filename=key, local_dir=folder, **self._where)).read_bytes()

    def delete(self, key: str) -> None:
        """Delete an object, from the repository's history too; see `Store.delete`."""
        with _in_words(self.name):
            if self._api.get_paths_info(paths=[key], **self._where):
                self._api.delete_file(path_in_repo=key, **self._where)
            digest = Path(key).stem.partition("-")[2]
            if digest and not any(digest in other for other in self.keys("photos/")):
                large = [each for each in self._api.list_lfs_files(**self._where) if each.file_oid == digest]
                self._api.permanently_delete_lfs_files(lfs_files=large, **self._where)
            self._api.super_squash_history(**self._where)
            if self._api.get_paths_info(paths=[key], **self._where):
                raise StoreError(f"{self.name}: it still holds {key}.")

    def check_deletion(self) -> None:
        """Do nothing: `delete` always rewrites the history; see `Store.check_deletion`."""

    def keys(self, prefix: str) -> list[str]:
        """Return all keys that begin with a prefix; see `Store.keys`."""
        with _in_words(self.name):
            return [name for name in self._api.list_repo_files(**self._where) if name.startswith(prefix)]

    def _holds(self, key: str, content: bytes) -> bool:
        """Whether the hub's own hash of a file is that of the content: Git's, or SHA-256 of a large file."""
        found = self._api.get_paths_info(paths=[key], **self._where)
        if not found:
            return False
        if large := getattr(found[0], "lfs", None):  # folders have neither attribute, nor any content
            return large.sha256 == hashlib.sha256(content).hexdigest()
        blob = b"blob %d\0" % len(content) + content
        return getattr(found[0], "blob_id", None) == hashlib.sha1(blob, usedforsecurity=False).hexdigest()

    @cached_property
    def _api(self) -> "HfApi":
        from huggingface_hub import HfApi

        return self._given or HfApi()


class FolderStore:
    """A folder that holds objects as files, such as an outbox; read only."""

    def __init__(self, folder: Path) -> None:
        """Name the folder."""
        self.name = f"folder {folder}"
        self._folder = folder

    def get(self, key: str) -> bytes | None:
        """Return an object; see `Store.get`."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return (self._folder / key).read_bytes()
        return None

    def keys(self, prefix: str) -> list[str]:
        """Return all keys that begin with a prefix; see `Store.keys`."""
        with _in_words(self.name):
            found = (path.relative_to(self._folder).as_posix() for path in self._folder.rglob("[!.]*.*"))
            return sorted(key for key in found if key.startswith(prefix))


def from_settings(settings: Settings) -> list[Store]:
    """Return the stores that the settings name; nothing is asked of them yet.

    Raises:
        SettingsError: a store is named whose package is not installed.
    """
    stores: list[Store] = []
    try:
        if settings.s3_bucket:
            extras.require("boto3", "s3", "CAT_S3_BUCKET")
        if settings.hf_dataset:
            extras.require("huggingface_hub", "hub", "CAT_HF_DATASET")
    except extras.MissingExtraError as error:
        raise SettingsError(str(error)) from None
    if settings.s3_bucket:
        names = settings.s3_bucket, settings.s3_prefix, settings.s3_sse, settings.s3_kms_key
        stores.append(S3Store(*names))
    if settings.hf_dataset:
        stores.append(HubStore(settings.hf_dataset))
    return stores


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """Whatever goes wrong on the way, and that is no short list, becomes a StoreError."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"{name}: {error or type(error).__name__}") from error


def _code(error: Any) -> str:  # noqa: ANN401 - botocore is imported where it is used
    return str(error.response.get("Error", {}).get("Code", ""))
