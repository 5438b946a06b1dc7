"""The answers: one Parquet file a shard, written whole or not at all, the same bytes each time."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cat_model import Verdict
from pipelines.score import shards
from pipelines.score.places import Folder, Objects, Place, PlaceError
from pipelines.score.shards import Shard

RUN = "_run.json"
"""What the answers depend on; programs that read Parquet pass over names that begin so."""

OTHER_KEYS = (
    "{out} holds results of other keys ({name}): photos have come or gone since it was begun. "
    "Choose another place, or score a manifest, which stays as it is."
)


class ResultsError(Exception):
    """Results cannot be added to those that are there; the message says why."""


@dataclass(frozen=True)
class Row:
    """The answer about one photo.

    Attributes:
        key: of the photo.
        verdict: None where it cannot be used.
        error: why it cannot be used.
        embedding: shape (D,), float32; None where none was asked for.
    """

    key: str
    verdict: Verdict | None = None
    error: str | None = None
    embedding: np.ndarray | None = None


def parquet(rows: Sequence[Row], model_version: str, embeddings: bool = False) -> bytes:
    """Return rows as a Parquet file.

    Columns: key (string), probability (double, 0 to 1), label (string: "cat", "not a cat" or "not sure"),
    unsure (bool), model_version and error (string). probability, label and unsure are null where there is an
    error, which is null otherwise. `embedding` is a list of float32, null where there is an error.

    Args:
        rows: in the order of the shard's keys.
        model_version: of the model that was asked, of every row.
        embeddings: whether they are written too.
    """
    import pyarrow as pa
    from pyarrow import parquet

    verdicts = [row.verdict for row in rows]
    # A name of a file may hold bytes that are no text.
    keys = [row.key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for row in rows]
    columns = {
        "key": pa.array(keys, pa.string()),
        "probability": pa.array([each and each.probability for each in verdicts], pa.float64()),
        "label": pa.array([each and each.label for each in verdicts], pa.string()),
        "unsure": pa.array([each and each.unsure for each in verdicts], pa.bool_()),
        "model_version": pa.array([model_version] * len(rows), pa.string()),
        "error": pa.array([row.error for row in rows], pa.string()),
    }
    if embeddings:  # lists of a fixed size cannot be null: Arrow does not read them back
        columns["embedding"] = pa.array([row.embedding for row in rows], pa.list_(pa.float32()))
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, compression="zstd")
    return file.getvalue()


def begin(out: Place, settings: Mapping[str, object]) -> dict[int, str]:
    """See to it that results of these settings may be written to a place.

    Args:
        out: the place.
        settings: what all answers there depend on, beside the keys.

    Returns:
        The names of the files of shards that are there, by the shards' numbers.

    Raises:
        ResultsError: it holds results of other settings, or something else.
        PlaceError: it cannot be read or written.
    """
    names = list(out.names())
    there = {number: name for name in sorted(names) if (number := shards.number(name)) is not None}
    if RUN not in names:
        if there:
            raise ResultsError(f"{out} holds results, but no {RUN} that says of what; choose another place.")
        out.write(RUN, json.dumps(settings, indent=1, sort_keys=True).encode() + b"\n")
        return {}
    try:
        with out.open(RUN) as file:
            stored = dict(json.load(file))
    except (ValueError, TypeError) as error:
        raise ResultsError(f"{RUN} in {out} is damaged; choose another place.") from error
    other = sorted(name for name in {*stored, *settings} if stored.get(name) != settings.get(name))
    if other:
        said = ", ".join(f"{name} {stored.get(name)} instead of {settings.get(name)}" for name in other)
        raise ResultsError(f"{out} holds results of other settings: {said}; choose another place.")
    return there


def require_same(there: Mapping[int, str], shard: Shard, out: Place) -> bool:
    """Return whether a shard's results are there.

    Raises:
        ResultsError: those of other keys are, under its number.
    """
    name = there.get(shard.number)
    if name not in (None, shard.name):
        raise ResultsError(OTHER_KEYS.format(out=out, name=name))
    return name is not None


def usable(out: Folder | Objects) -> Folder | Objects:
    """Return a place that results can be written to: of a bucket with a prefix that ends like a folder's.

    Raises:
        PlaceError: it is a file.
    """
    if isinstance(out, Objects):
        return Objects(out.bucket, f"{out.prefix.rstrip('/')}/" if out.prefix else "")
    if out.path.exists() and not out.path.is_dir():
        raise PlaceError(f"{out.path} is a file, not a folder for results.")
    return Folder(Path(out.path))
