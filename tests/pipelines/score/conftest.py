"""A folder of a few photos, one of them no photo, and a job that scores them."""

import shutil

import pytest

from cat_model import Bundle
from pipelines.score.places import Folder
from pipelines.score.scorer import Job
from pipelines.score.sources import Photos

KEYS = ("cat/one.jpg", "cat/two.jpg", "misc/bad.jpg", "misc/cup.jpg", "zebra/space.jpg")


@pytest.fixture
def photos(tmp_path, examples):
    """Five files that are named like photos, by KEYS, beside what is none."""
    folder = tmp_path / "photos"
    names = dict(zip(KEYS, ("chelsea", "chelsea", None, "coffee", "astronaut"), strict=True))
    for key, example in names.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if example:
            shutil.copy(examples / f"{example}.jpg", path)
        else:
            path.write_bytes(b"no photo at all")
    (folder / "cat" / "notes.txt").write_text("none")
    (folder / "cat" / ".hidden.jpg").write_text("none")
    (folder / "@eaDir").mkdir()
    (folder / "@eaDir" / "thumb.jpg").write_text("none")
    return folder


@pytest.fixture(scope="session")
def bundle():
    return Bundle.read()


@pytest.fixture
def job(photos, tmp_path, bundle):
    return Job(Photos(Folder(photos)), Folder(tmp_path / "out"), bundle)
