"""Nothing is lost and nothing doubled, whatever stores, lines and power do; deletions arrive too."""

import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import asdict

import pytest
from PIL import Image

from cat_model.feedback import stores as stores_module
from cat_model.feedback.delivery import Delivery, open_outbox
from cat_model.feedback.outbox import Outbox
from cat_model.feedback.record import NUMBERS, PHOTO, Record, new_secret, receipt
from cat_model.feedback.stores import S3Store, StoreError
from cat_model.settings import Settings
from tests.cat_model.conftest import BUCKET
from tests.conftest import ROOT
from tests.made_feedback import made_feedback, numbers


class Memory:
    """A store in memory that can be told to fail."""

    name = "memory"

    def __init__(self):
        self.objects, self.log, self.fault = {}, [], lambda act, key: None

    def put(self, key, content):
        self._do("put", key)
        self.objects[key] = content

    def get(self, key):
        self._do("get", key)
        return self.objects.get(key)

    def delete(self, key):
        self._do("delete", key)
        self.objects.pop(key, None)

    def check_deletion(self):
        pass

    def keys(self, prefix):
        return [key for key in self.objects if key.startswith(prefix)]

    def _do(self, act, key):
        if self.fault(act, key):
            raise StoreError(f"memory: no {act} of {key.split('/')[0]}")
        self.log.append((act, key))


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "feedback", delivers=True)


@pytest.fixture
def memory():
    return Memory()


def give(outbox, number=0, photo=True):
    """Store feedback, with a photo of its own; return its record, photo and receipt code."""
    secret = new_secret()
    picture = Image.effect_noise((200, 150), 60 + number) if photo else None
    record = outbox.add(
        made_feedback(secret, consent=PHOTO if photo else NUMBERS, photo=picture, embedding=numbers(number))
    )
    return record, outbox.read(record.id).photo, receipt(record, secret)


def objects(*given):
    """What a store must hold of what was given."""
    held = {record.key: record.to_json() for record, *_ in given}
    return held | {record.photo_key: photo for record, photo, _ in given if photo}


def held(store):
    return {key: store.get(key) for key in store.keys("") if not key.startswith("deleted/")}


def test_photo_before_record_and_marked_delivered_only_then(outbox, memory):
    given = give(outbox)
    memory.fault = lambda act, key: key.startswith("records/")
    assert not Delivery(outbox, [memory]).deliver()
    assert outbox.pending() == [given[0].id]
    memory.fault = lambda act, key: None
    assert Delivery(outbox, [memory]).deliver()
    assert outbox.pending() == []
    assert memory.objects == objects(given)
    assert [key for _, key in memory.log][-2:] == [given[0].photo_key, given[0].key]


def test_each_store_must_confirm(outbox):
    first, second = Memory(), Memory()
    given = give(outbox)
    second.fault = lambda act, key: True
    delivery = Delivery(outbox, [first, second])
    assert not delivery.deliver()
    assert delivery.status.backlog == 1
    second.fault = lambda act, key: False
    assert delivery.deliver()
    assert first.objects == second.objects == objects(given)


def test_one_bad_record_holds_up_no_other(outbox, memory):
    given = [give(outbox, number) for number in range(4)]
    bad = given[0][0].key
    memory.fault = lambda act, key: key == bad
    delivery = Delivery(outbox, [memory])
    for _ in range(3):
        delivery.deliver()
    assert outbox.pending() == [given[0][0].id]
    assert delivery.status.last_error == "memory: no put of records"


def test_a_damaged_record_is_left_named_and_holds_up_no_other(outbox, memory):
    damaged, good = give(outbox, 0), give(outbox, 1)
    (outbox.folder / damaged[0].key).write_bytes(b"{")
    delivery = Delivery(outbox, [memory])
    assert delivery.deliver()
    assert memory.objects == objects(good)
    assert "damaged" in delivery.status.last_error
    assert (outbox.folder / damaged[0].key).exists()


def test_without_a_store_feedback_stays_and_nothing_is_wrong(tmp_path):
    outbox, delivery = open_outbox(Settings(feedback_dir=tmp_path / "feedback"))
    give(outbox)
    assert delivery.deliver()
    assert asdict(delivery.status) == {
        "destination": None,
        "backlog": 0,
        "kept": 1,
        "last_error": None,
        "last_success": None,
        "deletion_problem": None,
    }


def test_settings_bound_the_outbox_and_name_the_destination(tmp_path):
    outbox, delivery = open_outbox(
        Settings(feedback_dir=tmp_path, feedback_mb=3, feedback_days=7, s3_bucket="cats")
    )
    assert (outbox.bounds.size, outbox.bounds.days, outbox.delivers) == (3_000_000, 7, True)
    assert delivery.status.destination == "S3 bucket cats"


@pytest.mark.parametrize("when", ["before", "after", "half"])
def test_what_was_undone_is_nowhere_but_its_note(outbox, memory, when):
    given, other = give(outbox, 0), give(outbox, 1)
    delivery = Delivery(outbox, [memory])
    if when == "half":
        memory.fault = lambda act, key: key == given[0].key
    if when != "before":
        delivery.deliver()
    memory.fault = lambda act, key: act == "delete"
    assert outbox.undo(given[2])
    assert not delivery.deliver()
    memory.fault = lambda act, key: False
    for _ in range(2):
        assert delivery.deliver()
    assert held(memory) == objects(other)
    (note,) = memory.keys("deleted/")
    assert set(json.loads(memory.objects[note])) == {"id", "hour"}
    assert outbox.backlog == 0


def test_a_code_works_when_only_the_store_has_the_record(outbox, memory, tmp_path):
    given, other = give(outbox, 0), give(outbox, 1)
    assert Delivery(outbox, [memory]).deliver()
    restarted = Outbox(tmp_path / "fresh disk", delivers=True)
    wrong = receipt(given[0], new_secret())
    for code in (wrong, receipt(Record(**{**asdict(given[0]), "comment": "no such"}), new_secret())):
        assert not restarted.undo(code)
    delivery = Delivery(restarted, [memory])
    assert delivery.deliver()
    assert held(memory) == objects(given, other)
    assert restarted.backlog == 0
    assert not restarted.undo(given[2])
    assert delivery.deliver()
    assert held(memory) == objects(other)


def test_the_thread_delivers_retries_and_says_once_what_is_wrong(outbox, memory, caplog):
    caplog.set_level(logging.WARNING)
    waits, tried = [], []

    def lot(low, high):
        waits.append((low, high))
        if len(waits) == 12:
            memory.fault = lambda act, key: None
        return 0.0

    memory.fault = lambda act, key: tried.append(key) or True
    delivery = Delivery(outbox, [memory], lot)
    given = give(outbox)
    delivery.start()
    wait_until(lambda: memory.objects == objects(given) and not outbox.pending())
    wait_until(lambda: delivery.status.last_error is None)
    later = give(outbox, 1)
    delivery.wake()
    wait_until(lambda: memory.objects == objects(given, later))
    delivery.stop()
    assert not delivery._thread.is_alive()
    assert waits == [(0.0, min(300.0, 2.0**turn)) for turn in range(12)]
    assert [line for line in caplog.messages if "memory: no put" in line] == caplog.messages[:1]
    assert "is delivered again" in caplog.messages[-1]
    assert delivery.status.last_success


def test_a_mistake_of_ours_does_not_end_the_thread(outbox, memory, caplog):
    failed = []

    def fault(act, key):
        if not failed:
            failed.append(key)
            raise ZeroDivisionError

    memory.fault = fault
    delivery = Delivery(outbox, [memory], lambda low, high: 0.0)
    given = give(outbox)
    delivery.start()
    wait_until(lambda: memory.objects == objects(given))
    delivery.stop()
    assert "Delivery failed." in caplog.text


def wait_until(holds):
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


MOODS = ("refuse", "cut up", "cut down", "silent", "hang", "corrupt up", "corrupt down", "slow")


def test_both_stores_get_all_of_it_once_whatever_the_line_does(place, line, outbox, monkeypatch):
    """The same scenario for every store: bad lines of every kind, then undo of what was delivered."""
    monkeypatch.setattr(stores_module, "READ_S", 1)
    given = [give(outbox, number, photo=number % 2 == 0) for number in range(6)]
    met = []

    def mood(number):
        """Every third request fares badly, each time in another way; a GET, a PUT and a DELETE by turns."""
        met.append(MOODS[number // 4 % len(MOODS)] if number % 4 == number // 32 % 4 else "well")
        return met[-1]

    line.mood = mood
    delivery = Delivery(outbox, [S3Store(BUCKET, "feedback")])
    assert rounds_until_empty(delivery, outbox) > 1
    direct = S3Store(BUCKET, "feedback")
    with monkeypatch.context() as straight:
        straight.setenv("AWS_ENDPOINT_URL_S3", place.address)
        assert held(direct) == objects(*given)
    for _, _, code in given[:3]:
        outbox.undo(code)
    rounds_until_empty(delivery, outbox)
    assert held(direct) == objects(*given[3:])
    assert set(MOODS) < set(met)


def rounds_until_empty(delivery, outbox):
    for count in range(200):
        if not outbox.backlog:
            return count
        delivery.deliver()
    pytest.fail(f"Still not delivered: {delivery.status}")


def test_a_store_that_is_away_is_caught_up_with(place, line, outbox):
    line.mood = lambda number: "refuse"
    delivery = Delivery(outbox, [S3Store(BUCKET)])
    given = [give(outbox, number) for number in range(3)]
    for _ in range(3):
        assert not delivery.deliver()
    assert (delivery.status.backlog, delivery.status.last_success) == (3, None)
    assert "S3 bucket cats" in delivery.status.last_error
    line.mood = lambda number: "well"
    assert delivery.deliver()
    assert delivery.status.last_error is None
    assert held(S3Store(BUCKET)) == objects(*given)


CHILD = """
import sys
from cat_model.feedback.delivery import Delivery
from cat_model.feedback.outbox import Outbox
from cat_model.feedback.stores import S3Store
from tests.cat_model.feedback.test_delivery import give
outbox = Outbox(sys.argv[1], delivers=True)
outbox.recover()
delivery = Delivery(outbox, [S3Store("cats")])
delivery.start()
for number in range(1000):
    print(give(outbox, number)[0].id, flush=True)
    delivery.wake()
"""


@pytest.mark.parametrize("place", ["moto"], indirect=True)
@pytest.mark.parametrize("thanked", [1, 25])
def test_killed_while_it_delivers_nobody_thanked_is_lost(place, outbox, thanked):
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(outbox.folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    told = [process.stdout.readline().strip() for _ in range(thanked)]
    if thanked > 1:
        wait_until(lambda: S3Store(BUCKET).keys("records/"))
    process.kill()
    told += process.stdout.read().split()
    process.wait()
    outbox.recover()
    assert Delivery(outbox, [S3Store(BUCKET)]).deliver()
    records = {Record.from_json(content).id for key, content in held(S3Store(BUCKET)).items() if "rec" in key}
    assert set(told) <= records
    assert len(records) <= len(told) + 1  # one may have been stored whose thanks were never said
    photos = {key.split("/")[1][:16] for key in S3Store(BUCKET).keys("photos/")}
    assert photos == records


EACH_STEP = """
import os, shutil, signal, sys
from pathlib import Path
from cat_model.feedback.delivery import Delivery
from cat_model.atomic import write_durably
from cat_model.feedback.outbox import Outbox
from cat_model.feedback.record import FeedbackError, pack, receipt
from cat_model.feedback.stores import FolderStore
from tests.made_feedback import made_feedback
from PIL import Image

class Folder(FolderStore):
    def put(self, key, content):
        write_durably(self._folder / key, content)
    def delete(self, key):
        (self._folder / key).unlink(missing_ok=True)

def life(place, told):
    outbox = Outbox(place / "outbox", delivers=True)
    outbox.recover()
    delivery = Delivery(outbox, [Folder(place / "store")])
    codes = []
    for secret in ("aaaabbbbccccdddd", "ddddccccbbbbaaaa"):
        each = made_feedback(secret, consent="photo", photo=Image.new("RGB", (9, 9)))
        try:
            record = outbox.add(each)
        except FeedbackError:
            record, _ = pack(each)  # deleted in an earlier life
        codes.append(receipt(record, secret))
        told(f"thanks {record.id}")
        if secret.startswith("d"):
            delivery.deliver()
    outbox.undo(codes[0])
    told(f"deleted {codes[0].replace('-', '')[:16]}")
    delivery.deliver()
    told("end")

def killed_at(step):
    count = 0
    def counting(function):
        def call(*arguments, **more):
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **more)
        return call
    os.fsync = lambda descriptor: None  # a kill, unlike a power cut, loses nothing that was written
    for owner, name in ((os, "fsync"), (os, "replace"), (os, "unlink"), (os, "mkdir")):
        setattr(owner, name, counting(getattr(owner, name)))

root = Path(sys.argv[1])
for step in range(1, 400):
    place = root / str(step)
    place.mkdir()
    log = place / "told.txt"
    def told(words):
        with log.open("a") as file:
            file.write(words + "\\n")
    for kill in (step, None):
        child = os.fork()
        if not child:
            if kill:
                killed_at(kill)
            life(place, told)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if kill and status == 0:
            print(step)
            sys.exit()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system cannot fork, and kills otherwise.")
def test_killed_at_every_single_step_it_ends_in_the_same_state(tmp_path):
    """Every call that changes the disk is a place to die; the next life finishes what the last one began."""
    ended = subprocess.run(
        [sys.executable, "-c", EACH_STEP, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(ended.stdout) > 40
    ends = set()
    for place in tmp_path.iterdir():
        if place.name == ended.stdout.strip():
            continue
        files = {p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()} - {"told.txt"}
        files = {
            name for name in files if not name.startswith("store/") or "/." not in name
        }  # the store's own
        thanked, deleted = (
            {line.split()[1] for line in (place / "told.txt").read_text().splitlines() if word in line}
            for word in ("thanks", "deleted")
        )
        (kept,) = thanked - deleted
        assert f"store/records/{kept}.json" in files, place
        ends.add(frozenset(name for name in files if not name.startswith("store/deleted")))
    assert len(ends) == 1, ends
    assert {name.split("/")[0] + "/" + name.split("/")[1] for name in next(iter(ends))} == {
        "store/records",
        "store/photos",
        "outbox/delivered",
    }
