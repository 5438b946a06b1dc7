"""Pulling: all of it, only whole records, every deletion; and only reviewed photos are learned from."""

import json

import pytest
from PIL import Image

from cat_model.feedback.delivery import Delivery
from cat_model.feedback.outbox import Outbox
from cat_model.feedback.record import PHOTO, new_secret, receipt
from cat_model.feedback.stores import FolderStore, StoreError
from cat_model.settings import Settings
from tests.cat_model.feedback.test_delivery import Memory
from tests.made_feedback import made_feedback, numbers
from train import __main__ as line
from train.config import TrainError
from train.feedback import dataset


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "outbox")


def give(outbox, number=0, photo=True):
    secret = new_secret()
    picture = Image.effect_noise((64, 64), 50 + number).convert("RGB") if photo else None
    record = outbox.add(made_feedback(secret, consent=PHOTO, photo=picture, embedding=numbers(number)))
    return record, receipt(record, secret)


def files(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_pull_holds_what_the_source_holds_and_versions_tell_what_changed(outbox, tmp_path):
    first, code = give(outbox)
    origin, place = FolderStore(outbox.folder), tmp_path / "set"
    pulled = dataset.pull(origin, place)
    assert (pulled.version, pulled.records, pulled.added, pulled.removed) == (1, 1, 1, 0)
    assert dataset.pull(origin, place).version == 1
    second, _ = give(outbox, 1)
    assert dataset.pull(origin, place).version == 2
    assert {record.id for record in dataset.read(place)} == {first.id, second.id}
    outbox.undo(code)
    pulled = dataset.pull(origin, place)
    assert (pulled.version, pulled.records, pulled.added, pulled.removed) == (3, 1, 0, 1)
    assert files(place) == {second.key, second.photo_key, *(f"versions/000{n}.json" for n in (1, 2, 3))}
    assert dataset.read(place) == [second]
    assert set(json.loads((place / "versions/0003.json").read_text())["records"]) == {second.id}


def test_what_was_deleted_in_the_store_is_deleted_in_the_set_even_if_a_copy_comes_back(tmp_path):
    store, outbox = Memory(), Outbox(tmp_path / "outbox", delivers=True)
    record, code = give(outbox)
    Delivery(outbox, [store]).deliver()
    dataset.pull(store, tmp_path / "set")
    outbox.undo(code)
    Delivery(outbox, [store]).deliver()
    store.put(record.key, record.to_json())  # a late copy of a request that had timed out
    assert dataset.pull(store, tmp_path / "set").records == 0
    assert files(tmp_path / "set") == {"versions/0001.json", "versions/0002.json"}


def test_damaged_records_and_photos_are_left_out_and_named(outbox, tmp_path):
    good, _ = give(outbox)
    changed, _ = give(outbox, 1)
    path = outbox.folder / changed.key
    path.write_bytes(path.read_bytes().replace(b"true", b"false"))
    broken, _ = give(outbox, 2)
    (outbox.folder / broken.photo_key).write_bytes(b"no photo")
    lost, _ = give(outbox, 3)
    (outbox.folder / lost.photo_key).unlink()
    (outbox.folder / "records" / "0000000000000000.json").write_text("{")
    pulled = dataset.pull(FolderStore(outbox.folder), tmp_path / "set")
    assert pulled.records == 1
    assert [problem.split()[1] for problem in pulled.problems] == sorted(
        [changed.id, broken.id, lost.id, "0" * 16]
    )
    assert dataset.read(tmp_path / "set") == [good]


def test_a_source_that_does_not_answer_is_told_in_words(tmp_path):
    store = Memory()
    store.keys = lambda prefix: (_ for _ in ()).throw(StoreError("memory: away"))
    with pytest.raises(TrainError, match="cannot be pulled: memory: away"):
        dataset.pull(store, tmp_path)


def test_a_folder_without_a_set_is_told_in_words(tmp_path):
    with pytest.raises(TrainError, match="holds no feedback"):
        dataset.read(tmp_path)


def test_the_source_is_a_folder_or_the_store_or_the_outbox(tmp_path):
    assert "folder" in dataset.source(tmp_path, Settings(s3_bucket="cats")).name
    assert dataset.source(None, Settings(s3_bucket="cats")).name == "S3 bucket cats"
    assert dataset.source(None, Settings(feedback_dir=tmp_path)).name == f"folder {tmp_path}"
    with pytest.raises(TrainError, match="no folder"):
        dataset.source(tmp_path / "none", Settings())


def test_the_command_line_pulls_and_reports(outbox, tmp_path, capsys):
    give(outbox)
    place = tmp_path / "set"
    assert line.main(["feedback", "pull", "--source", str(outbox.folder), "--out", str(place)]) == 0
    assert "1 records, 1 new" in capsys.readouterr().out
    assert line.main(["feedback", "report", str(place)]) == 0
    assert "agree" in capsys.readouterr().out
    assert line.main(["feedback", "report", str(tmp_path / "none")]) == 1


@pytest.fixture
def photos(tmp_path):
    for group in ("cat", "dog"):
        (tmp_path / "photos" / group).mkdir(parents=True)
        Image.new("RGB", (50, 50), "red").save(tmp_path / "photos" / group / "a.jpg")
    return tmp_path / "photos"


def review(place, *lines):
    (place / "reviewed.csv").write_text("\n".join(["id,group,note", *lines]))


def test_only_reviewed_photos_are_learned_from(outbox, photos, tmp_path):
    (cat, _), (dropped, _), (_unseen, _) = (give(outbox, number) for number in range(3))
    gone, code = give(outbox, 4)
    place = tmp_path / "set"
    dataset.pull(FolderStore(outbox.folder), place)
    review(place, f"{cat.id},cat,", f"{dropped.id},drop,a drawing", f"{gone.id},misc,")
    outbox.undo(code)
    dataset.pull(FolderStore(outbox.folder), place)
    for _ in range(2):
        merged = dataset.with_photos(photos, place, tmp_path / "runs")
        assert files(merged) == {"cat/a.jpg", "dog/a.jpg", f"cat/feedback-{cat.id}.jpg"}
    assert (merged / f"cat/feedback-{cat.id}.jpg").read_bytes() == (place / cat.photo_key).read_bytes()
    assert files(photos) == {"cat/a.jpg", "dog/a.jpg"}


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No photo was reviewed"), ("0123,,", "line 2"), (",cat,", "line 2"), ("0123,../cat,", "line 2")],
)
def test_a_review_that_makes_no_sense_is_refused_in_words(outbox, photos, tmp_path, content, says):
    give(outbox)
    dataset.pull(FolderStore(outbox.folder), tmp_path / "set")
    if content:
        review(tmp_path / "set", content)
    with pytest.raises(TrainError, match=says):
        dataset.with_photos(photos, tmp_path / "set", tmp_path / "runs")


def test_a_review_that_is_not_utf_8_is_refused_in_words(outbox, photos, tmp_path):
    give(outbox)
    dataset.pull(FolderStore(outbox.folder), tmp_path / "set")
    (tmp_path / "set" / "reviewed.csv").write_text("id,group\n0123,café\n", "cp1252")
    with pytest.raises(TrainError, match="save it as CSV in UTF-8"):
        dataset.with_photos(photos, tmp_path / "set", tmp_path / "runs")


def test_a_review_of_an_answer_without_a_photo_is_refused(outbox, photos, tmp_path):
    record, _ = give(outbox, photo=False)
    dataset.pull(FolderStore(outbox.folder), tmp_path / "set")
    review(tmp_path / "set", f"{record.id},cat,")
    with pytest.raises(TrainError, match="no photo to learn from"):
        dataset.with_photos(photos, tmp_path / "set", tmp_path / "runs")
