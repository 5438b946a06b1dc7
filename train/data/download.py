"""A public set of photos for those who have none at hand, from the Hugging Face hub."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from huggingface_hub import snapshot_download
from tqdm import tqdm

from cat_model.bundle import sha256
from train.config import TrainError


@dataclass(frozen=True)
class Source:
    """A dataset on the hub, in parquet files, and how its labels become groups.

    Attributes:
        repository: its name on the hub.
        licence: what it may be used under.
        label: column with the class of each photo.
        groups: group of each class name.
        otherwise: group of every other class; None to leave those out.
    """

    repository: str
    licence: str
    label: str
    groups: Mapping[str, str]
    otherwise: str | None


SOURCES = (
    Source("timm/oxford-iiit-pet", "CC BY-SA 4.0", "label_cat_dog", {"cat": "cat", "dog": "dog"}, None),
    Source("flwrlabs/caltech101", "CC BY 4.0", "label", {"faces": "selfie", "faces_easy": "selfie"}, "misc"),
)
PER_GROUP = 2_500
"""At most so many photos of each group of a source: the groups stay of one size."""


def fetch(out: Path) -> None:
    """Fill a folder of groups with public photos; what is there already is not fetched again.

    Args:
        out: folder to fill with cat, dog, selfie and misc.

    Raises:
        TrainError: the hub cannot be reached, or a dataset has changed its form.
    """
    for source in SOURCES:
        print(f"{source.repository} ({source.licence})")
        try:
            folder = snapshot_download(
                source.repository, repo_type="dataset", allow_patterns=["*.parquet", "**/*.parquet"]
            )
        except Exception as error:  # the hub's client raises many kinds when there is no network
            raise TrainError(
                f"{source.repository} cannot be fetched from the Hugging Face hub; is there a network? "
                f"({type(error).__name__}) The same command goes on where it stopped."
            ) from error
        unpack(Path(folder), source, out)


def unpack(folder: Path, source: Source, out: Path) -> None:
    """Write the photos of a downloaded dataset into folders of groups, named after their content.

    Raises:
        TrainError: the dataset's columns are not the expected ones.
    """
    written: dict[str, int] = {}
    for group, data in tqdm(_photos(folder, source), desc=source.repository, unit="photo", disable=None):
        if written.get(group, 0) < PER_GROUP:
            written[group] = written.get(group, 0) + 1
            path = out / group / f"{sha256(data)[:16]}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    if not written:
        raise TrainError(f"No photos were found in {source.repository}; has the dataset moved?")


def _photos(folder: Path, source: Source) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*.parquet")):
        table = pq.ParquetFile(path)
        try:
            features = json.loads(table.schema_arrow.metadata[b"huggingface"])["info"]["features"]
            names = features[source.label]["names"]
        except (KeyError, TypeError, ValueError) as error:
            raise TrainError(f"{source.repository} has no classes in a column {source.label!r}.") from error
        for batch in table.iter_batches(batch_size=64, columns=["image", source.label]):
            for row in batch.to_pylist():
                group = source.groups.get(names[row[source.label]], source.otherwise)
                if group is not None:
                    yield group, row["image"]["bytes"]
