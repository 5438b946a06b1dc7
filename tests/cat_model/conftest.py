"""Stores to deliver to, AWS's semantics (moto) and a real S3-compatible store, and a bad line to both."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from cat_model.feedback.stores import S3Store
from tests.app.conftest import free_port

BUCKET = "cats"
HEADS = (b"GET ", b"PUT ", b"DELETE ", b"HEAD ", b"POST ")


@dataclass(frozen=True)
class Place:
    """A running object store: its address and what boto3 must know to use it."""

    address: str
    environment: dict[str, str]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


def _place(port, key, secret) -> Place:
    address = f"http://127.0.0.1:{port}"
    standard = {
        "AWS_ENDPOINT_URL_S3": address,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Place(address, standard)


def _run(command, place, log, parts=1) -> Iterator[Place]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        # Swift's front asked before its parts are up shuns them for a minute.
        ports = range(place.port + parts - 1, place.port - 1, -1)
        while not (all(map(_listens, ports)) and _answers(place.address)):
            assert process.poll() is None, log.read_text("utf-8", "replace")
            time.sleep(0.1)
        yield place
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _listens(port) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(address) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code < 500
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def moto(tmp_path_factory) -> Iterator[Place]:
    pytest.importorskip("moto.server")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    yield from _run(command, _place(port, "key", "secret"), tmp_path_factory.mktemp("moto") / "log.txt")


@pytest.fixture(scope="session")
def swift(shared_part, tmp_path_factory) -> Iterator[Place]:
    server = shared_part("bin/s3-server")
    if not shutil.which("swift-proxy-server") or not shutil.which("memcached"):
        pytest.skip(
            "No S3-compatible store: on Debian, apt-get install "
            "swift-proxy swift-account swift-container swift-object memcached."
        )
    folder, port = tmp_path_factory.mktemp("swift"), _five_free_ports()
    command = ["bash", str(server), str(folder), str(port)]
    yield from _run(command, _place(port, "test:tester", "testing"), folder / "log.txt", parts=5)


def _five_free_ports() -> int:
    """The first of five neighbouring ports that are free: the store takes them all."""
    for first in range(free_port(), 65_000, 5):
        try:
            for port in range(first, first + 5):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise OSError("no five neighbouring ports are free")


@pytest.fixture(params=["moto", "swift"])
def place(request, monkeypatch) -> Place:
    """A store with an empty bucket; boto3's standard settings point to it."""
    running: Place = request.getfixturevalue(request.param)
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    admin = S3Store(BUCKET)
    _make_bucket(admin)
    for key in admin.keys(""):
        admin.delete(key)
    return running


def _make_bucket(admin) -> None:
    from botocore.exceptions import ClientError

    for left in reversed(range(50)):
        try:
            admin._client.create_bucket(Bucket=BUCKET)
        except ClientError as error:
            if error.response["Error"]["Code"].startswith("BucketAlready"):
                return
            if not left:
                raise
            time.sleep(0.2)
        else:
            return


@dataclass
class Line:
    """A TCP line to a store that does what it is told to the requests that are made through it.

    Attributes:
        port: where it listens.
        mood: called with the request's number, from 0; returns how that request fares.
        requests: how many there were.
    """

    port: int
    mood: Callable[[int], str]
    requests: int = field(default=0)


@pytest.fixture
def line(place, monkeypatch) -> Iterator[Line]:
    """A line between boto3 and the store.

    Moods: "well"; "refuse" (closed at once); "cut up" (closed in the middle of what is sent); "cut down" (in
    the middle of the answer); "silent" (the store is asked, its answer is swallowed, the connection closed);
    "hang" (nothing ever comes); "slow" (in small pieces); "corrupt up" and "corrupt down" (one byte of a
    body is another one).
    """
    listening = socket.create_server(("127.0.0.1", 0))
    made = Line(listening.getsockname()[1], lambda _: "well")
    open_sockets: list[socket.socket] = []

    def serve():
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            store = socket.create_connection(("127.0.0.1", place.port))
            open_sockets.extend((client, store))
            now = {}
            for ends, way in (((client, store), "up"), ((store, client), "down")):
                threading.Thread(target=_pump, args=(made, now, *ends, way), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{made.port}")
    yield made
    listening.close()
    for each in open_sockets:
        each.close()


def _pump(line, now, source, target, way) -> None:
    try:
        while chunk := source.recv(65_536):
            if way == "up" and chunk.startswith(HEADS):
                now["mood"] = line.mood(line.requests)
                line.requests += 1
            mood = now["mood"]
            if mood == "hang":
                continue
            if mood == "refuse" or (mood == "silent" and way == "down"):
                break
            if mood == f"cut {way}" and not chunk.startswith(b"HTTP/1.1 100"):
                target.sendall(chunk[: len(chunk) // 2])
                break
            if mood == f"corrupt {way}":
                chunk = _corrupted(chunk)
            pieces = range(0, len(chunk), 2000 if mood == "slow" else len(chunk))
            for start in pieces:
                target.sendall(chunk[start : start + pieces.step])
                time.sleep(0.002 if mood == "slow" else 0)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue


def _corrupted(chunk: bytes) -> bytes:
    """Change one byte of what follows a head, or of a piece of a body."""
    is_head = chunk.startswith((b"HTTP/", *HEADS))
    body = chunk.find(b"\r\n\r\n") + 4 if is_head else 0
    if body >= len(chunk):
        return chunk
    spot = (body + len(chunk)) // 2
    return chunk[:spot] + bytes([chunk[spot] ^ 1]) + chunk[spot + 1 :]
