"""The bundle's reference.json: which photos it knows, and the scores that drift is tested against."""

import base64
import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cat_model.bundle import REFERENCE, BundleError
from cat_model.monitoring.traffic import Aggregate
from train.data.manifest import TEST, TRAIN, VALIDATION, PhotoRecord

PREFIX = 4
"""Bytes kept of each SHA-256: an unknown photo passes as one of 10,000 known ones once in 400,000 times."""


@dataclass(frozen=True)
class Reference:
    """Which photos a model has learned from, and which it was tested on, by the beginnings of their SHA-256.

    Attributes:
        seen: photos of the splits that training and the choice of epoch and threshold used.
        test: photos of the test split.
        traffic: scores and embeddings of the validation photos, to compare later traffic with; None in a
            reference that was read, where cat_model/monitoring/drift.py reads it.
    """

    seen: frozenset[bytes]
    test: frozenset[bytes]
    traffic: Aggregate | None = None

    @classmethod
    def of(cls, records: Iterable[PhotoRecord], traffic: Aggregate | None = None) -> Self:
        """Note the photos of a manifest by their splits, and the counts over the validation photos."""
        known: dict[str, set[bytes]] = {TRAIN: set(), VALIDATION: set(), TEST: set()}
        for record in records:
            known[record.split].add(_prefix(record))
        return cls(frozenset(known[TRAIN] | known[VALIDATION]), frozenset(known[TEST]), traffic)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read the reference of a bundle; None where the bundle has none.

        Raises:
            BundleError: there is one, but it is damaged.
        """
        path = folder / REFERENCE
        if not path.exists():
            return None
        try:
            stored = json.loads(path.read_text("utf-8"))["photos"]
            return cls(_unpack(stored["seen"]), _unpack(stored["test"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} is damaged: {error!r}.") from error

    def to_json(self) -> bytes:
        """Return the content of reference.json."""
        photos = {"prefix_bytes": PREFIX, "seen": _pack(self.seen), "test": _pack(self.test)}
        traffic = {"traffic": dataclasses.asdict(self.traffic)} if self.traffic else {}
        return json.dumps({"photos": photos, **traffic}, indent=1).encode() + b"\n"

    def has_seen(self, record: PhotoRecord) -> bool:
        """Whether the model learned from this very file, or was chosen by it."""
        return _prefix(record) in self.seen

    def has_in_test(self, record: PhotoRecord) -> bool:
        """Whether this very file was in the model's test split."""
        return _prefix(record) in self.test


def _prefix(record: PhotoRecord) -> bytes:
    return bytes.fromhex(record.sha256)[:PREFIX]


def _pack(prefixes: frozenset[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(prefixes))).decode()


def _unpack(text: str) -> frozenset[bytes]:
    data = base64.b64decode(text, validate=True)
    if len(data) % PREFIX:
        raise ValueError(f"{len(data)} bytes are no whole number of prefixes")
    return frozenset(data[i : i + PREFIX] for i in range(0, len(data), PREFIX))
