"""Fixtures for all tests. Photos and models that do not belong to the repository lie in CAT_SHARED."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # a bare `pytest` does not look for packages here

from tests.engines import MARK  # noqa: E402

LONGEST = (
    "tests/test_line.py",
    "tests/train/fit/test_finetune.py",
    "tests/app/test_device.py",
    "tests/app/test_page.py",
    "tests/app/test_on_device.py",
    "tests/app/test_accessibility.py",
    "tests/app/test_photo_in.py",
    "tests/cat_model/test_photo_attacks.py",
    "tests/train/test_tune.py",
    "tests/app/test_static_site.py",
    "tests/app/test_gallery.py",
    "tests/pipelines/score/test_places.py",
)
"""Files that take longest. They begin first, so that no process is left alone with one at the end."""


def pytest_addoption(parser):
    parser.addoption(
        "--containers", action="store_true", help="run the tests of the image; they take minutes"
    )


def pytest_collection_modifyitems(config, items):
    """Mark the tests that use CAT_SHARED, so that `-m shared` and `-m "not shared"` choose them.

    The longest files come first. Tests of engines are left out unless `-m engines` asks for them: each starts
    one, which takes minutes.
    """
    skip = pytest.mark.skip(reason="Engines are tried only by python -m tests --engines: that takes minutes.")
    for item in items:
        if "shared" in item.fixturenames:
            item.add_marker(pytest.mark.shared)
        if item.get_closest_marker(MARK) and MARK not in config.option.markexpr:
            item.add_marker(skip)
    begins = {ROOT / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: begins.get(item.path, len(LONGEST)))


@pytest.fixture(scope="module", autouse=True)
def forgotten_store() -> Iterator[None]:
    """After each file MLflow forgets the store it was told of: it keeps one for the whole process."""
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)


@pytest.fixture(scope="session")
def examples() -> Path:
    """The example photos of the page: chelsea.jpg is a cat, astronaut.jpg and coffee.jpg are not."""
    return ROOT / "examples"


@pytest.fixture(scope="session")
def predictor():
    """The shipped model, or the one that CAT_BUNDLE names."""
    import cat_model
    from cat_model.settings import Settings

    return cat_model.load(Settings.from_env().bundle, workers=2)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder CAT_SHARED; the test is skipped, with a sentence saying why, where there is none."""
    folder = Path(os.environ.get("CAT_SHARED") or ROOT.parent / "shared").resolve()
    if not folder.is_dir():
        pytest.skip(f"There is no folder {folder}: set CAT_SHARED to the shared photos and models.")
    return folder


@pytest.fixture(scope="session")
def shared_part(shared):
    """Give the path of one part of CAT_SHARED by its name, or skip the test saying that it is missing."""

    def part(name: str) -> Path:
        path = shared / name
        if not path.exists():
            pytest.skip(f"There is no {path}: this test needs that part of CAT_SHARED.")
        return path

    return part
