"""deploy/compose.yaml in podman-compose: the page beside a store, MLflow's server and Prometheus."""

import json
import os
import shutil
import site
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from cat_model.settings import SHIPPED_BUNDLE
from tests import containers

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[3]
CHELSEA = ROOT / "examples" / "chelsea.jpg"
KEY = "a-key"
PROJECT = "cat-compose-test"
PROMETHEUS = "localhost/are-you-a-cat-prometheus:test"
BESIDE = ("store", "bucket", "mlflow", "prometheus")
CHAMPION = "models:/are-you-a-cat@champion"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text("utf-8"))
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


@pytest.fixture(scope="module")
def compose():
    """What runs podman-compose with both files, and the ports that the services are published at."""
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = shutil.which("podman-compose", path=beside)
    if not command:
        pytest.skip("There is no podman-compose: pip install podman-compose (Debian's 1.0.3 is too old).")
    if sys.version_info[:2] != (3, 11):
        pytest.skip("The base image has Python 3.11, and the packages of the tests here are for another.")
    ports = {f"{name}_PORT": free_port() for name in ("CAT", "MLFLOW", "PROMETHEUS")}
    variables = {
        **ports,
        "TEST_BASE": containers.base_name(),
        "TEST_PACKAGES": site.getsitepackages()[0],
        "TEST_PROMETHEUS": PROMETHEUS,
        "CAT_API_KEY": KEY,
    }
    files = ("-f", str(ROOT / "deploy" / "compose.yaml"), "-f", str(HERE / "compose.yaml"))

    def run(*arguments: str, **also: str) -> str:
        return containers.run([command, "-p", PROJECT, *files, *arguments], {**variables, **also})

    return run, ports


@pytest.fixture(scope="module")
def addresses(compose, full):
    """All of it up; yields the address of each service by the first word of its variable."""
    run, ports = compose
    containers.podman(
        "build",
        "--network=host",
        f"--build-arg=BASE={containers.base_name()}",
        f"--tag={PROMETHEUS}",
        f"--file={HERE / 'prometheus.Dockerfile'}",
        str(HERE),
    )
    try:
        run("up", "--detach", "--no-build", *BESIDE, TEST_IMAGE=full)
        yield {name.split("_")[0]: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    finally:
        run("down", "--volumes", "--timeout=20", TEST_IMAGE=full)


@pytest.fixture(scope="module")
def bundle(addresses, tmp_path_factory) -> Path:
    """The shipped bundle where it may be changed, registered as champion."""
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    shutil.copytree(SHIPPED_BUNDLE, folder)
    containers.answered(f"{addresses['MLFLOW']}/health")
    export("register", folder, addresses)
    return folder


@pytest.fixture(scope="module")
def page(compose, addresses, bundle, full) -> str:
    """The address of a page whose model comes from the registry."""
    run, _ = compose
    run("up", "--detach", "--no-build", "page", TEST_IMAGE=full, CAT_BUNDLE=CHAMPION)
    containers.answered(f"{addresses['CAT']}/health")
    return addresses["CAT"]


def export(command: str, bundle: Path, addresses: dict[str, str]) -> None:
    words = [sys.executable, "-m", "export", command, "--bundle", str(bundle)]
    containers.run(words, {"MLFLOW_TRACKING_URI": addresses["MLFLOW"]})


def health(page: str) -> dict:
    return json.loads(containers.answered(f"{page}/health"))


def asked(page: str, body: bytes, key: str = KEY) -> dict:
    request = urllib.request.Request(f"{page}/v1/predict", body, {"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def until(met, seconds: float = 120):
    """Return what `met` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < end, "It did not come true in time."
        time.sleep(1)
    return found


def test_feedback_arrives_in_the_store(page):
    client = Client(page, verbose=False)
    client.predict(photo=handle_file(CHELSEA), it_is="cat", api_name="/feedback")
    feedback = until(lambda: health(page)["feedback"] if health(page)["feedback"]["last_success"] else None)
    assert feedback["backlog"] == 0
    assert feedback["destination"] == "S3 bucket feedback"


def test_the_page_follows_the_registry_and_a_rollback(addresses, page, bundle):
    first = health(page)["model"]
    shutil.copytree(bundle, bundle.with_name("bundle.previous"))
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "version": "second"}))
    export("register", bundle, addresses)
    until(lambda: health(page)["model"] == "second")
    assert asked(page, CHELSEA.read_bytes())["model_version"] == "second"
    export("rollback", bundle, addresses)
    until(lambda: health(page)["model"] == first)


def test_every_panel_of_the_dashboard_has_data(addresses, page):
    def told(expression: str) -> list:
        query = urllib.parse.urlencode({"query": expression.replace("$__rate_interval", "5m")})
        answer = json.loads(containers.answered(f"{addresses['PROMETHEUS']}/api/v1/query?{query}"))
        return answer["data"]["result"]

    def all_told() -> bool:
        asked(page, CHELSEA.read_bytes())
        with pytest.raises(urllib.error.HTTPError):  # refusals are counted, too
            asked(page, b"no photo")
        return all(map(told, EXPRESSIONS))

    until(all_told, seconds=240)


def test_programs_need_the_key(page):
    assert asked(page, CHELSEA.read_bytes())["label"] == "cat"
    with pytest.raises(urllib.error.HTTPError) as refused:
        asked(page, CHELSEA.read_bytes(), key="another")
    assert refused.value.code == 401
