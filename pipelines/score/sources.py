"""What is to be scored: a folder, the objects of a bucket, or a manifest that lists keys.

A source yields its keys again and again in the same order, and never holds them all: of a folder those of one
folder at a time, of a bucket a page of 1,000, of a manifest a batch of rows.
"""

import csv
import gzip
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, cast
from urllib.parse import unquote_plus

from cat_model import folders
from pipelines.score.places import S3, Folder, Objects, Place, PlaceError, place

COLUMN = "key"
CSV, PARQUET, INVENTORY = (".csv", ".csv.gz"), ".parquet", "manifest.json"
ROWS = 65_536
"""Rows of a Parquet file that are held at a time."""


class SourceError(Exception):
    """What is to be scored cannot be listed; the message says why."""


@dataclass(frozen=True)
class Photos:
    """Where the photos of a source are read; it can be pickled.

    Attributes:
        base: what keys are relative to.
        addresses: whether a key that begins with s3:// is an address by itself, as in a manifest.
    """

    base: Folder | Objects
    addresses: bool = False

    def connect(self) -> None:
        """Prepare to read; see `Place.connect`."""
        self.base.connect()

    def read(self, key: str, most: int) -> bytes:
        """Return the bytes of a photo; see `Place.photo`.

        Raises:
            PhotoError: this one cannot be read; others may.
            PlaceError: none can be read at present.
        """
        if not (self.addresses and key.startswith(S3)):
            return self.base.photo(key, most)
        bucket, _, name = key.removeprefix(S3).partition("/")
        return self._buckets.other(bucket, name, most)

    @cached_property
    def _buckets(self) -> Objects:
        """What reads in any bucket: one for all photos, since it takes longer to make than to read one."""
        return self.base if isinstance(self.base, Objects) else Objects("")


class Source(Protocol):
    """Keys of photos, and where these are read."""

    @property
    def photos(self) -> Photos:
        """Where the photos are read."""
        ...

    def keys(self) -> Iterator[str]:
        """Yield all keys, each time in the same order.

        Raises:
            SourceError: they cannot be listed.
            PlaceError: the place does not answer.
        """
        ...


@dataclass(frozen=True)
class FolderSource:
    """All photos of a folder and of the folders in it; their keys are paths from there.

    Attributes:
        folder: that is searched.
        every: whether files are taken too that are not named like photos.
    """

    folder: Folder
    every: bool = False

    @property
    def photos(self) -> Photos:
        """Where the photos are read."""
        return Photos(self.folder)

    def keys(self) -> Iterator[str]:
        """Yield the keys, folder by folder, sorted; see `Source.keys`. Links to folders are not followed."""
        top = self.folder.path
        for folder, below, files in os.walk(top, onerror=_refuse):
            below[:] = sorted(name for name in below if not folders.is_junk(name, is_folder=True))
            inside = Path(folder).relative_to(top)
            for name in sorted(files):
                if wanted(name, self.every):
                    yield PurePosixPath(inside, name).as_posix()


@dataclass(frozen=True)
class BucketSource:
    """All photos of a bucket whose keys begin with a prefix.

    Attributes:
        objects: the bucket and the prefix.
        every: whether objects are taken too that are not named like photos.
    """

    objects: Objects
    every: bool = False

    @property
    def photos(self) -> Photos:
        """Where the photos are read: their keys are whole, with the prefix."""
        return Photos(Objects(self.objects.bucket))

    def keys(self) -> Iterator[str]:
        """Yield the keys, in the order of the store; see `Source.keys`."""
        for page in self.objects.pages(self.objects.prefix):
            yield from (key for key in page if wanted(key, self.every))


@dataclass(frozen=True)
class Manifest:
    """A table of keys, CSV with a header or Parquet. All its keys are taken, whatever their names.

    Attributes:
        photos: what the keys are relative to.
        place: where the file lies.
        name: of the file there.
        column: that holds the keys.
    """

    photos: Photos
    place: Place
    name: str
    column: str = COLUMN

    def keys(self) -> Iterator[str]:
        """Yield the keys in the order of the rows; see `Source.keys`."""
        with _rows_in_words(self.name):
            for (key,) in rows(self.place, self.name, [self.column]):
                if not isinstance(key, str) or not key:
                    raise SourceError(f"{self.name} has a row without a {self.column}.")
                yield key


@dataclass(frozen=True)
class Inventory:
    """What S3 Inventory writes: a manifest.json that names CSV or Parquet files.

    Attributes:
        photos: the bucket that was listed.
        place: where the manifest's files lie.
        form: "CSV" or "Parquet".
        columns: names of the columns, in order, of CSV files, which have no header.
        files: keys of the files.
        every: whether objects are taken too that are not named like photos.
    """

    photos: Photos
    place: Place
    form: str
    columns: tuple[str, ...]
    files: tuple[str, ...]
    every: bool = False

    def keys(self) -> Iterator[str]:
        """Yield the keys in the order of the files; deleted and older versions are left out."""
        asked = ("Key", "IsLatest", "IsDeleteMarker") if self.form == "CSV" else _PARQUET_COLUMNS
        for name in self.files:
            with _rows_in_words(name):
                header = self.columns if self.form == "CSV" else None
                table = rows(self.place, name, asked, header=header, optional=asked[1:])
                for stored, latest, deleted in table:
                    key = unquote_plus(stored) if self.form == "CSV" else str(stored)
                    current = str(latest).lower() != "false" and str(deleted).lower() != "true"
                    if current and wanted(key, self.every):
                        yield key


_PARQUET_COLUMNS = ("key", "is_latest", "is_delete_marker")


def source(
    address: str, base: str | None = None, column: str = COLUMN, every: bool = False
) -> FolderSource | BucketSource | Manifest | Inventory:
    """Return the source that an address stands for.

    Args:
        address: of a folder, of a prefix "s3://BUCKET/PREFIX", or of a manifest: a file in either whose name
            ends with .csv, .csv.gz or .parquet, or is manifest.json, as S3 Inventory writes it.
        base: what the keys of a manifest are relative to, the folder of the manifest unless given.
        column: of a manifest that holds the keys.
        every: whether files that are not named like photos are taken too; of a manifest they always are.

    Raises:
        SourceError: there is no such folder or file, or it is no inventory.
        PlaceError: it cannot be asked for.
    """
    folder, slash, name = address.rpartition("/")
    is_manifest = name.lower().endswith((*CSV, PARQUET)) or name == INVENTORY
    where = place(folder + slash if slash else ".") if is_manifest else place(address)
    if not is_manifest:
        if base is not None:
            raise SourceError(f"--base is for manifests; {address} is none.")
        if isinstance(where, Objects):
            return BucketSource(where, every)
        if not where.path.is_dir():
            raise SourceError(
                f"{address} is no folder, no address s3://BUCKET/PREFIX and no manifest (.csv, .csv.gz, "
                f".parquet or {INVENTORY})."
            )
        return FolderSource(where, every)
    if name == INVENTORY:
        return _inventory(where, address, every)
    where.open(name).close()
    keys_from = where if base is None else place(base)
    if isinstance(keys_from, Objects) and keys_from.prefix and not keys_from.prefix.endswith("/"):
        keys_from = Objects(keys_from.bucket, f"{keys_from.prefix}/")
    return Manifest(Photos(keys_from, addresses=True), where, name, column)


def holds(source: Source, out: Folder | Objects) -> bool:
    """Return whether what is written to a place would be listed by a source that takes every file."""
    if isinstance(source, FolderSource) and isinstance(out, Folder):
        return out.path.resolve().is_relative_to(source.folder.path.resolve())
    if isinstance(source, BucketSource) and isinstance(out, Objects):
        there = source.objects
        return out.bucket == there.bucket and out.prefix.startswith(there.prefix)
    return False


def wanted(key: str, every: bool) -> bool:
    """Return whether a key is listed as a photo: what cameras and file managers leave beside them is not."""
    path = PurePosixPath(key)
    if key.endswith("/") or folders.is_junk(path.name, is_folder=False):
        return False
    if any(folders.is_junk(part, is_folder=True) for part in path.parts[:-1]):
        return False
    return every or folders.like_a_photo(Path(key))


def rows(
    where: Place,
    name: str,
    columns: Sequence[str],
    header: Sequence[str] | None = None,
    optional: Sequence[str] = (),
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table.

    Args:
        where: the file lies.
        name: of the file: Parquet if it ends so, else CSV, compressed with gzip if it ends with .gz.
        columns: that are wanted.
        header: names of all columns of a CSV file; None where its first row holds them.
        optional: columns that may be lacking: their values are None.

    Raises:
        SourceError: a column is lacking.
        PlaceError: there is no such file.
    """
    low = name.lower()
    with where.open(name) as file:
        if low.endswith(PARQUET):
            yield from _parquet_rows(file, name, columns, optional)
        elif low.endswith(".gz"):
            with gzip.open(file) as unpacked:
                yield from _csv_rows(cast("IO[bytes]", unpacked), name, columns, header, optional)
        else:
            yield from _csv_rows(file, name, columns, header, optional)


def _csv_rows(
    file: IO[bytes],
    name: str,
    columns: Sequence[str],
    header: Sequence[str] | None,
    optional: Sequence[str],
) -> Iterator[tuple[Any, ...]]:
    with closing(io.TextIOWrapper(file, "utf-8-sig", newline="")) as text:
        table = csv.reader(text)
        header = header or next(table, [])
        places = _places(name, columns, header, optional)
        for row in table:
            if row:
                if len(row) != len(header):
                    raise SourceError(f"{name} has a row of {len(row)} cells, line {table.line_num}.")
                yield tuple(None if at is None else row[at] for at in places)


def _parquet_rows(
    file: IO[bytes], name: str, columns: Sequence[str], optional: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    from pyarrow import parquet

    table = parquet.ParquetFile(file)
    there = table.schema_arrow.names
    _places(name, columns, there, optional)
    present = [column for column in columns if column in there]
    for batch in table.iter_batches(ROWS, columns=present):
        held = [
            batch.column(column).to_pylist() if column in there else [None] * len(batch) for column in columns
        ]
        yield from zip(*held, strict=True)


def _places(
    name: str, columns: Sequence[str], header: Sequence[str], optional: Sequence[str]
) -> list[int | None]:
    """Return where in a row each column stands; None for what is lacking and may.

    Raises:
        SourceError: what must be there is not.
    """
    for column in columns:
        if column not in header and column not in optional:
            raise SourceError(f"{name} has no column {column!r}; it has {', '.join(header) or 'none'}.")
    return [list(header).index(column) if column in header else None for column in columns]


def _inventory(where: Folder | Objects, address: str, every: bool) -> Inventory:
    """Read the manifest of an S3 Inventory.

    Raises:
        SourceError: it is none.
        PlaceError: it cannot be read.
    """
    try:
        with where.open(INVENTORY) as file:
            stored = json.load(file)
        bucket = stored["destinationBucket"].rpartition(":")[2]  # an ARN
        form, files = stored["fileFormat"], tuple(each["key"] for each in stored["files"])
        columns = tuple(name.strip() for name in stored["fileSchema"].split(","))
        listed = place(f"{S3}{stored['sourceBucket']}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{address} is not the manifest of an S3 Inventory.") from error
    if form not in ("CSV", "Parquet"):
        raise SourceError(f"{address} lists {form} files; only CSV and Parquet can be read.")
    assert isinstance(listed, Objects)
    return Inventory(Photos(listed), Objects(bucket), form, columns, files, every)


@contextmanager
def _rows_in_words(name: str) -> Iterator[None]:
    """What a table's file may have wrong, and that is no short list, becomes a SourceError."""
    try:
        yield
    except (SourceError, PlaceError, GeneratorExit):
        raise
    except (csv.Error, EOFError, OSError, ValueError) as error:  # pyarrow's errors are of these
        raise SourceError(f"{name} cannot be read as a table: {error or type(error).__name__}.") from error


def _refuse(error: OSError) -> None:
    """Stop at a folder that cannot be listed: to pass it over would number all photos behind it otherwise.

    Raises:
        SourceError: always.
    """
    raise SourceError(f"{error.filename} cannot be read: {error.strerror}.") from error
