"""Where photos are read and results are written: folders, and buckets of S3 or of anything compatible."""

import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import md5
from pathlib import Path
from typing import IO, Any, Protocol

from cat_model import extras
from cat_model.atomic import write_durably
from cat_model.photo import PhotoError

S3 = "s3://"
CONNECT_S, READ_S, ATTEMPTS = 5, 30, 5
CONNECTIONS = 32
CHUNK = 1 << 20
MISSING, DENIED, ARCHIVED, NO_BUCKET = (
    ("NoSuchKey", "404", "KeyTooLongError"),
    ("AccessDenied", "Forbidden", "403"),
    ("InvalidObjectState",),
    ("NoSuchBucket", "InvalidBucketName"),
)
"""What S3 stores answer of an object: it is missing, may not be read, is in an archive, or has no bucket."""


class PlaceError(Exception):
    """A folder or bucket, or all of a command's input or output, cannot be used; the message says why."""


class DeniedError(PhotoError):
    """A photo may not be read."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("It may not be read: access is denied.", "missing")


class Place(Protocol):
    """A folder, or the objects of a bucket whose keys begin with a prefix. It can be pickled."""

    def photo(self, key: str, most: int) -> bytes:
        """Return the bytes of a photo, of more than `most` only enough to refuse it.

        Raises:
            PhotoError: this one cannot be read; others may.
            PlaceError: none can be read at present.
        """
        ...

    def connect(self) -> None:
        """Prepare to read, so that the first photo takes no longer than others; nothing is asked yet."""

    def names(self) -> Iterator[str]:
        """Yield the names of what lies here, at no certain order, not what lies in folders below.

        Raises:
            PlaceError: they cannot be listed.
        """
        ...

    def open(self, name: str) -> IO[bytes]:
        """Return a seekable file, which the caller closes; of a bucket it is a temporary copy.

        Raises:
            PlaceError: there is none, or it cannot be read.
        """
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a file, whole or not at all.

        Raises:
            PlaceError: it could not be written.
        """
        ...


@dataclass(frozen=True)
class Folder:
    """A folder, by its path; it need not exist before something is written to it."""

    path: Path

    def __str__(self) -> str:
        """Return the path."""
        return str(self.path)

    def photo(self, key: str, most: int) -> bytes:
        """Return the bytes of a photo; see `Place.photo`."""
        path = self.path / key
        try:
            if not path.is_file():  # a pipe or a device may never end
                raise FileNotFoundError
            with path.open(
                "rb", buffering=0
            ) as file:  # a buffered one would first take `most` bytes of memory
                return file.read(most + 1) if path.stat().st_size > most else file.read()
        except OSError as error:
            if not self.path.is_dir():  # a disk that is no longer mounted says nothing of its photos
                raise PlaceError(f"{self.path} is not there any more.") from error
            if isinstance(error, FileNotFoundError):
                raise PhotoError("There is no such file.", "missing") from None
            if isinstance(error, PermissionError):
                raise DeniedError from None
            raise PhotoError(f"This file cannot be read: {error.strerror or error}.", "missing") from error

    def connect(self) -> None:
        """Do nothing: a folder is there or not."""

    def names(self) -> Iterator[str]:
        """Yield the names of files; see `Place.names`."""
        try:
            if self.path.exists():
                yield from (path.name for path in self.path.iterdir())
        except OSError as error:
            raise PlaceError(f"{self.path} cannot be read: {error.strerror or error}.") from error

    def open(self, name: str) -> IO[bytes]:
        """Return a file; see `Place.open`."""
        try:
            return (self.path / name).open("rb")
        except OSError as error:
            raise PlaceError(f"{self.path / name} cannot be read: {error.strerror or error}.") from error

    def write(self, name: str, content: bytes) -> None:
        """Write a file; see `Place.write`."""
        try:
            write_durably(self.path / name, content, mode=0o644)
        except OSError as error:
            raise PlaceError(f"{self.path / name} cannot be written: {error.strerror or error}.") from error


@dataclass(frozen=True)
class Objects:
    """Objects of a bucket, by boto3's standard settings (AWS_* variables).

    Attributes:
        bucket: its name.
        prefix: what the keys here begin with; names are given without it. May be empty.
    """

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        """Return the address."""
        return f"{S3}{self.bucket}/{self.prefix}"

    def __reduce__(self) -> tuple[type["Objects"], tuple[str, str]]:
        """Leave the connection behind: another process makes its own."""
        return Objects, (self.bucket, self.prefix)

    def photo(self, key: str, most: int) -> bytes:
        """Return the bytes of a photo; see `Place.photo`."""
        with self._in_words(self.bucket):
            return self._body(self.bucket, self.prefix + key, most)

    def other(self, bucket: str, key: str, most: int) -> bytes:
        """Return the bytes of a photo in any bucket, as `photo` does, over the same connections.

        Raises:
            PhotoError: also where there is no such bucket: the addresses of other photos may be right.
            PlaceError: none can be read at present.
        """
        if not (bucket and key):
            raise PhotoError("This address names no object: it must be s3://BUCKET/KEY.", "missing")
        with self._in_words(bucket), _bucket_in_words():
            return self._body(bucket, key, most)

    def connect(self) -> None:
        """Make the client, which takes longer than to fetch a photo; see `Place.connect`."""
        with suppress(PlaceError), self._whole(""):  # the first photo says what is wrong
            _ = self._client

    def names(self) -> Iterator[str]:
        """Yield the names of objects; see `Place.names`."""
        for page in self.pages(self.prefix, Delimiter="/"):
            yield from (key.removeprefix(self.prefix) for key in page)

    def pages(self, prefix: str, **also: str) -> Iterator[list[str]]:
        """Yield the keys that begin with a prefix, in the order of the store, up to 1,000 at a time.

        Raises:
            PlaceError: they cannot be listed.
        """
        with self._whole(prefix.removeprefix(self.prefix)):
            asked = {"Bucket": self.bucket, "Prefix": prefix, **also}
            for page in self._client.get_paginator("list_objects_v2").paginate(**asked):
                yield [each["Key"] for each in page.get("Contents", ())]

    def open(self, name: str) -> IO[bytes]:
        """Return a copy of an object; see `Place.open`."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            with self._whole(name):
                body = self._client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"]
                for chunk in body.iter_chunks(CHUNK):
                    file.write(chunk)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    def write(self, name: str, content: bytes) -> None:
        """Write an object; see `Place.write`."""
        digest = b64encode(md5(content, usedforsecurity=False).digest()).decode()
        asked = {"Bucket": self.bucket, "Key": self.prefix + name, "Body": content, "ContentMD5": digest}
        with self._whole(name):
            self._client.put_object(**asked)

    def _body(self, bucket: str, key: str, most: int) -> bytes:
        """Read a body again where the line broke off in the middle of it: boto3 repeats only requests."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        for left in reversed(range(ATTEMPTS)):
            answer = self._client.get_object(Bucket=bucket, Key=key)
            body, size = answer["Body"], answer["ContentLength"]
            try:
                # Only a read to the end notices that something is missing.
                return body.read(most + 1) if size > most else body.read()
            except (HTTPClientError, IncompleteReadError, OSError):
                if not left:
                    raise
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _in_words(self, bucket: str) -> Iterator[None]:
        """What goes wrong with one object becomes a PhotoError, all else a PlaceError."""
        from botocore.exceptions import ClientError

        try:
            yield
        except (PhotoError, PlaceError, GeneratorExit):
            raise
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in MISSING:
                raise PhotoError("There is no such object.", "missing") from None
            if code in DENIED:
                raise DeniedError from error
            if code in ARCHIVED:
                raise PhotoError(
                    "This object is in an archive; it must be restored first.", "missing"
                ) from None
            raise PlaceError(f"S3 bucket {bucket}: {error}") from error
        except Exception as error:
            raise PlaceError(f"S3 bucket {bucket}: {error or type(error).__name__}") from error

    @contextmanager
    def _whole(self, name: str) -> Iterator[None]:
        """What goes wrong becomes a PlaceError: without this object nothing goes on."""
        try:
            with self._in_words(self.bucket):
                yield
        except DeniedError as error:
            raise PlaceError(f"{self}{name}: access is denied. {error.__cause__}") from error
        except PhotoError as error:
            raise PlaceError(f"{self}{name}: {error}") from error

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - boto3 makes its classes when it runs
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            max_pool_connections=CONNECTIONS,
            # Not every store knows the checksums that newer versions of boto3 add.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},  # every store knows it; a host name for each bucket few have
        )
        return boto3.Session().client("s3", config=config)


@contextmanager
def _bucket_in_words() -> Iterator[None]:
    """A bucket that is not there, or that none can be called, becomes a PhotoError."""
    from botocore.exceptions import ClientError, ParamValidationError

    try:
        yield
    except ParamValidationError:
        raise PhotoError("No object of S3 can have this address.", "missing") from None
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in NO_BUCKET:
            raise PhotoError("There is no such bucket.", "missing") from None
        raise


def place(address: str) -> Folder | Objects:
    """Return the place that an address stands for; nothing is asked of it yet.

    Args:
        address: a path, or "s3://BUCKET/PREFIX". The prefix is taken as it stands.

    Raises:
        PlaceError: it is empty or names no bucket, or boto3 is missing.
    """
    if not address:
        raise PlaceError("An address is empty: it must be a folder or s3://BUCKET/PREFIX.")
    if not address.startswith(S3):
        return Folder(Path(address).absolute())
    bucket, _, prefix = address.removeprefix(S3).partition("/")
    if not bucket:
        raise PlaceError(f"{address} names no bucket: it must be s3://BUCKET/PREFIX.")
    try:
        extras.require("boto3", "s3", address)
    except extras.MissingExtraError as error:
        raise PlaceError(str(error)) from None
    return Objects(bucket, prefix)
