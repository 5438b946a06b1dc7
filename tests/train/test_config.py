"""Values that no training can go by are refused before anything is read."""

import pytest

from train import __main__ as train_line
from train.config import TrainConfig, TrainError


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--epochs=0", "epochs is 0; it must be 1 or more."),
        ("--views=-5", "views is -5; it must be 1 or more."),
        ("--side=0", "side is 0; it must be 1 or more."),
        ("--side=100", "The side is 100 pixels; it must be a multiple of 32."),
        ("--learning-rate=nan", "learning_rate is nan; it must be above 0."),
        ("--learning-rate=inf", "learning_rate is inf; it must be above 0."),
        ("--learning-rate=-1", "learning_rate is -1.0; it must be above 0."),
        ("--init-weight=2", "init_weight is 2.0; it must be 0 to 1."),
    ],
)
def test_a_value_out_of_its_range_is_said(option, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train_line, "_require_the_store", lambda: None)
    assert train_line.main(["run", f"--photos={tmp_path}", option]) == 1
    assert capsys.readouterr().err == f"{sentence}\n"


@pytest.mark.parametrize(
    ("name", "value"), [("dropout", 1.5), ("dropout", float("nan")), ("weight_decay", -0.1), ("batch", 0)]
)
def test_a_value_of_a_file_is_held_to_its_range_too(name, value):
    with pytest.raises(TrainError, match=f"^{name} is "):
        TrainConfig(**{name: value}).require_valid()


@pytest.mark.parametrize("option", ["--trials=0", "--hours=nan", "--hours=-1"])
def test_a_search_without_a_budget_is_refused(option, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        train_line.main(["tune", f"--photos={tmp_path}", option])
    assert ended.value.code == 2
    assert f"argument {option.partition('=')[0]}" in capsys.readouterr().err
