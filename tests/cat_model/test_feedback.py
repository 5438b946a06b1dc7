"""What a person told us is on the disk once, without metadata, before anybody says thanks; or not at all."""

import datetime as real_datetime
import io
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cat_model import feedback, files
from cat_model.feedback import PHOTO_SIDE, FeedbackError, Outbox
from cat_model.files import write_durably
from cat_model.photo import decode
from cat_model.predict import Verdict
from tests.pictures import encoded

VERDICT = Verdict(0.12345678, False, False, "not a cat", "model-7")
SECRETS = (b"SECRET", b"Exif", b"http://ns.adobe.com", b"xpacket", b"ICC_PROFILE", b"JFXX")


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "deep" / "feedback")


@pytest.fixture
def photo(examples):
    return decode(examples / "chelsea.jpg").resize((900, 600))


def stored(outbox):
    """The bytes of everything in the outbox, hidden and half-written things included."""
    root = outbox.folder
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_nothing_is_made_before_the_first_record(outbox):
    assert not outbox.folder.exists()


def test_a_record_holds_what_the_person_saw_and_said(outbox):
    record = outbox.add(VERDICT, person_says_cat=True, token="t1")
    assert list(stored(outbox)) == [f"records/{record.id}.json"]
    text = stored(outbox)[f"records/{record.id}.json"]
    assert text == record.to_json()
    kept = json.loads(text)
    hour = real_datetime.datetime.fromisoformat(kept.pop("hour"))
    assert (hour.minute, hour.second, hour.microsecond) == (0, 0, 0)
    assert hour.utcoffset() == real_datetime.timedelta(0)
    assert kept == {
        "schema": 1,
        "token": "t1",
        "model_version": "model-7",
        "probability": 0.123457,
        "verdict": "not a cat",
        "person_says_cat": True,
        "photo": None,
    }


def test_the_same_flag_twice_is_one_record(outbox, photo):
    assert outbox.add(VERDICT, True, "t1", photo).id == outbox.add(VERDICT, True, "t1", photo).id
    assert len(stored(outbox)) == 2


def test_the_hour_that_strikes_between_two_clicks_makes_no_second_record(outbox, monkeypatch):
    hours = iter((9, 10))

    class Clock(real_datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 11, 23, next(hours), 59, 59, tzinfo=tz)

    monkeypatch.setattr(feedback, "datetime", Clock)
    first, second = (outbox.add(VERDICT, True, "t1") for _ in range(2))
    assert (first.hour, second.hour) == ("2026-11-23T09:00:00+00:00", "2026-11-23T10:00:00+00:00")
    assert len(stored(outbox)) == 1


def test_two_people_with_the_same_answer_are_two_records(outbox, photo):
    ids = {outbox.add(VERDICT, True, token, photo).id for token in ("t1", "t2")}
    assert len(ids) == 2
    assert sorted(name.split("/")[0] for name in stored(outbox)) == ["photos", "records", "records"]


def test_another_answer_to_the_same_verdict_is_another_record(outbox):
    assert outbox.add(VERDICT, True, "t1").id != outbox.add(VERDICT, False, "t1").id


def test_the_name_is_made_from_the_content(outbox, tmp_path, photo):
    elsewhere = Outbox(tmp_path / "elsewhere")
    first, second = outbox.add(VERDICT, True, "t1", photo), elsewhere.add(VERDICT, True, "t1", photo)
    assert stored(outbox).keys() == stored(elsewhere).keys()
    assert first.photo == second.photo
    assert first.photo is not None
    assert f"photos/{first.photo}" in stored(outbox)
    assert len(first.id) == 16


def test_many_people_at_once_lose_nothing(outbox, photo):
    with ThreadPoolExecutor(8) as threads:
        records = list(threads.map(lambda i: outbox.add(VERDICT, True, f"t{i % 40}", photo), range(80)))
    names = {f"records/{record.id}.json" for record in records} | {f"photos/{records[0].photo}"}
    assert set(stored(outbox)) == names
    assert len(names) == 41


def test_a_kept_photo_is_small_and_shows_the_same(outbox, photo):
    record = outbox.add(VERDICT, True, "t1", photo)
    kept = Image.open(io.BytesIO(stored(outbox)[f"photos/{record.photo}"]))
    assert (kept.format, kept.mode, kept.size) == ("JPEG", "RGB", (PHOTO_SIDE, PHOTO_SIDE * 600 // 900 + 1))
    assert PHOTO_SIDE == 640
    difference = np.asarray(kept, int) - np.asarray(photo.resize(kept.size), int)
    assert np.abs(difference).mean() < 6
    assert photo.size == (900, 600)


@pytest.mark.parametrize(("size", "expected"), [((30, 20), (30, 20)), ((100, 2000), (32, 640))])
def test_small_and_narrow_photos_are_kept_in_their_proportions(outbox, size, expected):
    record = outbox.add(VERDICT, True, "t1", Image.new("RGB", size, "red"))
    assert Image.open(io.BytesIO(stored(outbox)[f"photos/{record.photo}"])).size == expected


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK"])
def test_a_photo_of_another_mode_is_kept_too(outbox, photo, mode):
    record = outbox.add(VERDICT, True, "t1", photo.convert(mode))
    assert Image.open(io.BytesIO(stored(outbox)[f"photos/{record.photo}"])).mode == "RGB"


def test_nothing_hidden_in_a_photo_is_kept(outbox, photo):
    exif = Image.Exif()
    exif[0x010E] = "SECRET description"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    source = encoded(
        photo,
        "JPEG",
        exif=exif.tobytes(),
        xmp=b"<?xpacket?>SECRET http://ns.adobe.com/xap/",
        icc_profile=b"SECRET profile",
        comment=b"SECRET comment",
    )
    source += b"SECRET trailing bytes"
    assert source.count(b"SECRET") == 5
    outbox.add(VERDICT, True, "decoded", decode(source))
    outbox.add(VERDICT, True, "raw", Image.open(io.BytesIO(source)))  # and if a caller forgets to decode
    assert len(stored(outbox)) >= 3
    for content in stored(outbox).values():
        assert not [secret for secret in SECRETS if secret in content]
        if content.startswith(b"\xff\xd8"):
            assert content.endswith(b"\xff\xd9")


def test_without_consent_no_photo_is_kept(outbox):
    record = outbox.add(VERDICT, True, "t1", photo=None)
    assert record.photo is None
    assert [name for name in stored(outbox) if not name.startswith("records/")] == []


def refusal(outbox, *more):
    with pytest.raises(FeedbackError) as caught:
        outbox.add(VERDICT, True, "new", *more)
    assert str(caught.value).startswith("Your answer could not be saved: ")
    assert str(caught.value).endswith(".")
    return str(caught.value)


def test_a_file_where_the_folder_should_be_is_a_feedback_error(tmp_path):
    (tmp_path / "feedback").write_text("in the way")
    assert refusal(Outbox(tmp_path / "feedback"))
    assert (tmp_path / "feedback").read_text() == "in the way"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_half_written(outbox, photo, monkeypatch, call):
    outbox.add(VERDICT, True, "old", photo)
    before = stored(outbox)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, call, full)
        assert "No space left on device" in refusal(outbox, photo)
        assert "No space left on device" in refusal(outbox, photo.rotate(180))
        assert "No space left on device" in refusal(outbox)
    assert stored(outbox) == before


def test_a_photo_is_not_kept_when_its_record_cannot_be(outbox, photo, monkeypatch):
    kept = outbox.add(VERDICT, True, "old", photo)
    before = stored(outbox)

    def full_for_records(path, content):
        if path.suffix == ".json":
            raise OSError(28, "No space left on device")
        write_durably(path, content)

    monkeypatch.setattr(feedback, "write_durably", full_for_records)
    refusal(outbox, photo.rotate(180))
    refusal(outbox, photo)  # the same photo as the old record's, which goes on needing it
    assert stored(outbox) == before
    assert f"photos/{kept.photo}" in before


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
    record = Outbox(tmp_path / "feedback").add(VERDICT, True, "t1")
    # The names of the two new folders, then the content, then its name.
    name = f"feedback/records/{record.id}.json"
    assert events == [".", "feedback", "file", f"name {name}", "feedback/records"]
    assert (tmp_path / name).read_bytes() == record.to_json()


def test_what_is_stored_is_for_the_owners_eyes(outbox, photo):
    outbox.add(VERDICT, True, "t1", photo)
    for path in outbox.folder.rglob("*.*"):
        assert path.stat().st_mode & 0o077 == 0


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

    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_durably(tmp_path / "file", b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"old"}
