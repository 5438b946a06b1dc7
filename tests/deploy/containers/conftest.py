"""The image, built once for all tests here; podman and a base image come from tests/containers.py."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import containers

FOLDER = Path(__file__).parent
IMAGE = "localhost/are-you-a-cat"


def pytest_collection_modifyitems(config, items):
    """Skip the tests of this folder where nobody asked for them, or where they cannot run."""
    if config.getoption("--containers"):
        reason = containers.missing()
    else:
        reason = "Images are built and run only by python -m tests --containers: that takes minutes."
    if reason:
        for item in items:
            if FOLDER in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


def built(tag: str, extras: str) -> str:
    containers.make_base()
    containers.build(f"{IMAGE}:{tag}", extras)
    return f"{IMAGE}:{tag}"


@pytest.fixture(scope="session")
def slim() -> str:
    """The image without extras."""
    return built("slim", "")


@pytest.fixture(scope="session")
def full() -> str:
    """The image as it is built when nothing else is asked for."""
    return built("full", "shap s3 mlflow")


@pytest.fixture(scope="session")
def scoring() -> str:
    """The image that scores."""
    return built("score", "score")


@pytest.fixture
def started() -> Callable:
    """Start a container with a read-only root and no privileges; yield its name, and remove it."""

    @contextmanager
    def start(image: str, *arguments: str, options: tuple[str, ...] = ()) -> Iterator[str]:
        name = containers.podman(
            "run", "--detach", "--read-only", "--cap-drop=all", *options, image, *arguments
        )
        try:
            yield name
        finally:
            containers.podman("rm", "--force", "--time=10", "--volumes", name)

    return start


@pytest.fixture
def published(started) -> Callable:
    """Start a container as `started` does and wait until it answers; yield name and address."""

    @contextmanager
    def start(
        image: str, *arguments: str, port: int = 7860, options: tuple[str, ...] = ()
    ) -> Iterator[tuple[str, str]]:
        with started(image, *arguments, options=(f"--publish=127.0.0.1::{port}", *options)) as name:
            address = f"http://{containers.podman('port', name, str(port))}"
            containers.answered(f"{address}/health")
            yield name, address

    return start
