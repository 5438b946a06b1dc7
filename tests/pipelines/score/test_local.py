"""A photo that ends its worker, or keeps it for ever, is a row with its error, and no other loses by it."""

import multiprocessing
import shutil
import threading
from ctypes import c_int64
from dataclasses import fields
from multiprocessing.sharedctypes import RawArray

import pyarrow.parquet as pq
import pytest

from pipelines.score.driver import Driver
from pipelines.score.local import CRASHED, HUNG, LocalEngine, serve
from pipelines.score.shards import Shard, cut
from tests.pipelines.score.conftest import KEYS
from tests.pipelines.score.deadly import HANG, KILL, MODEL, ONCE, DeadlyJob

BAD = "misc/bad.jpg"


class Report:
    """Remembers what it hears."""

    def __init__(self):
        self.photos, self.errors, self.problems = 0, 0, []

    def tick(self, up):
        pass

    def done(self, done):
        self.photos += done.photos
        self.errors += done.errors

    def trouble(self, _shard, problem, last):
        assert not last, problem
        self.problems.append(problem)


def deadly(job, harm, **also):
    return DeadlyJob(**{each.name: getattr(job, each.name) for each in fields(job)}, harm=harm, **also)


def scored(job, shards, workers=1):
    engine, report = LocalEngine(job, workers), Report()
    try:
        Driver(engine, report).run(shards)
    finally:
        engine.close()
    return report


def errors(job, shard):
    table = pq.read_table(job.out.path / shard.name)
    assert table.column("key").to_pylist() == list(shard.keys)
    return table.column("error").to_pylist()


@pytest.mark.parametrize(("harm", "sentence"), [(KILL, CRASHED), (MODEL, CRASHED), (HANG, HUNG)])
def test_a_photo_that_ends_its_worker_is_a_row_with_its_error(job, photos, harm, sentence):
    (photos / BAD).write_bytes(b"deadly")
    (shard,) = cut(KEYS, 9, {})
    ill = deadly(job, {b"deadly": harm}, photo_s=1.0 if harm == HANG else 120.0)
    report = scored(ill, [shard])
    assert errors(job, shard) == [None, None, sentence, None, None]
    assert (report.photos, report.errors) == (5, 1)
    how = "a photo took more than 120 seconds" if harm == HANG else "signal SIGKILL; SIGKILL often means that"
    assert [how in problem for problem in report.problems] == [True, True]
    assert report.problems[-1].endswith(f") at {BAD}")
    first = (job.out.path / shard.name).read_bytes()
    scored(ill, [shard])
    assert (job.out.path / shard.name).read_bytes() == first


def test_several_bad_photos_among_several_shards_are_rows(job, photos):
    bad = [f"{number:02}.jpg" for number in (0, 3, 4, 11)]
    for number in range(12):
        shutil.copy(photos / KEYS[0], photos / f"{number:02}.jpg")
    for key in bad:
        (photos / key).write_bytes(b"deadly")
    shards = list(cut([f"{number:02}.jpg" for number in range(12)], 6, {}))
    report = scored(deadly(job, {b"deadly": KILL}), shards, workers=2)
    found = [
        key for shard in shards for key, error in zip(shard.keys, errors(job, shard), strict=True) if error
    ]
    assert found == bad
    assert (report.photos, report.errors) == (12, 4)


def test_a_photo_whose_worker_ended_once_is_not_blamed(job, photos, tmp_path):
    shutil.copy(photos / KEYS[0], photos / BAD)
    (shard,) = cut(KEYS, 9, {})
    scored(job, [shard])
    undisturbed = (job.out.path / shard.name).read_bytes()
    (job.out.path / shard.name).unlink()
    (photos / BAD).write_bytes(b"deadly" + (photos / KEYS[0]).read_bytes())
    report = scored(deadly(job, {b"deadly": f"{ONCE}{tmp_path / 'killed'}"}), [shard])
    assert report.problems[0].endswith(f") at {BAD}")
    assert len(report.problems) == 1
    assert (job.out.path / shard.name).read_bytes() == undisturbed


def test_a_shard_of_nothing_but_bad_photos_is_written(job, photos):
    (photos / BAD).write_bytes(b"deadly")
    shard = Shard(0, (BAD,), "0" * 16)
    assert scored(deadly(job, {b"deadly": KILL}), [shard]).errors == 1
    assert errors(job, shard) == [CRASHED]


def test_a_worker_whose_answer_is_left_unread_ends_quietly(job):
    ours, theirs = multiprocessing.Pipe()
    closer = threading.Thread(target=lambda: (ours.poll(60), ours.close()))
    closer.start()
    serve(theirs, RawArray(c_int64, [-1, -1]), job)
    closer.join()
    assert ours.closed
