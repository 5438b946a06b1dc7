"""What squares take along when they go: it adds up, is exact where it can be, and shared where it must be."""

import numpy as np
import pytest

from cat_model.removal import contributions


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
    assert values == pytest.approx(answer * np.array([1.5, 1.5, 0, 0]))


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
    first = order[0]
    assert [int(np.flatnonzero(~row)[0]) for row in first] == [0, 2, 2, 2]
    assert not order[1][:, 2].any()
