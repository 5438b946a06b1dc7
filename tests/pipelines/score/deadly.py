"""Jobs in whose workers some photos do harm: their decoder is replaced where the job is unpickled."""

import itertools
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from cat_model import photo
from cat_model.photo import Decoded
from pipelines.score import local, scorer
from pipelines.score.scorer import Job

KILL, HANG, MODEL, ONCE = "kill", "hang", "model", "once:"
"""What a photo does: it ends its worker, keeps it for ever, ends it when the model is asked, or, followed by
a path, ends the first one and makes that file."""
PHOTO_S = 1.0


@dataclass(frozen=True)
class DeadlyJob(Job):
    """A job some of whose photos do harm.

    Attributes:
        harm: what they do, by what their bytes begin with.
        photo_s: seconds that its workers are given for a photo.
    """

    harm: dict[bytes, str] = field(default_factory=dict)
    photo_s: float = local.PHOTO_S

    def __reduce__(self):
        own = (self.photos, self.out, self.bundle, self.thorough, self.embedding, self.harm, self.photo_s)
        return unpickled, own


def unpickled(*own):
    job = DeadlyJob(*own)
    local.PHOTO_S = job.photo_s

    def decode(content, *limits):
        for beginning, harm in job.harm.items():
            if content.startswith(beginning):
                do(harm)
                return Decoded(Deadly() if harm == MODEL else photo.decode(content[len(beginning) :]))
        return photo.decode_frame(content, *limits)

    scorer.decode_frame = decode
    return job


class Deadly:
    """A picture that ends the process when it is resized for the model."""

    width = height = 500

    def resize(self, *_, **__):
        do(KILL)


def do(harm):
    if harm == HANG:
        sum(itertools.repeat(0))  # keeps the interpreter's lock, as a decoder may
    once = Path(harm.removeprefix(ONCE)) if harm.startswith(ONCE) else None
    if harm == KILL or (once and not once.exists()):
        if once:
            once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
