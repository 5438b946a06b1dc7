"""What a person told us: a record, kept in a durable local outbox before anybody says thanks.

A record is one small JSON file named after its content, so that the same flag twice is one record. The photo
is kept only with the person's consent, as re-encoded pixels without metadata.
"""

import hashlib
import io
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from cat_model.files import write_durably
from cat_model.predict import Verdict

SCHEMA = 1
PHOTO_SIDE = 640
PHOTO_QUALITY = 85


class FeedbackError(OSError):
    """The feedback could not be stored; the message says why."""


@dataclass(frozen=True)
class Record:
    """One flag.

    Attributes:
        schema: version of this form.
        token: random, made anew for each verdict shown: two clicks on one verdict are one record, two people
            with the same answer are two.
        hour: when, in UTC, to the hour, ISO 8601.
        model_version: which model gave the verdict.
        probability: what it said, 0 to 1.
        verdict: "cat", "not a cat" or "not sure".
        person_says_cat: what the person says the photo shows.
        photo: name of the stored photo; None without the person's consent.
    """

    schema: int
    token: str
    hour: str
    model_version: str
    probability: float
    verdict: str
    person_says_cat: bool
    photo: str | None

    @property
    def id(self) -> str:
        """16 hexadecimal digits made from all but the hour, which may strike between two clicks."""
        content = {**asdict(self), "hour": None}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> bytes:
        """Return the record as one line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True).encode() + b"\n"


class Outbox:
    """A folder that keeps feedback until it is delivered: `records/ID.json` and `photos/HASH.jpg`."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Name the folder; it is made when the first record comes."""
        self.folder = Path(folder)

    def add(
        self, verdict: Verdict, person_says_cat: bool, token: str, photo: Image.Image | None = None
    ) -> Record:
        """Store what a person says of a verdict; it is on the disk when this returns.

        Args:
            verdict: the verdict the person saw.
            person_says_cat: what the person says the photo shows.
            token: random characters made when the verdict was shown.
            photo: the RGB photo, only if the person agreed that it is kept.

        Raises:
            FeedbackError: it could not be written (a full or read-only disk); nothing half-written is left.
        """
        kept = {} if photo is None else _keepsake(photo)
        record = Record(
            schema=SCHEMA,
            token=token,
            hour=datetime.now(UTC).replace(minute=0, second=0, microsecond=0).isoformat(),
            model_version=verdict.model_version,
            probability=round(verdict.probability, 6),
            verdict=verdict.label,
            person_says_cat=person_says_cat,
            photo=next(iter(kept), None),
        )
        written: list[Path] = []
        try:
            # The photo first: whoever finds a record also finds the photo that it names.
            files = {self.folder / "photos" / name: content for name, content in kept.items()}
            files[self.folder / "records" / f"{record.id}.json"] = record.to_json()
            for path, content in files.items():
                if not path.exists():
                    written.append(path)
                write_durably(path, content)
        except OSError as error:
            for path in written:  # without its record nobody would know whose consent the photo has
                with suppress(OSError):
                    path.unlink()
            raise FeedbackError(f"Your answer could not be saved: {error.strerror or error}.") from error
        return record


def _keepsake(photo: Image.Image) -> dict[str, bytes]:
    """Return the photo as it may be kept: the bytes of a small JPEG, by a name made from them."""
    small = photo.convert("RGB")
    small.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    encoded = io.BytesIO()
    # A picture made anew from its pixels carries nothing else.
    Image.frombytes("RGB", small.size, small.tobytes()).save(encoded, "JPEG", quality=PHOTO_QUALITY)
    return {f"{hashlib.sha256(encoded.getvalue()).hexdigest()}.jpg": encoded.getvalue()}
