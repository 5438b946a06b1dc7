"""Every shard is done once or given up, whatever becomes of the workers."""

import random
from collections import Counter

import pytest

from pipelines.score.driver import ATTEMPTS, CRASHES, GIVEN_UP, Driver, Event, WorkerError
from pipelines.score.scorer import Done
from pipelines.score.shards import Crash, Shard


def some(count):
    return [Shard(number, ("a.jpg",), "0" * 16) for number in range(count)]


class Workers:
    """Workers that do what a function says of each shard: "done", "problem" or "lost"."""

    def __init__(self, workers, fares=lambda shard, attempt: "done", comes_up=lambda attempt: True):
        self.workers, self.fares, self.comes_up = workers, fares, comes_up
        self.attempts, self.starts = Counter(), Counter()
        self.busy, self.down = {}, set(range(workers))
        self.rng = random.Random(0)

    def give(self, worker, shard):
        assert worker not in self.busy and worker not in self.down
        self.busy[worker] = shard

    def wait(self, _seconds):
        assert self.busy or self.down, "nobody will ever say anything"
        worker = self.rng.choice([*self.busy, *self.down])
        if worker in self.down:
            self.starts[worker] += 1
            if not self.comes_up(self.starts[worker]):
                return [Event(worker, problem="no model", lost=True)]
            self.down.discard(worker)
            return [Event(worker)]
        shard = self.busy.pop(worker)
        self.attempts[shard.number] += 1
        fares = self.fares(shard, self.attempts[shard.number])
        if fares == "done":
            return [Event(worker, done=Done(shard.number, 1, 0, 1))]
        if fares == "lost":
            self.down.add(worker)
        return [Event(worker, problem="some reason", lost=fares == "lost")]

    def close(self):
        pass


class Report:
    def __init__(self):
        self.numbers, self.given_up, self.up = [], [], []

    def tick(self, up):
        self.up.append(up)

    def done(self, done):
        self.numbers.append(done.number)

    def trouble(self, shard, problem, last):
        assert problem == "some reason"
        self.given_up += [shard.number] if last else []


def run(workers, shards):
    report = Report()
    Driver(workers, report).run(shards)
    return report


@pytest.mark.parametrize("workers", [1, 3, 20])
def test_every_shard_is_done_once(workers):
    assert sorted(run(Workers(workers), some(10)).numbers) == list(range(10))


def test_no_shards_are_no_work():
    assert run(Workers(2), []).numbers == []


@pytest.mark.parametrize("fares", ["lost", "problem"])
def test_what_a_worker_could_not_finish_another_does(fares):
    workers = Workers(3, lambda shard, attempt: fares if shard.number % 2 and attempt < ATTEMPTS else "done")
    report = run(workers, some(10))
    assert sorted(report.numbers) == list(range(10))
    assert report.given_up == []


def test_a_shard_that_never_succeeds_is_given_up_and_the_others_are_done():
    report = run(Workers(2, lambda shard, attempt: "lost" if shard.number == 4 else "done"), some(10))
    assert report.given_up == [4]
    assert sorted(report.numbers) == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_when_no_shard_succeeds_any_more_the_rest_is_not_tried():
    workers = Workers(1, lambda shard, attempt: "done" if shard.number < 5 else "problem")
    report = Report()
    with pytest.raises(WorkerError, match="3 shards one after the other could not be scored: some reason"):
        Driver(workers, report).run(some(1000))
    assert report.numbers == [0, 1, 2, 3, 4]
    assert len(report.given_up) == GIVEN_UP
    assert sum(workers.attempts.values()) <= 5 + GIVEN_UP * ATTEMPTS + 4


def test_shards_given_up_now_and_then_do_not_end_the_work():
    report = run(Workers(1, lambda shard, _: "done" if shard.number % 3 else "problem"), some(20))
    assert len(report.given_up) == 7


def test_a_worker_that_does_not_come_up_ends_the_work():
    with pytest.raises(WorkerError, match="ends again and again before it comes up: no model"):
        run(Workers(2, comes_up=lambda attempt: False), some(3))


def test_a_worker_may_come_up_at_last():
    assert sorted(run(Workers(1, comes_up=lambda attempt: attempt == ATTEMPTS), some(3)).numbers) == [0, 1, 2]


def test_shards_are_not_taken_from_the_listing_before_there_is_a_worker_for_them():
    taken = []

    def listing():
        for shard in some(100):
            taken.append(shard.number)
            yield shard

    workers = Workers(2)
    give = workers.give

    def watched(worker, shard):
        assert len(taken) <= shard.number + 1 + workers.workers
        give(worker, shard)

    workers.give = watched
    assert len(run(workers, listing()).numbers) == 100


def test_a_worker_that_is_lost_while_it_is_idle_gets_nothing_until_it_has_come_up():
    class Scripted:
        workers = 2
        events = iter(
            [
                [Event(0), Event(1)],
                [Event(0, problem="gone", lost=True)],
                [Event(1, problem="some reason", lost=True)],
                [Event(0)],
                [Event(0, done=Done(0, 1, 0, 1))],
            ]
        )
        given = ()

        def give(self, worker, shard):
            self.given += ((worker, shard.number, self.turn),)

        def wait(self, _seconds):
            self.turn = getattr(self, "turn", 0) + 1
            return next(self.events)

        def close(self):
            pass

    workers = Scripted()
    assert run(workers, some(1)).numbers == [0]
    assert workers.given == ((1, 0, 1), (0, 0, 4))


def test_the_report_hears_how_many_workers_are_up():
    up = run(Workers(3), some(30)).up
    assert up[0] == 1
    assert max(up) == 3


class Crashing(Workers):
    """Workers that end at certain photos of a shard of many, first the one and then the next."""

    def __init__(self, bad):
        super().__init__(1)
        self.bad = bad

    def wait(self, seconds):
        if not self.busy:
            return super().wait(seconds)
        (shard,) = self.busy.values()
        left = [each for each in (*shard.suspects, *self.bad) if each in self.bad and each not in shard.fatal]
        if not left:
            return super().wait(seconds)
        self.busy.clear()
        self.down.add(0)
        return [Event(0, problem="some reason", lost=True, crash=Crash((left[0],), "It ends programs."))]


class Crashes(Report):
    def trouble(self, shard, problem, last):
        assert problem.startswith("some reason at ")
        self.given_up += [shard.number] if last else []


def long(number):
    return Shard(number, tuple(f"{each}.jpg" for each in range(50)), "0" * 16)


def test_ends_at_photos_are_no_attempts_as_long_as_they_are_few():
    report = Crashes()
    Driver(Crashing(range(CRASHES // 2 - 1)), report).run([long(0)])
    assert (report.numbers, report.given_up) == ([0], [])


def test_a_shard_many_of_whose_photos_end_workers_is_given_up():
    report = Crashes()
    Driver(Crashing(range(CRASHES // 2)), report).run([long(0)])
    assert (report.numbers, report.given_up) == ([], [0])
    with pytest.raises(WorkerError, match=r"could not be scored: some reason at \d+\.jpg"):
        Driver(Crashing(range(50)), report).run([long(number) for number in range(9)])
