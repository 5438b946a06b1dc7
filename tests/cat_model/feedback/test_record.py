"""A record holds what a person agreed to and nothing else, and only its receipt code takes it back."""

import datetime as real_datetime
import hashlib
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from cat_model.feedback import record
from cat_model.feedback.record import (
    ANSWER,
    COMMENT_LENGTH,
    NUMBERS,
    PHOTO,
    PHOTO_SIDE,
    FeedbackError,
    Record,
    new_secret,
    pack,
    read_receipt,
    receipt,
)
from cat_model.photo import decode
from tests.image_files import encoded
from tests.made_feedback import made_feedback, numbers

SECRETS = (b"SECRET", b"Exif", b"GPS", b"http://ns.adobe.com", b"xpacket", b"ICC_PROFILE", b"JFXX")


@pytest.fixture
def photo(examples):
    return decode(examples / "chelsea.jpg").resize((900, 600))


def opened(content):
    return Image.open(io.BytesIO(content))


def test_a_record_holds_what_the_person_saw_and_said():
    record, photo = pack(made_feedback("t1", comment="  my\n cat\u200b\x00 "))
    kept = json.loads(record.to_json())
    hour = real_datetime.datetime.fromisoformat(kept.pop("hour"))
    assert (hour.minute, hour.second, hour.microsecond) == (0, 0, 0)
    assert hour.utcoffset() == real_datetime.timedelta(0)
    assert photo is None
    assert kept == {
        "schema": 2,
        "token": hashlib.sha256(b"t1").hexdigest(),
        "model_version": "model-7",
        "bundle_sha256": "f" * 64,
        "probability": 0.123457,
        "verdict": "not a cat",
        "person_says_cat": True,
        "comment": "my cat",
        "consent": "answer",
        "embedding": None,
        "photo": None,
    }


@pytest.mark.parametrize(
    ("consent", "has_numbers", "has_photo"),
    [(ANSWER, False, False), (NUMBERS, True, False), (PHOTO, True, True), ("yes!", False, False)],
)
def test_no_more_is_kept_than_was_agreed_to_whatever_is_handed_over(photo, consent, has_numbers, has_photo):
    record, kept = pack(made_feedback(consent=consent, embedding=numbers(), photo=photo))
    assert (record.embedding is not None) == has_numbers
    assert (record.photo is not None) == (kept is not None) == has_photo
    if has_photo:
        assert hashlib.sha256(kept).hexdigest() == record.photo


def test_the_numbers_come_back_as_they_were():
    record, _ = pack(made_feedback(consent=NUMBERS, embedding=numbers()))
    np.testing.assert_array_equal(Record.from_json(record.to_json()).numbers, numbers())
    assert len(record.to_json()) < 4_500


def test_the_hour_that_strikes_between_two_clicks_makes_no_second_record(monkeypatch):
    hours = iter((9, 10))

    class Clock(real_datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 11, 23, next(hours), 59, 59, tzinfo=tz)

    monkeypatch.setattr(record, "datetime", Clock)
    first, second = (pack(made_feedback())[0] for _ in range(2))
    assert (first.hour, second.hour) == ("2026-11-23T09:00:00+00:00", "2026-11-23T10:00:00+00:00")
    assert first.id == second.id


def test_whatever_differs_but_the_hour_makes_another_record(photo):
    given = [
        made_feedback(),
        made_feedback("another secret"),
        made_feedback(says_cat=False),
        made_feedback(comment="hello"),
        made_feedback(consent=NUMBERS),
        made_feedback(consent=NUMBERS, embedding=numbers()),
        made_feedback(consent=PHOTO, photo=photo),
        made_feedback(bundle_sha256="0" * 64),
    ]
    assert len({pack(each)[0].id for each in given}) == len(given)


def test_the_longest_comment_is_kept_and_a_longer_one_refused():
    assert pack(made_feedback(comment="x" * COMMENT_LENGTH))[0].comment == "x" * COMMENT_LENGTH
    with pytest.raises(FeedbackError, match="281 characters"):
        pack(made_feedback(comment="x" * (COMMENT_LENGTH + 1)))


def test_a_kept_photo_is_small_and_shows_the_same(photo):
    kept = opened(pack(made_feedback(consent=PHOTO, photo=photo))[1])
    assert (kept.format, kept.mode, kept.size) == ("JPEG", "RGB", (PHOTO_SIDE, PHOTO_SIDE * 600 // 900 + 1))
    assert PHOTO_SIDE == 640
    difference = np.asarray(kept, int) - np.asarray(photo.resize(kept.size), int)
    assert np.abs(difference).mean() < 6
    assert photo.size == (900, 600)


@pytest.mark.parametrize(("size", "expected"), [((30, 20), (30, 20)), ((100, 2000), (32, 640))])
def test_small_and_narrow_photos_are_kept_in_their_proportions(size, expected):
    assert opened(pack(made_feedback(consent=PHOTO, photo=Image.new("RGB", size, "red")))[1]).size == expected


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK"])
def test_a_photo_of_another_mode_is_kept_too(photo, mode):
    assert opened(pack(made_feedback(consent=PHOTO, photo=photo.convert(mode)))[1]).mode == "RGB"


def test_nothing_hidden_in_a_photo_is_kept(photo):
    source = laden(photo)
    assert source.count(b"SECRET") == 6
    raw = Image.open(io.BytesIO(source))  # if a caller forgets to decode
    for each in (decode(source), raw):
        record, content = pack(made_feedback(consent=PHOTO, photo=each, embedding=numbers()))
        for stored in (record.to_json(), content):
            assert not [secret for secret in SECRETS if secret in stored]
        assert content.startswith(b"\xff\xd8")
        assert content.endswith(b"\xff\xd9")
        assert content.count(b"\xff\xd8\xff") == 1  # no thumbnail


def laden(photo):
    """A JPEG that carries a place, a thumbnail, XMP, a profile, a comment and bytes after its end."""
    exif = Image.Exif()
    exif[0x010E] = "SECRET description"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    exif.get_ifd(0x8825)[29] = "SECRET GPS"
    source = encoded(
        photo,
        "JPEG",
        exif=exif.tobytes() + encoded(photo.resize((60, 40)), "JPEG"),
        xmp=b"<?xpacket?>SECRET http://ns.adobe.com/xap/",
        icc_profile=b"SECRET profile",
        comment=b"SECRET comment",
    )
    return source + b"SECRET trailing bytes"


def test_a_receipt_leads_to_its_record_and_proves_the_right_to_it():
    secret = new_secret()
    record, _ = pack(made_feedback(secret))
    code = receipt(record, secret)
    assert re.fullmatch(r"([0-9a-z]{4}-){7}[0-9a-z]{4}", code)
    for typed in (code, code.upper(), code.replace("-", " "), f" {code.replace('-', '')}\n"):
        assert read_receipt(typed) == (record.id, record.token)
    assert secret not in record.to_json().decode()
    assert read_receipt(receipt(record, new_secret()))[1] != record.token


@pytest.mark.parametrize("code", ["", "hello", "0" * 31, "../" * 11, "0" * 33, "0" * 31 + "1"])
def test_what_is_no_receipt_is_refused_in_words(code):
    with pytest.raises(FeedbackError, match="not a receipt code"):
        read_receipt(code)


def test_secrets_are_long_and_never_the_same():
    drawn = {new_secret() for _ in range(1000)}
    assert len(drawn) == 1000
    assert {len(each) for each in drawn} == {16}


def damaged(**changes):
    return json.dumps({**json.loads(pack(made_feedback())[0].to_json()), **changes}).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "damaged"),
        (b"[]", "damaged"),
        (b"\xff", "damaged"),
        (damaged(more=1), "damaged"),
        (damaged(probability="0.5"), "wrong kind"),
        (damaged(person_says_cat=1), "wrong kind"),
        (damaged(photo=5), "wrong kind"),
        (damaged(embedding="*"), "damaged"),
        (damaged(schema=3), "schema 3"),
        (json.dumps({"schema": 1, "token": "t"}).encode(), "schema 1"),
    ],
)
def test_a_damaged_record_is_refused_in_words(content, says):
    with pytest.raises(FeedbackError, match=says):
        Record.from_json(content)
