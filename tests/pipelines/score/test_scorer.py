"""A shard's answers are those of the predictor, whole or not there."""

import threading
import time
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

import cat_model
from cat_model import PhotoError
from pipelines.score import scorer as scoring
from pipelines.score.places import DeniedError, PlaceError
from pipelines.score.scorer import Done, Scorer, Stopped
from pipelines.score.shards import Shard
from tests.pipelines.score.conftest import KEYS

SHARD = Shard(3, KEYS, "0123456789abcdef")


class Photos:
    """Reads what a function gives, and counts."""

    def __init__(self, read):
        self.read_one, self.lock, self.asked = read, threading.Lock(), 0

    def connect(self):
        pass

    def read(self, key, _most):
        with self.lock:
            self.asked += 1
        return self.read_one(key)


def with_photos(job, read):
    return type(job)(Photos(read), job.out, job.bundle, job.thorough, job.embedding)


def table(job, shard=SHARD):
    return pq.read_table(job.out.path / shard.name)


def test_answers_are_the_predictors_in_the_order_of_the_keys(job, photos):
    assert Scorer(job).score(SHARD) == Done(3, 5, 1, sum((photos / key).stat().st_size for key in KEYS))
    predictor = cat_model.load()
    for row, key in zip(table(job).to_pylist(), KEYS, strict=True):
        assert row["key"] == key
        assert row["model_version"] == predictor.bundle.version
        if key == "misc/bad.jpg":
            with pytest.raises(PhotoError) as refusal:
                predictor.predict(photos / key)
            assert row["error"] == str(refusal.value)
            assert row["probability"] is row["label"] is row["unsure"] is None
        else:
            verdict = predictor.predict(photos / key)
            assert (row["probability"], row["label"], row["unsure"], row["error"]) == (
                verdict.probability,
                verdict.label,
                verdict.unsure,
                None,
            )
    assert "embedding" not in table(job).column_names


def test_thorough_answers_are_the_thorough_predictors(job, photos):
    thorough = type(job)(job.photos, job.out, job.bundle, thorough=True)
    Scorer(thorough).score(SHARD)
    predictor = cat_model.load()
    expected = [
        None if key == "misc/bad.jpg" else predictor.predict(photos / key, thorough=True).probability
        for key in KEYS
    ]
    assert table(job).column("probability").to_pylist() == expected


@pytest.mark.parametrize(("thorough", "label"), [(False, "not sure"), (True, "cat")])
def test_thorough_answers_have_a_threshold_of_their_own(job, bundle, thorough, label):
    unsure = replace(job, bundle=replace(bundle, unsure=(0.0, 1.01)), thorough=thorough)
    Scorer(unsure).score(SHARD)
    assert table(job).column("label")[0].as_py() == label


def test_embeddings_are_the_predictors_and_null_where_there_is_an_error(job, photos):
    Scorer(type(job)(job.photos, job.out, job.bundle, embedding=True)).score(SHARD)
    column = table(job).column("embedding")
    predictor = cat_model.load()
    np.testing.assert_array_equal(
        np.float32(column[0].as_py()), predictor.embedding(photos / KEYS[0]), strict=True
    )
    assert column[2].as_py() is None
    empty = Shard(4, ("misc/bad.jpg",), "0" * 16)  # has the same type
    Scorer(type(job)(job.photos, job.out, job.bundle, embedding=True)).score(empty)
    assert table(job, empty).column("embedding").type == column.type


def test_the_same_shard_gives_the_same_bytes_whatever_the_batches(job, monkeypatch):
    scorer = Scorer(job)
    scorer.score(SHARD)
    first = (job.out.path / SHARD.name).read_bytes()
    monkeypatch.setattr(scoring, "BATCH", 2)
    scorer.score(SHARD)
    assert (job.out.path / SHARD.name).read_bytes() == first
    monkeypatch.setattr(scoring, "BATCH_PIXELS", 1)
    scorer.score(SHARD)
    assert (job.out.path / SHARD.name).read_bytes() == first


def test_a_missing_photo_is_a_row(job):
    shard = Shard(0, ("cat/one.jpg", "cat/gone.jpg"), "0" * 16)
    assert Scorer(job).score(shard).errors == 1
    assert table(job, shard).column("error").to_pylist() == [None, "There is no such file."]


def test_a_name_that_is_no_text_is_a_row(job, photos, examples):
    name = b"caf\xe9.jpg"
    (photos / name.decode("utf-8", "surrogateescape")).write_bytes((examples / "chelsea.jpg").read_bytes())
    (key,) = [path.name for path in photos.iterdir() if path.name.startswith("caf")]
    shard = Shard(0, (key,), "0" * 16)
    assert Scorer(job).score(shard).errors == 0
    assert table(job, shard).column("key").to_pylist() == ["caf\\xe9.jpg"]


def test_nothing_is_written_when_the_folder_is_gone(job, photos):
    scorer = Scorer(job)
    photos.rename(photos.with_name("elsewhere"))
    with pytest.raises(PlaceError, match="is not there any more"):
        scorer.score(SHARD)
    assert not job.out.path.exists()


def test_a_photo_that_may_not_be_read_is_a_row_unless_that_is_so_of_all(job, photos):
    def read(key):
        if key in denied:
            raise DeniedError
        return (photos / key).read_bytes()

    denied = {KEYS[0]}
    assert Scorer(with_photos(job, read)).score(SHARD).errors == 2
    assert table(job).column("error")[0].as_py() == "It may not be read: access is denied."
    denied, other = set(KEYS), Shard(9, KEYS, "0" * 16)
    with pytest.raises(PlaceError, match="None of the 5 photos"):
        Scorer(with_photos(job, read)).score(other)
    assert not (job.out.path / other.name).exists()


def test_nothing_is_written_when_the_worker_is_told_to_stop(job):
    answers = iter([False, False, True])
    with pytest.raises(Stopped):
        Scorer(job, stop=lambda: next(answers)).score(SHARD)
    assert not job.out.path.exists()


def test_what_goes_wrong_is_said_and_not_raised(job):
    def read(key):
        raise MemoryError("none left")

    assert Scorer(with_photos(job, read)).tried(SHARD) == (None, "MemoryError: none left")


def test_photos_are_fetched_ahead_but_not_without_end(job, photos, monkeypatch):
    monkeypatch.setattr(scoring, "AHEAD", 6)
    content = (photos / KEYS[0]).read_bytes()
    counting = with_photos(job, lambda key: content)
    fetched = Scorer(counting)._fetched([f"{number}.jpg" for number in range(100)])
    next(fetched)
    settled(counting.photos, 6)
    next(fetched)
    settled(counting.photos, 7)


def test_large_photos_are_not_fetched_ahead_without_end(job, monkeypatch):
    monkeypatch.setattr(scoring, "AHEAD_BYTES", 3_000_000)

    def read(key):
        return bytes(1_000_000)

    scorer = Scorer(with_photos(job, read))
    for taken, _ in enumerate(scorer._fetched([f"{number}.jpg" for number in range(100)]), start=1):
        time.sleep(0.001)  # so that what is on its way comes
        assert scorer._job.photos.asked - taken <= scoring.FETCHERS + 2  # on their way, and held
    assert taken == 100


def settled(photos, asked):
    """As many were asked for as expected, and no more follow."""
    end = time.monotonic() + 20
    while photos.asked < asked and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.05)
    assert photos.asked == asked


def test_results_of_a_shard_are_whole_where_they_are(job, monkeypatch):
    def cut_short(descriptor):
        raise OSError(28, "No space left on device")

    scorer = Scorer(job)
    monkeypatch.setattr("cat_model.atomic.os.fsync", cut_short)
    with pytest.raises(PlaceError, match="cannot be written: No space left on device"):
        scorer.score(SHARD)
    monkeypatch.undo()
    assert [path for path in job.out.path.rglob("*") if path.is_file()] == []
