"""Counts, intervals, threshold and calibration error against values known from elsewhere."""

import numpy as np
import pytest

from train.evaluation import metrics


@pytest.mark.parametrize(("hits", "total", "low"), [(97, 100, 0.915), (485, 500, 0.951), (970, 1000, 0.957)])
def test_lower_wilson_bound_of_097(hits, total, low):
    assert metrics.rate(hits, total).low == pytest.approx(low, abs=5e-4)


def test_wilson_interval_stays_within_0_and_1_and_says_nothing_of_nothing():
    assert metrics.rate(0, 10).low == 0
    assert metrics.rate(10, 10).high == pytest.approx(1)
    empty = metrics.rate(0, 0)
    assert (empty.value, empty.low, empty.high) == (0, 0, 1)


def test_measure_counts_each_group():
    groups = ["cat", "cat", "cat_hard", "dog", "dog", "misc"]
    probabilities = np.array([0.9, 0.4, 0.8, 0.7, 0.1, 0.2])
    measured = metrics.measure(probabilities, groups, 0.5, band=(0.3, 0.75))
    assert (measured.recall.hits, measured.recall.total) == (2, 3)
    assert (measured.precision.hits, measured.precision.total) == (2, 3)
    assert {group: rate.hits for group, rate in measured.false_cat.items()} == {"dog": 1, "misc": 0}
    assert {group: rate.value for group, rate in measured.recall_of.items()} == {"cat": 0.5, "cat_hard": 1}
    assert measured.unsure.hits == 2


def answers(count, seed):
    generator = np.random.default_rng(seed)
    cats = generator.random(count) < 0.3
    return np.clip(generator.normal(0.35 + 0.3 * cats, 0.15), 0, 1), cats


def smaller_of_both(cut, probabilities, cats):
    said = probabilities >= cut
    return min((said & cats).sum() / cats.sum(), (said & cats).sum() / said.sum())


def test_threshold_finds_nearly_as_many_cats_as_the_precision_allows():
    probabilities, cats = answers(4000, seed=1)
    threshold = metrics.choose_threshold(probabilities, cats)
    said = probabilities >= threshold
    assert cats[said].mean() == pytest.approx(metrics.PRECISION, abs=0.01)
    assert said[cats].mean() >= metrics.recall_at_precision(probabilities, cats, metrics.PRECISION) - 0.03


def test_threshold_favours_neither_error_where_no_answer_is_precise():
    generator = np.random.default_rng(3)
    cats = generator.random(400) < 0.4
    probabilities = np.clip(generator.normal(0.45 + 0.1 * cats, 0.2), 0.05, 0.6)
    threshold = metrics.choose_threshold(probabilities, cats)
    best = max(smaller_of_both(cut, probabilities, cats) for cut in probabilities)
    assert smaller_of_both(threshold, probabilities, cats) >= best - 0.03


def test_threshold_keeps_its_precision_on_photos_it_was_not_chosen_on():
    others, cats = answers(50_000, seed=99)
    kept = [cats[others >= metrics.choose_threshold(*answers(1000, seed))].mean() for seed in range(20)]
    assert np.mean(kept) > metrics.PRECISION - 0.015
    assert min(kept) > metrics.PRECISION - 0.06


def test_threshold_lies_in_the_middle_of_the_gap_it_could_be_anywhere_in():
    probabilities = np.repeat([0.1, 0.2, 0.8, 0.9], 10)
    assert metrics.choose_threshold(probabilities, probabilities > 0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("cats", [[True, True], [False, False]])
def test_a_threshold_needs_both_kinds(cats):
    with pytest.raises(ValueError, match="something else"):
        metrics.choose_threshold(np.array([0.2, 0.3]), np.array(cats))


def test_unsure_band_holds_the_threshold_and_what_lies_outside_can_be_trusted():
    generator = np.random.default_rng(2)
    cats = generator.random(2000) < 0.3
    probabilities = np.clip(generator.normal(0.3 + 0.4 * cats, 0.15), 0, 1)
    threshold = metrics.choose_threshold(probabilities, cats)
    low, high = metrics.unsure_band(probabilities, cats, threshold, trust=0.98)
    assert low < threshold < high
    assert (~cats[probabilities < low]).mean() >= 0.98
    assert cats[probabilities >= high].mean() >= 0.98
    inside = (probabilities >= low) & (probabilities < high)
    assert 0.3 < cats[inside].mean() < 0.7


def test_there_is_no_band_where_every_answer_can_be_trusted():
    probabilities = np.array([0.1, 0.2, 0.8, 0.9])
    cats = np.array([False, False, True, True])
    assert metrics.unsure_band(probabilities, cats, 0.5, trust=0.99) == (0.5, 0.5)


def test_calibration_error_of_honest_and_of_boastful_probabilities():
    generator = np.random.default_rng(3)
    probabilities = generator.random(50_000)
    cats = generator.random(50_000) < probabilities
    assert metrics.calibration_error(probabilities, cats) < 0.01
    assert metrics.calibration_error(np.full(1000, 0.9), np.arange(1000) < 500) == pytest.approx(0.4)


def test_recall_at_a_precision_takes_the_largest_that_any_threshold_reaches():
    probabilities = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    cats = np.array([True, False, True, True, True, False])
    assert metrics.recall_at_precision(probabilities, cats, 1.0) == 0.25
    assert metrics.recall_at_precision(probabilities, cats, 0.8) == 1.0
    assert metrics.recall_at_precision(probabilities, ~cats, 0.9) == 0.0
    assert metrics.recall_at_precision(probabilities, np.zeros(6, bool), 0.0) == 0.0


def test_recall_at_a_precision_does_not_part_photos_of_one_probability():
    probabilities = np.array([0.9, 0.9, 0.1])
    cats = np.array([True, False, True])
    assert metrics.recall_at_precision(probabilities, cats, 0.99) == 0.0
    assert metrics.recall_at_precision(probabilities, cats, 0.5) == 1.0


def test_calibration_says_what_changed():
    cats = np.arange(1000) < 500
    found = metrics.calibration(np.full(1000, 0.9), np.full(1000, 0.5), cats)
    assert (found.ece_before, found.ece_after) == (pytest.approx(0.4), 0.0)
    assert found.log_loss_before == pytest.approx(-np.log(0.9 * 0.1) / 2)
    assert found.log_loss_after == pytest.approx(np.log(2))


def test_mcnemar_counts_pairs_and_weighs_the_unlike_ones():
    right_a = np.repeat([True, True, False, False], [50, 10, 2, 5])
    right_b = np.repeat([True, False, True, False], [50, 10, 2, 5])
    paired = metrics.mcnemar(right_a, right_b)
    assert (paired.both, paired.only_a, paired.only_b, paired.neither) == (50, 10, 2, 5)
    assert paired.p_value == pytest.approx(2 * (1 + 12 + 66) / 2**12)  # two tails of a binomial of 12
    assert metrics.mcnemar(right_a, right_a).p_value == 1.0


def test_an_interval_always_holds_its_share():
    for total in range(1, 200):
        for hits in {0, 1, total // 2, total - 1, total}:
            found = metrics.rate(hits, total)
            assert 0 <= found.low <= found.value <= found.high <= 1
