"""Counts of the page's photos: right, in full blocks, with nothing of any one photo; and what drift says."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.stats import chi2, ks_2samp, kstwobign, norm, ttest_ind_from_stats

from cat_model import PhotoError, load
from cat_model.monitoring import drift
from cat_model.monitoring.drift import DriftError
from cat_model.monitoring.traffic import (
    BLOCK,
    DIRECTIONS,
    EDGES,
    KEPT,
    Aggregate,
    Counter,
    Traffic,
    file_of,
    read,
)

SIZE = 64


def photos(count, seed=0, shift=0.0, sure=0.5):
    """Probabilities and embeddings of a crowd; `shift` moves the embeddings, `sure` the scores."""
    lot = np.random.default_rng(seed)
    return lot.beta(sure, sure, count), lot.gamma(2.0, size=(count, SIZE)) + shift


def blocks(count, **more):
    probabilities, embeddings = photos(count, **more)
    return [
        Aggregate.of(probabilities[start : start + BLOCK], embeddings[start : start + BLOCK])
        for start in range(0, count, BLOCK)
    ]


REFERENCE = Aggregate.of(*photos(1800, seed=99))


def test_photos_are_counted_rightly():
    probabilities, embeddings = np.array([0.0, 0.005, 0.5, 1.0]), np.ones((4, SIZE))
    counted = Aggregate.of(probabilities, embeddings)
    assert (counted.photos, sum(counted.scores), len(counted.scores)) == (4, 4, len(EDGES) + 1)
    assert (counted.scores[0], counted.scores[-1], counted.scores[EDGES.index(0.5) + 1]) == (2, 1, 1)
    np.testing.assert_allclose(np.square(counted.sums) / 4, counted.squares)
    both = counted + Aggregate.of(probabilities[:1], embeddings[:1])
    again = Aggregate.of(np.append(probabilities, 0.0), np.ones((5, SIZE)))
    assert replace(both, sums=(), squares=()) == replace(again, sums=(), squares=())
    np.testing.assert_allclose(both.sums, again.sums)


def test_nothing_is_written_or_shown_before_a_block_is_full(tmp_path):
    traffic = Traffic(tmp_path / "feedback", "a" * 64)
    for probability, embedding in zip(*photos(BLOCK - 1), strict=True):
        traffic.saw(np.array([probability]), embedding[None])
    traffic.refused("format", counted=True)
    traffic.took("inference", 0.004, counted=True)
    traffic.took("inference", 9.0, counted=True)
    traffic.took("decode", 9.0, counted=True)
    assert traffic.blocks == ()
    assert not (tmp_path / "feedback").exists()
    traffic.saw(*photos(1))
    (block,) = traffic.blocks
    assert (block.photos, block.refused, block.times[0], block.times[-1]) == (BLOCK, 1, 1, 1)


def test_what_is_written_comes_back_and_is_gone_on_with(tmp_path):
    for count in (1, 2):
        traffic = Traffic(tmp_path, "a" * 64)
        traffic.saw(*photos(BLOCK))
        assert len(traffic.blocks) == count
        assert tuple(read(file_of(tmp_path, "a" * 64))) == traffic.blocks
    assert Traffic(tmp_path, "b" * 64).blocks == ()  # another model's scores are another matter


def test_what_is_written_is_counts_and_a_day_alone(tmp_path):
    Traffic(tmp_path, "a" * 64).saw(*photos(BLOCK))
    (written,) = tmp_path.iterdir()
    (block,) = json.loads(written.read_text())["blocks"]
    assert set(block) == {"photos", "scores", "sums", "squares", "refused", "times", "day"}
    assert (len(block["sums"]), len(block["day"])) == (DIRECTIONS, 10)
    assert written.stat().st_size < 2_000
    assert written.stat().st_mode & 0o077 == 0


def test_only_the_last_blocks_are_kept(tmp_path):
    traffic = Traffic(tmp_path, "a" * 64)
    for number in range(KEPT + 3):
        traffic.saw(*photos(BLOCK + number))
    assert [block.photos for block in traffic.blocks] == [BLOCK + 3 + n for n in range(KEPT)]


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"blocks": [{"photos": 1, "scores": [1]}]}', b'{"blocks": [{"x": 1}]}']
)
def test_a_damaged_file_is_logged_and_begun_anew(tmp_path, content, caplog):
    file_of(tmp_path, "a" * 64).write_bytes(content)
    traffic = Traffic(tmp_path, "a" * 64)
    assert "begun anew" in caplog.text
    traffic.saw(*photos(BLOCK))
    assert len(Traffic(tmp_path, "a" * 64).blocks) == 1


def test_a_full_disk_is_logged_and_counting_goes_on(tmp_path, caplog):
    (tmp_path / "feedback").write_text("in the way")
    traffic = Traffic(tmp_path / "feedback", "a" * 64)
    traffic.saw(*photos(BLOCK))
    assert "cannot be written" in caplog.text
    assert len(traffic.blocks) == 1


def test_the_predictor_tells_its_observers_of_every_photo(predictor, examples):
    watched = load(predictor.bundle.folder)
    counter = Counter()
    watched.observers = (counter,)
    verdict = watched.predict(examples / "chelsea.jpg")
    with pytest.raises(PhotoError):
        watched.predict(b"no photo")
    expected = Aggregate.of(
        np.array([verdict.probability]), predictor.embedding(examples / "chelsea.jpg")[None]
    )
    assert replace(counter.total, times=expected.times, refused=0) == expected
    assert (counter.total.refused, sum(counter.total.times)) == (1, 1)


def test_live_pictures_and_second_questions_are_no_photos(predictor, examples):
    watched = load(predictor.bundle.folder)
    counter = Counter()
    watched.observers = (counter,)
    watched.explain(examples / "chelsea.jpg", 0, counted=False)
    with pytest.raises(PhotoError):
        watched.explain(b"no photo", 0, counted=False)
    assert counter.total == Aggregate()


@pytest.mark.parametrize("seed", range(20))
def test_photos_of_the_same_kind_raise_no_alarm(seed):
    assert not drift.compare(blocks(500, seed=seed), REFERENCE).alarm


@pytest.mark.parametrize(
    ("name", "more"), [("mean", {"shift": 0.5}), ("stability", {"sure": 5.0}), ("Smirnov", {"sure": 5.0})]
)
def test_photos_of_another_kind_raise_the_alarm_that_fits_within_200(name, more):
    found = drift.compare(blocks(200, **more), REFERENCE)
    assert [finding.alarm for finding in found.tests if name in finding.name] == [True]
    assert "ALARM" in str(found)


def test_only_the_last_photos_count():
    turned = [*blocks(1000, shift=0.5), *blocks(500, seed=1)]
    assert not drift.compare(turned, REFERENCE).alarm
    assert drift.compare([*turned, *blocks(200, shift=0.5)], REFERENCE).alarm


def test_no_photos_no_verdict():
    with pytest.raises(DriftError, match="Too few"):
        drift.compare([], REFERENCE)


def test_a_population_stability_index_is_what_it_is_defined_as():
    here, there = np.array([200, 300, 500]), np.array([300, 300, 400])
    p, q = here / 1000, there / 1000
    assert drift._psi(here, there) == pytest.approx(((p - q) * np.log(p / q)).sum(), abs=0.001)


def test_the_quantiles_are_those_of_the_tables():
    assert drift._normal(0.025) == pytest.approx(1.959964, abs=1e-5)
    assert drift._chi_squared(10, 0.05) == pytest.approx(18.307, rel=0.002)


@pytest.mark.parametrize("count", [100, 500])
def test_the_limits_are_those_of_the_tests_at_the_same_false_alarm_rate(count):
    stability, distance, mean = drift.compare(blocks(count), REFERENCE).tests
    chance = 1 / count + 1 / REFERENCE.photos
    assert distance.limit == pytest.approx(kstwobign.isf(drift.ALPHA) * chance**0.5, rel=1e-4)
    assert mean.limit == pytest.approx(norm.isf(drift.ALPHA / 2 / DIRECTIONS), rel=1e-6)
    joined = len(drift._joined(np.array(REFERENCE.scores), np.array(REFERENCE.scores))[0])
    by_chance = chi2.isf(drift.ALPHA, joined - 1) * chance
    assert stability.limit == pytest.approx(max(drift.PSI, by_chance), rel=0.01)
    assert (by_chance > drift.PSI) == (count == 100)


def test_the_statistics_are_those_of_scipy():
    window = Aggregate.of(*photos(400, seed=3, shift=0.05, sure=0.7))
    _, distance, mean = drift.compare([window], REFERENCE).tests
    scores = [np.repeat(np.arange(len(each.scores)), each.scores) for each in (window, REFERENCE)]
    assert distance.found == pytest.approx(ks_2samp(*scores).statistic, rel=0.05)
    told = []
    for each in (window, REFERENCE):
        average = np.array(each.sums) / each.photos
        variance = np.array(each.squares) / each.photos - average**2
        told += [average, np.sqrt(variance * each.photos / (each.photos - 1)), each.photos]
    welch = ttest_ind_from_stats(*told, equal_var=False).statistic
    assert mean.found == pytest.approx(np.abs(welch).max(), rel=0.01)


@pytest.mark.parametrize(
    ("there", "starts"),
    [
        ([500, 500], [0, 1]),
        ([5, 5, 990], [0, 2]),
        ([5, 4, 991], [0]),
        ([990, 5, 5], [0, 1]),
        ([900, 91, 9], [0, 1]),
        ([985, 10, 5], [0, 1]),
    ],
)
def test_rare_bins_are_joined_to_their_neighbours(there, starts):
    here = np.arange(1, len(there) + 1)
    joined = drift._joined(here, np.array(there))
    assert joined[0].tolist() == np.add.reduceat(here, starts).tolist()
    assert joined[1].tolist() == np.add.reduceat(there, starts).tolist()


def test_a_value_at_its_limit_is_no_alarm():
    assert not drift.DriftTest("", 0.5, 0.5).alarm
    assert drift.DriftTest("", 0.51, 0.5).alarm


def test_a_reference_is_read_and_an_older_one_is_told_in_words(tmp_path):
    path = tmp_path / "reference.json"
    with pytest.raises(DriftError, match="cannot be read"):
        drift.read_reference(tmp_path)
    path.write_text(json.dumps({"photos": {}, "traffic": asdict(REFERENCE)}))
    read_back = drift.read_reference(tmp_path)
    assert drift.compare(blocks(100), read_back).tests == drift.compare(blocks(100), REFERENCE).tests
    path.write_text(json.dumps({"photos": {}}))
    with pytest.raises(DriftError, match="older form"):
        drift.read_reference(tmp_path)
    for damaged in ("{", "[]", '{"traffic": 5}', '{"traffic": {"scores": []}}'):
        path.write_text(damaged)
        with pytest.raises(DriftError, match=r"damaged|older form"):
            drift.read_reference(tmp_path)
