"""Results are only added to those of the same settings and the same keys."""

import json

import pytest

from pipelines.score import results
from pipelines.score.places import Folder, Objects, PlaceError
from pipelines.score.results import RUN, ResultsError
from pipelines.score.shards import Shard

SETTINGS = {"model_version": "one", "limit": None}
SHARD = Shard(7, ("a.jpg",), "0123456789abcdef")


@pytest.fixture
def out(tmp_path):
    return Folder(tmp_path / "out")


def test_a_new_place_is_told_what_its_results_are_of(out):
    assert results.begin(out, SETTINGS) == {}
    assert json.loads((out.path / RUN).read_text()) == SETTINGS


def test_what_is_there_is_found_by_the_number_of_its_shard(out):
    results.begin(out, SETTINGS)
    out.write(SHARD.name, b"")
    out.write("notes.txt", b"")
    there = results.begin(out, SETTINGS)
    assert there == {7: SHARD.name}
    assert results.require_same(there, SHARD, out)
    assert not results.require_same(there, Shard(8, ("a.jpg",), "0123456789abcdef"), out)


def test_results_of_other_settings_are_left_alone(out):
    results.begin(out, SETTINGS)
    before = (out.path / RUN).read_bytes()
    with pytest.raises(ResultsError, match="limit None instead of 5, model_version one instead of two;"):
        results.begin(out, {"model_version": "two", "limit": 5})
    assert (out.path / RUN).read_bytes() == before


def test_results_of_nobody_knows_what_are_left_alone(out):
    out.write(SHARD.name, b"")
    with pytest.raises(ResultsError, match=r"no _run\.json that says of what"):
        results.begin(out, SETTINGS)
    out.write(RUN, b"no json")
    with pytest.raises(ResultsError, match="is damaged"):
        results.begin(out, SETTINGS)


def test_a_shard_of_other_keys_under_the_same_number_is_refused(out):
    with pytest.raises(ResultsError, match="photos have come or gone since it was begun"):
        results.require_same({7: "part-00000007-ffffffffffffffff.parquet"}, SHARD, out)


def test_a_place_for_results_is_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PlaceError, match="is a file, not a folder"):
        results.usable(Folder(tmp_path / "file"))
    assert results.usable(Objects("b", "out")) == results.usable(Objects("b", "out/")) == Objects("b", "out/")
    assert results.usable(Objects("b")) == Objects("b")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PlaceError, match=r"_run\.json cannot be written: "):
        results.begin(Folder(tmp_path / "file" / "out"), SETTINGS)
