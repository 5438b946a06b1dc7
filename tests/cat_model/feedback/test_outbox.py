"""What a person told us is on the disk once before anybody says thanks, or not at all; and can be deleted."""

import datetime as real_datetime
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from cat_model import atomic
from cat_model.atomic import write_durably
from cat_model.feedback import outbox as outbox_module
from cat_model.feedback.outbox import Bounds, Outbox
from cat_model.feedback.record import PHOTO, FeedbackError, new_secret, receipt
from tests.made_feedback import made_feedback


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "deep" / "feedback")


@pytest.fixture
def delivering(tmp_path):
    """An outbox that has stores to deliver to."""
    return Outbox(tmp_path / "deep" / "feedback", delivers=True)


@pytest.fixture
def photo():
    return Image.new("RGB", (90, 60), "red")


def with_photo(secret, photo):
    return made_feedback(secret, consent=PHOTO, photo=photo)


def stored(outbox):
    """The bytes of everything in the outbox, hidden and half-written things included."""
    root = outbox.folder
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_nothing_is_made_before_the_first_record(outbox):
    outbox.recover()
    outbox.expire()
    assert outbox.pending() == outbox.deletions() == []
    assert not outbox.folder.exists()


def test_a_record_lies_under_its_id_and_its_photo_under_its_hash(outbox, photo):
    record = outbox.add(with_photo("t1", photo))
    assert set(stored(outbox)) == {f"records/{record.id}.json", f"photos/{record.id}-{record.photo}.jpg"}
    assert stored(outbox)[record.key] == record.to_json()
    assert outbox.read(record.id).record == record


def test_the_same_feedback_twice_is_one_record(outbox, photo):
    assert outbox.add(with_photo("t1", photo)) == outbox.add(with_photo("t1", photo))
    assert len(stored(outbox)) == 2


def test_feedback_that_is_delivered_already_is_not_stored_again(delivering, photo):
    record = delivering.add(with_photo("t1", photo))
    delivering.delivered(record)
    delivering.add(with_photo("t1", photo))
    assert delivering.pending() == []


def test_two_people_with_the_same_answer_and_photo_are_two_of_each(outbox, photo):
    ids = {outbox.add(with_photo(secret, photo)).id for secret in ("t1", "t2")}
    assert len(ids) == 2
    assert sorted(name.split("/")[0] for name in stored(outbox)) == ["photos"] * 2 + ["records"] * 2


def test_many_people_at_once_lose_nothing(outbox, photo):
    with ThreadPoolExecutor(8) as threads:
        records = list(threads.map(lambda i: outbox.add(with_photo(f"t{i % 40}", photo)), range(80)))
    assert set(stored(outbox)) == {key for record in records for key in (record.key, record.photo_key)}
    assert len(stored(outbox)) == 80


def refusal(outbox, **more):
    with pytest.raises(FeedbackError) as caught:
        outbox.add(made_feedback("new", **more))
    assert str(caught.value).startswith("Your answer could not be saved: ")
    assert str(caught.value).endswith(".")
    return str(caught.value)


def test_a_file_where_the_folder_should_be_is_a_feedback_error(tmp_path):
    (tmp_path / "feedback").write_text("in the way")
    outbox = Outbox(tmp_path / "feedback")
    outbox.recover()
    assert refusal(outbox)
    assert outbox.backlog == 0
    assert (tmp_path / "feedback").read_text() == "in the way"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_half_written(outbox, photo, monkeypatch, call):
    old = outbox.add(with_photo("old", photo))
    before = stored(outbox)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, call, full)
        assert "No space left on device" in refusal(outbox, consent=PHOTO, photo=photo)
        assert "No space left on device" in refusal(outbox)
    assert stored(outbox) == before
    assert outbox.pending() == [old.id]


def test_a_photo_is_not_kept_when_its_record_cannot_be(outbox, photo, monkeypatch):
    outbox.add(with_photo("old", photo))
    before = stored(outbox)

    def full_for_records(path, content):
        if path.suffix == ".json":
            raise OSError(28, "No space left on device")
        write_durably(path, content)

    monkeypatch.setattr(outbox_module, "write_durably", full_for_records)
    refusal(outbox, consent=PHOTO, photo=photo)
    assert stored(outbox) == before


def test_a_full_outbox_refuses_in_words_and_takes_again_when_something_is_deleted(tmp_path, photo):
    outbox = Outbox(tmp_path, Bounds(size=3000))
    codes = []
    with pytest.raises(FeedbackError, match=r"room for 0\.003 MB"):
        for _ in range(20):
            secret = new_secret()
            codes.append(receipt(outbox.add(with_photo(secret, photo)), secret))
    kept = sum(map(len, stored(outbox).values()))
    assert 1500 < kept <= 3000
    refusal(Outbox(tmp_path, Bounds(size=3000)), consent=PHOTO, photo=photo)  # after a restart too
    outbox.undo(codes[0])
    assert outbox.add(with_photo("new", photo))


def test_all_is_flushed_before_it_gets_its_name_and_the_names_after(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def flushed(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        events.append("file" if path.is_file() else str(path.relative_to(tmp_path)))
        fsync(descriptor)

    def renamed(source, target):
        events.append(f"name {Path(target).relative_to(tmp_path)}")
        replace(source, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("This system has no /proc to tell which file a descriptor is.")
    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    record = Outbox(tmp_path / "feedback").add(made_feedback("t1"))
    # The names of the two new folders, then the content, then its name.
    name = f"feedback/records/{record.id}.json"
    assert events == [".", "feedback", "file", f"name {name}", "feedback/records"]
    assert (tmp_path / name).read_bytes() == record.to_json()


def test_what_is_stored_is_for_the_owners_eyes(outbox, photo):
    outbox.add(with_photo("t1", photo))
    for path in outbox.folder.rglob("*.*"):
        assert path.stat().st_mode & 0o077 == 0


def given(outbox, photo=None):
    """Store feedback; return its record and its receipt code."""
    secret = new_secret()
    record = outbox.add(with_photo(secret, photo) if photo else made_feedback(secret))
    return record, receipt(record, secret)


def test_undo_deletes_the_record_and_its_photo_and_nobody_elses(outbox, photo):
    _, code = given(outbox, photo)
    other, _ = given(outbox, photo)
    assert outbox.undo(code)
    assert set(stored(outbox)) == {other.key, other.photo_key}
    with pytest.raises(FeedbackError, match="no feedback with this code"):
        outbox.undo(code)


def test_who_reads_the_record_cannot_delete_it(outbox, photo):
    record, code = given(outbox, photo)
    for guess in (receipt(record, new_secret()), record.id + record.token[:16], record.id + "a" * 16):
        with pytest.raises(FeedbackError):
            outbox.undo(guess)
    assert outbox.pending() == [record.id]
    assert outbox.undo(code)


def test_an_undo_before_delivery_and_after_it_waits_for_the_stores(delivering, photo):
    for is_delivered in (False, True):
        record, code = given(delivering, photo)
        if is_delivered:
            delivering.delivered(record)
            assert set(stored(delivering)) == {f"delivered/{record.id}.json"}
            with pytest.raises(FeedbackError):
                delivering.undo(receipt(record, new_secret()))
        assert delivering.undo(code)
        assert delivering.undo(code)  # twice does no harm
        assert set(stored(delivering)) == {f"deleted/{record.id}.json"}
        (stub,) = delivering.deletions()
        assert stub.keys == [record.key, record.photo_key]
        delivering.deletion_done(stub)
        assert stored(delivering) == {}


def test_a_code_that_only_the_store_knows_is_noted_and_blocks_nobody(delivering):
    record, code = given(delivering)
    (delivering.folder / record.key).unlink()  # as after a restart without a disk
    assert not delivering.undo(receipt(record, new_secret()))
    assert not delivering.undo(code)
    assert [stub.sure for stub in delivering.deletions()] == [False, False]
    assert record.token in {stub.token for stub in delivering.deletions()}
    delivering.recover()
    assert len(delivering.deletions()) == 2


def test_strangers_cannot_fill_the_disk_with_codes(delivering, monkeypatch):
    monkeypatch.setattr(outbox_module, "NOTES", 3)
    for number in range(3):
        delivering.undo(f"{number:016x}" + "a" * 16)
    with pytest.raises(FeedbackError, match="Too many deletions"):
        delivering.undo("f" * 16 + "a" * 16)


def test_a_click_that_comes_after_the_undo_stores_nothing(delivering):
    secret = new_secret()
    record = delivering.add(made_feedback(secret))
    delivering.undo(receipt(record, secret))
    with pytest.raises(FeedbackError, match="was deleted"):
        delivering.add(made_feedback(secret))
    assert delivering.pending() == []


def test_what_was_deleted_while_it_was_being_sent_stays_deleted(delivering, photo):
    record, code = given(delivering, photo)
    parcel = delivering.read(record.id)
    delivering.undo(code)
    delivering.delivered(parcel.record)
    assert set(stored(delivering)) == {f"deleted/{record.id}.json"}
    assert delivering.read(record.id) is None


@pytest.mark.parametrize("is_delivered", [True, False])
def test_what_is_too_old_is_deleted_here_and_in_the_stores(delivering, photo, monkeypatch, is_delivered):
    old, _ = given(delivering, photo)
    if is_delivered:
        delivering.delivered(old)

    class Later(real_datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return real_datetime.datetime.now(tz) + real_datetime.timedelta(days=days)

    monkeypatch.setattr(outbox_module, "datetime", Later)
    days = 364
    delivering.expire()
    assert delivering.deletions() == []
    days = 366
    delivering.expire()
    assert [stub.keys for stub in delivering.deletions()] == [[old.key, old.photo_key]]
    assert set(stored(delivering)) == {f"deleted/{old.id}.json"}


def test_a_crash_between_any_two_steps_is_put_in_order(delivering, photo):
    kept, _ = given(delivering, photo)
    half, _ = given(delivering, photo)
    (delivering.folder / half.key).unlink()  # the photo was written, the record was not
    (delivering.folder / "records" / ".tmp1").write_text("half")
    done, _ = given(delivering, photo)
    content = {key: (delivering.folder / key).read_bytes() for key in (done.key, done.photo_key)}
    delivering.delivered(done)
    for key, each in content.items():  # the stub was written, the record not removed
        (delivering.folder / key).write_bytes(each)
    gone, code = given(delivering, photo)
    content = {key: (delivering.folder / key).read_bytes() for key in (gone.key, gone.photo_key)}
    delivering.undo(code)
    for key, each in content.items():
        (delivering.folder / key).write_bytes(each)
    delivering.recover()
    assert set(stored(delivering)) == {
        kept.key,
        kept.photo_key,
        f"delivered/{done.id}.json",
        f"deleted/{gone.id}.json",
    }


def test_a_damaged_record_is_left_where_it_is_and_named(delivering, photo):
    record, code = given(delivering, photo)
    path = delivering.folder / record.key
    path.write_bytes(path.read_bytes().replace(b"true", b"false"))
    with pytest.raises(FeedbackError, match=f"Record {record.id} is damaged"):
        delivering.read(record.id)
    path.write_bytes(b"{")
    with pytest.raises(FeedbackError, match="damaged"):
        delivering.read(record.id)
    whole, code = given(delivering, photo)
    (delivering.folder / whole.photo_key).unlink()
    with pytest.raises(FeedbackError, match="photo of record"):
        delivering.read(whole.id)
    assert delivering.undo(code)


def test_a_damaged_note_is_logged_and_passed_over(delivering, caplog):
    record, _ = given(delivering)
    delivering.delivered(record)
    (delivering.folder / "delivered" / f"{record.id}.json").write_text(json.dumps({"id": 1}))
    delivering.expire()
    assert "cannot be read" in caplog.text


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path):
    path, done, seen = tmp_path / "file", threading.Event(), set()
    contents = {bytes([i]) * 100_000 for i in range(2)}
    write_durably(path, max(contents))

    def read():
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(50):
        write_durably(path, sorted(contents)[turn % 2])
    done.set()
    reader.join()
    assert seen == contents
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_durably(tmp_path / "file", b"old")

    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_durably(tmp_path / "file", b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"old"}
