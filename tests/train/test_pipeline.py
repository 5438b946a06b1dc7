"""Weights to start from take part in what is learned as the configuration says."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from train import pipeline
from train.config import Paths, TrainConfig, TrainError, TrainOptions
from train.fit import finetune
from train.models import heads

CONFIG = TrainConfig(backbone="tiny", side=32, init="weights.npz", init_weight=0.75)


@pytest.mark.parametrize("weight", [0.5, -0.1, 1.5])
def test_a_weight_of_weights_that_are_not_given_is_refused_before_any_work(weight):
    options = TrainOptions.__new__(TrainOptions)  # nothing but `init` is looked at
    object.__setattr__(options, "init", None)
    with pytest.raises(TrainError, match=r"initial weights is -?\d\.\d; it must be 0 to 1, and 0 without"):
        pipeline.run(options, TrainConfig(init_weight=weight), Paths("", Path()))


def test_the_initial_weights_are_averaged_with_the_fine_tuned_ones(tmp_path, monkeypatch):
    file = tmp_path / "weights.npz"
    start = heads.build(CONFIG)[0]
    heads.save_npz(start, file)
    heads.load_npz(start, file)  # float16 in the file
    initial = start.served.get_weights()

    def raised(model, *_, **__):
        model.served.set_weights([each + 4.0 for each in model.served.get_weights()])

    monkeypatch.setattr(finetune, "fine_tune", raised)
    monkeypatch.setattr(pipeline, "calibrate", lambda *_: None)
    run = SimpleNamespace(
        config=CONFIG,
        folder=tmp_path,
        choosing=lambda: (None, None),
        examples=lambda: None,
        manifest=lambda _: [],
        pixels=lambda _: np.zeros((0,)),
    )
    model, _ = pipeline.learn(run, file, SimpleNamespace(epoch=None))
    for before, after in zip(initial, model.served.get_weights(), strict=True):
        np.testing.assert_allclose(after, before + 1.0, atol=1e-5)
