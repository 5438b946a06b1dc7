"""What a person told us of a verdict: one record an answer, and the receipt code that takes it back.

A record holds what the person agreed to and nothing else: no address, user agent, session or file name, and
the time only to the hour. Where records are kept is outbox.py; how they get elsewhere, delivery.py.
"""

import base64
import binascii
import hashlib
import hmac
import io
import json
import re
import secrets
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
from PIL import Image

from cat_model.verdict import Verdict

SCHEMA = 2
PHOTO_SIDE = 640
PHOTO_QUALITY = 85
COMMENT_LENGTH = 280

ANSWER, NUMBERS, PHOTO = "answer", "numbers", "photo"
"""What a person may agree to, each including the ones before: the answer, the embedding, the photo."""

ID_LENGTH, SECRET_BYTES = 16, 10


class FeedbackError(OSError):
    """The feedback could not be stored, found or read; the message says why."""


@dataclass(frozen=True)
class Feedback:
    """What a person says of a verdict, as the page hands it over.

    Attributes:
        verdict: what the person saw.
        bundle_sha256: of the model that gave it.
        person_says_cat: what the person says the photo shows.
        secret: from `new_secret`, made when the verdict was shown: two clicks on one verdict are one record.
        comment: a few words, at most COMMENT_LENGTH characters.
        consent: ANSWER, NUMBERS or PHOTO.
        embedding: shape (D,), float: the model's description of the photo; kept from NUMBERS on.
        photo: kept only with PHOTO.
    """

    verdict: Verdict
    bundle_sha256: str
    person_says_cat: bool
    secret: str
    comment: str = ""
    consent: str = ANSWER
    embedding: np.ndarray | None = None
    photo: Image.Image | None = None


@dataclass(frozen=True)
class Record:
    """One answer as it is stored.

    Attributes:
        schema: version of this form.
        token: SHA-256 of the secret in the receipt code: who reads the record cannot take it back.
        hour: when, in UTC, to the hour, ISO 8601.
        model_version: which model gave the verdict.
        bundle_sha256: of that model's file.
        probability: what it said, 0 to 1.
        verdict: "cat", "not a cat" or "not sure".
        person_says_cat: what the person says the photo shows.
        comment: the person's words, may be empty.
        consent: "answer", "numbers" or "photo".
        embedding: float16 numbers, little-endian, in base64; None unless agreed to.
        photo: SHA-256 of the stored JPEG; None unless agreed to.
    """

    schema: int
    token: str
    hour: str
    model_version: str
    bundle_sha256: str
    probability: float
    verdict: str
    person_says_cat: bool
    comment: str
    consent: str
    embedding: str | None
    photo: str | None

    @property
    def id(self) -> str:
        """16 hexadecimal digits made from all but the hour, which may strike between two clicks."""
        content = {**asdict(self), "hour": None}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:ID_LENGTH]

    @property
    def key(self) -> str:
        """Name of the record's file, or of its object in a store."""
        return record_key(self.id)

    @property
    def photo_key(self) -> str | None:
        """Name of the photo's; no two records share one, so that each can be deleted with its photo."""
        return photo_key(self.id, self.photo)

    @property
    def numbers(self) -> np.ndarray | None:
        """The embedding, shape (D,), float32; None where the person did not agree to it."""
        if self.embedding is None:
            return None
        return np.frombuffer(base64.b64decode(self.embedding, validate=True), "<f2").astype(np.float32)

    def to_json(self) -> bytes:
        """Return the record as one line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> "Record":
        """Read what `to_json` wrote.

        Raises:
            FeedbackError: it is damaged, or of another schema.
        """
        try:
            stored = json.loads(content)
            schema = stored["schema"]
            if schema == SCHEMA:
                record = cls(**stored)
                if all(_fits(getattr(record, field.name), field.type) for field in fields(cls)):
                    _ = record.numbers
                    return record
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise FeedbackError(f"This record is damaged: {error!r}.") from error
        if schema == SCHEMA:
            raise FeedbackError("This record is damaged: it holds values of the wrong kind.")
        raise FeedbackError(f"This record has schema {schema}; this program reads schema {SCHEMA}.")


@dataclass(frozen=True)
class Tombstone:
    """What must be known of a record to delete it.

    Attributes:
        id: of the record.
        token: that its receipt's secret must have.
        photo: SHA-256 of its photo, None where it has none or it is not known.
        hour: when the record was made; empty where that is not known.
        sure: whether the record was found here with this token; else the store must be asked.
    """

    id: str
    token: str
    photo: str | None
    hour: str
    sure: bool = True

    @property
    def name(self) -> str:
        """What its file is called; a code that could not be checked never stands in the right one's way."""
        return self.id if self.sure else f"{self.id}-{self.token[:16]}"

    @property
    def keys(self) -> list[str]:
        """Names of all that is kept of the record, as far as known."""
        photo = photo_key(self.id, self.photo)
        return [record_key(self.id), *([photo] if photo else [])]

    @classmethod
    def of(cls, record: Record) -> "Tombstone":
        """Return the tombstone of a record."""
        return cls(record.id, record.token, record.photo, record.hour)

    def to_json(self) -> bytes:
        """Return the tombstone as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True).encode() + b"\n"


def pack(said: Feedback) -> tuple[Record, bytes | None]:
    """Return feedback as it may be stored: its record, and the bytes of its photo if the person agreed.

    Raises:
        FeedbackError: the comment is too long.
    """
    comment = " ".join("".join(c if c.isprintable() else " " for c in said.comment).split())
    if len(comment) > COMMENT_LENGTH:
        raise FeedbackError(f"Your comment has {len(comment)} characters; {COMMENT_LENGTH} can be kept.")
    numbers, photo = None, None
    if said.consent in (NUMBERS, PHOTO) and said.embedding is not None:
        numbers = base64.b64encode(said.embedding.astype("<f2").tobytes()).decode()
    if said.consent == PHOTO and said.photo is not None:
        photo = _keepsake(said.photo)
    record = Record(
        schema=SCHEMA,
        token=_token(said.secret),
        hour=datetime.now(UTC).replace(minute=0, second=0, microsecond=0).isoformat(),
        model_version=said.verdict.model_version,
        bundle_sha256=said.bundle_sha256,
        probability=round(said.verdict.probability, 6),
        verdict=said.verdict.label,
        person_says_cat=said.person_says_cat,
        comment=comment,
        consent=said.consent,
        embedding=numbers,
        photo=hashlib.sha256(photo).hexdigest() if photo else None,
    )
    return record, photo


def record_key(identity: str) -> str:
    """Return the name of a record's file."""
    return f"records/{identity}.json"


def photo_key(identity: str, photo: str | None) -> str | None:
    """Return the name of a record's photo, None where it has none."""
    return f"photos/{identity}-{photo}.jpg" if photo else None


def new_secret() -> str:
    """Return 80 random bits as 16 letters and digits (base32)."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode().lower()


def receipt(record: Record, secret: str) -> str:
    """Return the code that deletes a record: its id and the secret, in groups of four."""
    return "-".join(re.findall("....", record.id + secret))


def read_receipt(code: str) -> tuple[str, str]:
    """Return a record's id and the token that its secret must have.

    Raises:
        FeedbackError: this is no receipt code.
    """
    letters = re.sub(r"[\s-]", "", code).lower()
    if not re.fullmatch(r"[0-9a-f]{16}[a-z2-7]{16}", letters):
        raise FeedbackError("This is not a receipt code: it has eight groups of four letters and digits.")
    return letters[:ID_LENGTH], _token(letters[ID_LENGTH:])


def same(token: str, other: str) -> bool:
    """Whether two tokens are the same, in a time that does not tell how much of them is."""
    return hmac.compare_digest(token.encode(), other.encode())


def _token(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _fits(value: object, kind: Any) -> bool:  # noqa: ANN401 - a type, or several joined by "|"
    return isinstance(value, int | float if kind is float else kind) and not (
        isinstance(value, bool) and kind is not bool
    )


def _keepsake(photo: Image.Image) -> bytes:
    """Return the photo as it may be kept: the bytes of a small JPEG."""
    small = photo.convert("RGB")
    small.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    encoded = io.BytesIO()
    # A picture made anew from its pixels carries nothing else.
    Image.frombytes("RGB", small.size, small.tobytes()).save(encoded, "JPEG", quality=PHOTO_QUALITY)
    return encoded.getvalue()
