"""Progress: counts, rate, time left and cost, in a log and in a terminal."""

import io

import pytest

from pipelines.score.progress import LOG_S, TERMINAL_S, Prices, Progress, span
from pipelines.score.scorer import Done
from pipelines.score.shards import Shard


class Stream(io.StringIO):
    def __init__(self, terminal=False):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_rate_and_cost_are_of_the_time_since_the_first_worker_was_up(clock):
    progress = Progress(Prices(core_hour=0.04, thousand_reads=0.0004), Stream(), clock)
    clock.now += 500
    progress.tick(0)
    clock.now += 1
    progress.tick(2)
    for _ in range(3):
        progress.done(Done(0, 6000, 2, 1))
    clock.now += 1800
    progress.tick(2)
    assert progress.line() == "18,000 photos, 10.0 a second, 6 of them errors, 1.00 core-hours, cost 0.0472"
    progress.total = 36_000
    assert "18,000 of 36,000 photos, 10.0 a second, 30 min 0 s left" in progress.line()
    progress.total = 18_000
    assert "left" not in progress.line()


def test_without_prices_there_is_no_cost(clock):
    progress = Progress(stream=Stream(), clock=clock)
    clock.now += 3600
    progress.tick(1)
    clock.now += 3600
    progress.tick(1)
    assert progress.line() == "0 photos, 0.0 a second, 2.00 core-hours"


@pytest.mark.parametrize(("terminal", "every"), [(True, TERMINAL_S), (False, LOG_S)])
def test_a_line_comes_from_time_to_time(clock, terminal, every):
    stream = Stream(terminal)
    progress = Progress(stream=stream, clock=clock)
    clock.now += every / 2
    progress.tick(1)
    assert stream.getvalue() == ""
    clock.now += every / 2
    progress.tick(1)
    progress.tick(1)
    assert stream.getvalue().count("photos") == 1
    assert stream.getvalue().endswith("1 workers" if terminal else "1 workers\n")
    assert stream.getvalue().startswith("\r") is terminal


def test_trouble_is_said_at_once_and_stays(clock):
    for stream in (Stream(True), Stream()):
        progress = Progress(stream=stream, clock=clock)
        progress.trouble(Shard(4, (), ""), "no such bucket.", last=False)
        progress.trouble(Shard(4, (), ""), "no such bucket", last=True)
        progress.close()
        assert "Shard 4: no such bucket. It is tried again.\n" in stream.getvalue()
        assert "Shard 4: no such bucket. It is given up.\n" in stream.getvalue()
        assert progress.given_up == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (60 * 3600, "2.5 days")],
)
def test_a_span_is_told_in_two_units(seconds, words):
    assert span(seconds) == words
