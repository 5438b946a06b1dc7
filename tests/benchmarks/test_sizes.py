"""The curve of sizes is of the same weights, and of the recall that it says."""

import numpy as np
import pytest

from benchmarks.sizes import recalls
from train.config import TrainConfig
from train.models import heads


def test_recall_is_that_where_no_more_are_false():
    said = np.concatenate([np.linspace(0, 1, 101), [0.995, 0.985, 0.96, 0.5]])
    cats = np.arange(105) > 100
    assert recalls(said, cats) == pytest.approx([0.25, 0.5, 0.75])


def test_a_model_at_another_side_has_the_same_weights_and_more_cells():
    small, _ = heads.build(TrainConfig(backbone="tiny", side=64))
    large = heads.at_side(small, 128)
    for one, other in zip(small.served.get_weights(), large.served.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert small.served.output["share"].shape[1:3] == (4, 4)
    assert large.served.output["share"].shape[1:3] == (8, 8)
    flat = np.full((1, 64, 64, 3), 90, np.uint8), np.full((1, 128, 128, 3), 90, np.uint8)
    answers = [each.probabilities(pixels, 1) for each, pixels in zip((small, large), flat, strict=True)]
    assert answers[0] == pytest.approx(answers[1], abs=0.2)  # borders weigh more in the smaller one
