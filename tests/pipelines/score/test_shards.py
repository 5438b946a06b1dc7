"""Keys become shards whose names follow from what is in them."""

from itertools import count, islice

import pytest

from pipelines.score import shards
from pipelines.score.shards import Crash, Shard, after

SETTINGS = {"model_version": "one"}


def test_keys_are_cut_in_order_and_the_last_shard_may_be_shorter():
    cut = list(shards.cut("abcdefg", 3, SETTINGS))
    assert [shard.keys for shard in cut] == [("a", "b", "c"), ("d", "e", "f"), ("g",)]
    assert [shard.number for shard in cut] == [0, 1, 2]
    assert [shards.number(shard.name) for shard in cut] == [0, 1, 2]
    assert list(shards.cut("", 3, SETTINGS)) == []


def test_a_listing_without_end_is_cut_as_it_comes():
    keys = (f"{number:012}.jpg" for number in count())
    assert [shard.keys[0] for shard in islice(shards.cut(keys, 1000, SETTINGS), 3)] == [
        "000000000000.jpg",
        "000000001000.jpg",
        "000000002000.jpg",
    ]


def test_a_name_follows_from_the_keys_and_from_all_that_answers_depend_on():
    def name(keys, settings=SETTINGS):
        (shard,) = shards.cut(keys, 9, settings)
        return shard.name

    assert name(["a", "b"]) == name(["a", "b"])
    others = [name(["a"]), name(["b", "a"]), name(["ab"]), name(["a", "b"], {"model_version": "two"})]
    assert len({name(["a", "b"]), *others}) == 5


def test_a_name_that_is_no_text_has_a_shard_too():
    (shard,) = shards.cut(["caf\udce9.jpg"], 9, SETTINGS)
    assert shards.number(shard.name) == 0
    assert list(shards.sample(["caf\udce9.jpg"], 1.0, 0)) == ["caf\udce9.jpg"]


@pytest.mark.parametrize("name", ["_run.json", "part-x-1.parquet", "part-1.parquet", "part-00000001-ab.csv"])
def test_other_files_are_no_shards(name):
    assert shards.number(name) is None


def test_a_sample_is_the_same_each_time_and_lies_within_a_larger_one():
    keys = [f"{number}.jpg" for number in range(20_000)]
    small, large = (list(shards.sample(keys, fraction, 0)) for fraction in (0.1, 0.3))
    assert small == list(shards.sample(keys, 0.1, 0))
    assert set(small) < set(large)
    assert len(small) == pytest.approx(2_000, abs=200)  # over four standard deviations
    assert len(large) == pytest.approx(6_000, abs=300)
    assert set(small) != set(shards.sample(keys, 0.1, 1))


def test_a_photo_is_blamed_when_it_ends_a_worker_that_had_it_by_itself_after_another():
    batch, alone = Crash((1, 2, 3), "It ends programs."), Crash((2,), "It ends programs.")
    suspected = after(Shard(0, tuple("abcde"), "0" * 16), batch)
    assert (suspected.suspects, suspected.fatal) == ((1, 2, 3), {})
    blamed = after(suspected, alone)
    assert (blamed.suspects, blamed.fatal) == ((1, 3), {2: "It ends programs."})
    assert after(suspected, batch) == suspected
    again = after(blamed, Crash((1, 2, 3, 4), "It ends programs."))
    assert (again.suspects, again.fatal) == ((1, 3, 4), {2: "It ends programs."})
    assert after(suspected, Crash((4,), "")).suspects == (1, 2, 3, 4)
    assert blamed.name == suspected.name
