"""Small servers that answer as MLflow's and the Hugging Face hub do when a bundle is asked for."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SERVER_ERROR = 500


@dataclass
class Place:
    """What a server has, and how it fares.

    Attributes:
        versions: files of each version (MLflow) or commit (hub), by path and name.
        points_to: the version that each alias or branch is on.
        cut_after: bytes of a body after which the line is cut, for each of the next downloads in turn.
        refuses: status of every answer; None for none.
        asks: the header Authorization that every request must have; None for none.
        source: where a version's artifacts are, by MLflow's word; {} is its number.
        folder: of the bundle inside a version or commit; empty or with a slash at its end.
        says: body of every answer; empty for what it should be.
        longer: what follows each file beyond the bytes that it is said to have.
        requests: method, path and the header Range of every request.
    """

    versions: dict[str, dict[str, bytes]] = field(default_factory=dict)
    points_to: dict[str, str] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    refuses: int | None = None
    asks: str | None = None
    source: str = "mlflow-artifacts:/1/models/m-{}/artifacts"
    folder: str = ""
    says: bytes = b""
    longer: bytes = b""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    address: str = ""

    def downloads(self, name: str) -> list[str | None]:
        """The header Range of each download of a file."""
        return [span for method, path, span in self.requests if method == "GET" and path.endswith(f"/{name}")]


class _Answers(BaseHTTPRequestHandler):
    place: Place

    def log_message(self, *_) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        self.place.requests.append((self.command, parts.path, self.headers.get("Range")))
        if self.place.refuses:
            return self._json({"error_code": "INTERNAL_ERROR"}, self.place.refuses)
        if self.place.asks and self.headers.get("Authorization") != self.place.asks:
            return self._json({}, 401)
        if self.place.says:
            return self._file(self.place.says)
        return self.route(parts.path, {name: each[0] for name, each in parse_qs(parts.query).items()})

    def route(self, path: str, asked: dict[str, str]) -> None:
        raise NotImplementedError

    def _json(self, content: object, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self, content: bytes, **headers: str) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = content[start:]
        cut = self.place.cut_after.pop(0) if self.place.cut_after and len(content) > 100_000 else len(body)
        self.wfile.write(body[:cut])
        if cut < len(body):
            self.close_connection = True


class _Registry(_Answers):
    """MLflow's server: the part of its REST API that a download needs."""

    def route(self, path: str, asked: dict[str, str]) -> None:
        api, artifacts = "/api/2.0/mlflow/", "/api/2.0/mlflow-artifacts/artifacts"
        place = self.place
        if path == f"{api}registered-models/alias" and asked["alias"] in place.points_to:
            return self._json({"model_version": {"version": place.points_to[asked["alias"]]}})
        if path == f"{api}model-versions/get-download-uri" and asked["version"] in place.versions:
            return self._json({"artifact_uri": place.source.format(asked["version"])})
        if path.startswith(api):
            return self._json({"error_code": "RESOURCE_DOES_NOT_EXIST"}, 404)
        number = (asked.get("path") or path.removeprefix(f"{artifacts}/")).split("/m-")[1].split("/")[0]
        files = place.versions[number]
        if path == artifacts:
            listed = [
                {"path": name, "is_dir": False, "file_size": len(content)} for name, content in files.items()
            ]
            return self._json({"files": listed})
        return self._file(files[path.rpartition("/")[2]] + place.longer)


class _Hub(_Answers):
    """The hub: a repository's state, and its files."""

    def route(self, path: str, _: dict[str, str]) -> None:
        place, parts = self.place, path.strip("/").split("/")
        missing = {"X-Error-Code": "RevisionNotFound"}
        if path.startswith("/api/models/me/cat/revision/"):
            commit = place.points_to.get(parts[-1], parts[-1])
            if commit not in place.versions:
                return self._missing(**missing)
            files = place.versions[commit].items()
            listed = [{"rfilename": f"{place.folder}{name}", "size": len(content)} for name, content in files]
            return self._json({"id": "me/cat", "sha": commit, "siblings": listed})
        if path.startswith("/me/cat/resolve/"):
            commit, name = parts[3], "/".join(parts[4:]).removeprefix(place.folder)
            content = place.versions[commit][name]
            etag = hashlib.sha256(content).hexdigest()
            return self._file(content, ETag=f'"{etag}"', X_Repo_Commit=commit)
        return self._missing(**{"X-Error-Code": "RepoNotFound"})

    def _missing(self, **headers: str) -> None:
        self.send_response(404)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(kind: str) -> Iterator[Place]:
    """Serve an empty place, "models" or "hf", on a free port of this machine."""
    place = Place()
    handler = type("Handler", ({"models": _Registry, "hf": _Hub}[kind],), {"place": place})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    place.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield place
    finally:
        server.shutdown()
        server.server_close()
