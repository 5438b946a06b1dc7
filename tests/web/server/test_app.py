"""What operators see of a page, and what it tells them where feedback cannot be written."""

from pathlib import Path

import numpy as np
import pytest

from cat_model import Verdict
from web import text
from web.server.app import unwritable
from web.server.metrics import Metrics

CAT = Verdict(0.9, True, False, "cat", "test")


def test_metrics_count_what_a_predictor_tells():
    metrics = Metrics()
    metrics.took("decode", 0.03)
    metrics.answered(CAT, np.zeros(4))
    metrics.refused("kind")
    metrics.watch("cat_waiting", "Waiting.", lambda: 7)
    version = ["first"]
    metrics.watch_model(lambda: version[0])
    text = metrics.text().decode()
    for line in (
        'cat_seconds_bucket{le="0.05",step="decode"} 1.0',
        'cat_seconds_bucket{le="0.02",step="decode"} 0.0',
        'cat_verdicts_total{label="cat"} 1.0',
        'cat_refusals_total{cause="kind"} 1.0',
        "cat_waiting 7.0",
        'cat_model_info{version="first"} 1.0',
    ):
        assert line in text.splitlines()
    version[0] = "second"
    assert 'cat_model_info{version="second"}' in metrics.text().decode()


def test_two_pages_count_for_themselves():
    one, other = Metrics(), Metrics()
    one.answered(CAT, np.zeros(4))
    assert b'label="cat"' not in other.text()


def test_a_folder_that_cannot_be_written_is_named_with_the_reason(tmp_path):
    assert unwritable(tmp_path / "not" / "there" / "yet") is None
    assert not list(tmp_path.iterdir())
    if Path("/proc").is_dir():  # nobody makes files there, root neither
        assert unwritable(Path("/proc/feedback"))


@pytest.mark.parametrize(
    ("waiting", "says"),
    [(0, "Try again."), (1, "1 visitor is before you"), (64, "64 visitors are before you")],
)
def test_busy_says_how_many_wait(waiting, says):
    assert says in text.busy(waiting)


def test_a_wait_is_said_in_whole_seconds():
    assert "in 1 second." in text.too_fast(0.2)
    assert "in 12 seconds." in text.too_fast(11.7)
