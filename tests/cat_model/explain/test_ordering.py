"""What squares take along when they go: it adds up, is exact where it can be, and shared where it must be."""

import numpy as np
import pytest

from cat_model.explain.ordering import contributions


def told(game, owen, steps):
    """Ask for the contributions in a game of coalitions (N, squares), whose shares are split evenly."""

    def see(shown):
        logits = game(shown)
        return logits, np.repeat(logits[:, None] / len(owen), len(owen), axis=1)

    full, empty = (see(np.full((1, len(owen)), all_shown)) for all_shown in (True, False))
    return contributions(
        see, (float(full[0][0]), full[1][0]), (float(empty[0][0]), empty[1][0]), np.asarray(owen), steps
    )


def test_where_every_square_adds_its_own_each_gets_that():
    weights = np.array([3.0, -1.0, 0.5, 2.0, -0.25])
    values = told(lambda shown: shown @ weights + 0.7, weights, steps=4)
    assert values == pytest.approx(weights)


@pytest.mark.parametrize("answer", [1.0, -1.0])
def test_squares_that_stand_in_for_each_other_share(answer):
    """Either of the first two is enough for the answer, cat or not: the first to go takes nothing along."""
    values = told(
        lambda shown: answer * np.where(shown[:, :2].any(axis=1), 4.0, 1.0), np.array([2, 1, 0, 0]), 3
    )
    first, second, *others = answer * values
    assert first + second == pytest.approx(3, abs=0.3)
    assert 0.75 < second / first < 1  # the first to go stays first
    assert np.abs(others).max() < 0.2


@pytest.mark.parametrize("steps", [1, 3, 50])
def test_the_sum_is_what_the_logit_loses_in_all_whatever_the_game(steps):
    generator = np.random.default_rng(steps)
    mixing = generator.normal(size=(30, 30))

    def game(shown):
        return np.einsum("ni,ij,nj->n", shown, mixing, shown) + 1.0

    values = told(game, generator.normal(size=30), steps)
    assert values.sum() == pytest.approx(mixing.sum())


def test_of_what_is_proposed_that_goes_first_which_takes_most_along():
    """The shares propose the first square, three other directions the third, with which most goes."""
    weights = np.array([0.0, 0.0, 5.0, 1.0])
    order = []

    def see(shown):
        order.append(shown)
        return shown @ weights, shown * np.array([9.0, 0.0, 4.0, 0.0])

    contributions(see, (6.0, np.array([9.0, 0.0, 4.0, 0.0])), (0.0, np.zeros(4)), np.array([0.0, 1, 2, 0]), 3)
    first, alone, second = order[:3]
    assert [int(np.flatnonzero(~row)[0]) for row in first] == [0, 2, 2, 2]
    assert np.array_equal(alone, ~first)
    assert not second[:, 2].any()


def test_what_is_enough_alone_goes_before_what_is_only_missed():
    """The answer misses the first square as much as the second, but only the second brings it about alone."""
    hints = np.array([1.0, 0.0, 0.0])  # its shares propose the first, the Owen values the second

    def see(shown):
        return 2.0 * shown[:, 0] * shown[:, 2] + 2.0 * shown[:, 1], shown * hints

    values = contributions(see, (4.0, hints), (0.0, np.zeros(3)), np.array([1.0, 2.0, 0.0]), 2)
    assert values.argmax() == 1
