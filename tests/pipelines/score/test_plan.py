"""A plan goes through its source as it is listed, and holds no more of it than a shard."""

import tracemalloc
from itertools import count, islice
from pathlib import Path

import pytest

from pipelines.score.places import Folder
from pipelines.score.plan import Choice, Plan
from pipelines.score.results import ResultsError
from pipelines.score.sources import Photos, SourceError

OUT = Folder(Path("out"))


class Listing:
    """Keys that are made up as they are asked for."""

    photos = Photos(Folder(Path()))

    def __init__(self, size):
        self.size, self.taken = size, 0

    def keys(self):
        for number in count() if self.size is None else range(self.size):
            self.taken += 1
            yield f"uploads/2026/{number:032}.jpg"


def plan(size, there=None, **choice):
    return Plan(Listing(size), Choice(**{"size": 100, **choice}), {}, OUT, there or {})


def test_work_begins_before_the_listing_ends():
    endless = plan(None)
    assert [shard.number for shard in islice(endless.missing(), 3)] == [0, 1, 2]
    assert endless.source.taken == 300


def test_a_long_listing_takes_no_more_memory_than_a_short_one():
    def peak(size):
        tracemalloc.start()
        try:
            assert sum(len(shard.keys) for shard in plan(size).missing()) == size
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(50_000) < peak(1_000) + 100_000  # bytes; the keys alone take five million


def test_parts_share_the_shards_and_leave_none():
    parts = [[shard.number for shard in plan(1050, part=part, parts=3).missing()] for part in range(3)]
    assert parts == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8]]
    assert [plan(1050, part=part, parts=3).count() for part in range(3)] == [400, 350, 300]


def test_what_is_there_is_passed_over_and_not_counted():
    names = {shard.number: shard.name for shard in plan(1050).missing()}
    there = {number: names[number] for number in (0, 10)}
    again = plan(1050, there)
    assert [shard.number for shard in again.missing()] == list(range(1, 10))
    assert again.skipped == 150
    assert again.count() == 900


def test_a_shorter_or_another_listing_than_before_is_refused():
    names = {shard.number: shard.name for shard in plan(1050).missing()}
    with pytest.raises(ResultsError, match="photos have come or gone"):
        list(plan(1000, names).missing())
    with pytest.raises(ResultsError, match="photos have come or gone"):
        list(plan(1049, names).missing())
    assert list(plan(1050, names).missing()) == []


def test_nothing_to_list_is_an_error_but_a_part_without_shards_is_none():
    with pytest.raises(SourceError, match="There are no photos to score"):
        list(plan(0).missing())
    assert list(plan(100, part=1, parts=2).missing()) == []


def test_limit_counts_photos_of_the_sample():
    assert plan(1000, limit=130).count() == 130
    sampled = [key for shard in plan(1000, sample=0.5, limit=130).missing() for key in shard.keys]
    assert len(sampled) == 130
    assert sampled[-1] > f"uploads/2026/{200:032}.jpg"
