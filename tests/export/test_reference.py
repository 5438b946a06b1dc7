"""The bundle's memory of its photos: which were learned from, which were in the test."""

import json

import numpy as np
import pytest

from cat_model.bundle import BundleError, sha256
from cat_model.monitoring import drift
from cat_model.monitoring.traffic import Aggregate
from export.reference import REFERENCE, Reference
from train.data.manifest import PhotoRecord


def record(number, split):
    return PhotoRecord(
        f"cat/{number}.jpg", "cat", sha256(str(number).encode()), 1, 1, 1, "0", "0", split=split
    )


RECORDS = [record(n, ("train", "train", "train", "validation", "test")[n % 5]) for n in range(2000)]


def test_it_knows_every_photo_after_a_round_through_the_bundle(tmp_path):
    (tmp_path / REFERENCE).write_bytes(Reference.of(RECORDS).to_json())
    reference = Reference.read(tmp_path)
    for each in RECORDS:
        assert reference.has_seen(each) == (each.split != "test")
        assert reference.has_in_test(each) == (each.split == "test")
    strangers = [record(n, "") for n in range(2000, 4000)]
    assert not any(reference.has_seen(each) or reference.has_in_test(each) for each in strangers)


def test_it_is_small_and_holds_no_names():
    content = Reference.of(RECORDS).to_json()
    assert len(content) < 6 * len(RECORDS)
    assert b"jpg" not in content
    assert set(json.loads(content)) == {"photos"}


def test_it_carries_counts_over_the_validation_photos_that_the_app_can_read(tmp_path):
    counted = Aggregate.of(np.linspace(0, 1, 50), np.ones((50, 16)))
    (tmp_path / REFERENCE).write_bytes(Reference.of(RECORDS, counted).to_json())
    assert drift.read_reference(tmp_path) == counted
    assert Reference.read(tmp_path).has_in_test(RECORDS[4])


def test_a_bundle_without_one_has_none_and_a_damaged_one_is_an_error(tmp_path):
    assert Reference.read(tmp_path) is None
    for damaged in (
        b"{",
        b"[]",
        b'{"photos": {"seen": "AAAAAAA=", "test": ""}}',
        b'{"photos": {"seen": ""}}',
    ):
        (tmp_path / REFERENCE).write_bytes(damaged)
        with pytest.raises(BundleError, match="damaged"):
            Reference.read(tmp_path)
