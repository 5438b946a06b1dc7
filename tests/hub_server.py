"""A Hugging Face Hub of one's own: the endpoints that huggingface_hub calls for a push and a download.

    with served() as hub:
        HfApi(hub.url, token=TOKEN)

It keeps repositories with commits, tags, variables and secrets in memory, hashes as the Hub does, checks what
it is sent, and fails where `fail` says so. Large files go by LFS: it knows no Xet (HF_HUB_DISABLE_XET).
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import unquote, urlsplit

import yaml

TOKEN, READER = "hf_writes", "hf_reads"
USER, ORGANISATION = "me", "club"
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
RESULT = {"task": {"type"}, "dataset": {"type", "name"}}
"""What the Hub asks of each entry of a card's model-index."""
LARGE = 10_000_000
CUT = 0
"""In place of a status: the connection ends without an answer."""


@dataclass(frozen=True)
class File:
    """A file of a commit; a large one is stored apart from Git."""

    data: bytes
    large: bool

    @property
    def oid(self) -> str:
        """The name that Git gives it."""
        data = self.data
        if self.large:
            digest, version = hashlib.sha256(data).hexdigest(), "https://git-lfs.github.com/spec/v1"
            data = f"version {version}\noid sha256:{digest}\nsize {len(data)}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def listed(self, path: str) -> dict:
        """What a listing says of it."""
        said = {"type": "file", "path": path, "size": len(self.data), "oid": self.oid}
        if self.large:
            oid = hashlib.sha256(self.data).hexdigest()
            said["lfs"] = {"oid": oid, "size": len(self.data), "pointerSize": 134}
        return said


@dataclass
class Repository:
    """A repository: each commit is all of its files."""

    kind: str
    created: dict
    commits: list[tuple[str, dict[str, File]]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, File], message: str) -> str:
        """Add a commit; return its id."""
        oid = hashlib.sha1(f"{len(self.commits)} {message} {sorted(files)}".encode()).hexdigest()
        self.commits.append((oid, dict(files)))
        self.messages.append(message)
        return oid

    @property
    def head(self) -> str:
        """Id of the newest commit."""
        return self.commits[-1][0]

    @property
    def files(self) -> dict[str, bytes]:
        """What the newest commit holds."""
        return {path: file.data for path, file in self.commits[-1][1].items()}

    def at(self, revision: str) -> tuple[str, dict[str, File]] | None:
        """Return a commit by branch, tag or id."""
        wanted = self.head if revision == "main" else self.tags.get(revision, revision)
        return next((each for each in self.commits if each[0] == wanted), None)


@dataclass
class Fault:
    """An answer in place of the right one, some times."""

    method: str
    path: re.Pattern[str]
    status: int
    headers: dict[str, str]
    message: str
    times: int


class Hub:
    """What the Hub knows."""

    def __init__(self) -> None:
        self.url = ""
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        self.before_commit = lambda: None

    def fail(
        self, method: str, path: str, status: int, message: str = "", times: int = 1_000, **headers: str
    ) -> None:
        """Answer requests whose path contains a pattern with a status, or with nothing (CUT)."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(Fault(method, re.compile(path), status, named, message, times))

    def writes(self) -> list[tuple[str, str]]:
        """The requests so far that write, in their order."""
        harmless = re.compile("^(GET|HEAD) |/preupload/|/api/validate-yaml")
        return [each for each in self.asked if not harmless.search(" ".join(each))]

    def create(self, kind: str, name: str, created: dict | None = None) -> Repository:
        """Make a repository with what the Hub puts into it."""
        files = {".gitattributes": File(b"*.bin filter=lfs diff=lfs merge=lfs -text\n", False)}
        if kind == "space":
            files["README.md"] = File(b"---\ntitle: New\n---\n", False)
        repository = self.repositories[kind, name] = Repository(kind, created or {})
        repository.commit(files, "initial commit")
        return repository


@contextmanager
def served() -> Iterator[Hub]:
    """Serve a Hub on a port of its own."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def faulty_yaml(content: str, kind: str) -> list[str]:
    """What is wrong with the YAML head of a README, by the rules that the Hub documents."""
    found = re.match(r"---\r?\n(.*?)\r?\n---(\r?\n|\Z)", content, re.DOTALL)
    try:
        head = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError as error:
        return [f"bad YAML: {error}"]
    if not isinstance(head, dict):
        return ["there is no metadata"]
    wrong = []
    if kind == "space":
        wrong += [f"no {key}" for key in ("title", "sdk") if not head.get(key)]
        wrong += [f"{key} is no colour" for key in ("colorFrom", "colorTo") if head.get(key) not in COLOURS]
        wrong += ["sdk is unknown"] if head.get("sdk") not in ("gradio", "static", "docker") else []
        wrong += ["short_description is too long"] if len(head.get("short_description", "")) > 60 else []
        wrong += ["sdk_version is no version"] if not isinstance(head.get("sdk_version", ""), str) else []
    for model in head.get("model-index", []):
        wrong += [] if model.get("name") else ["model-index has no name"]
        for result in model.get("results", []):
            missing = {f"{part}.{key}" for part, keys in RESULT.items() for key in keys - set(result[part])}
            wrong += [f"model-index lacks {each}" for each in sorted(missing)]
            wrong += [] if result["metrics"] else ["a result has no metrics"]
            for metric in result["metrics"]:
                wrong += [] if isinstance(metric.get("value"), int | float) else ["a metric has no value"]
    return wrong


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._respond()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _respond(self) -> None:
        url = urlsplit(self.path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or self._chunks()
        self.hub.asked.append((self.command, url.path))
        for fault in self.hub.faults:
            if fault.times and fault.method == self.command and fault.path.search(url.path):
                fault.times -= 1
                if fault.status == CUT:
                    self.close_connection = True
                    return
                self._answer(fault.status, {"error": fault.message}, **fault.headers)
                return
        for method, pattern, act in ROUTES:
            found = re.fullmatch(pattern, url.path)
            if found and self.command in method.split():
                named = {key: unquote(value) for key, value in found.groupdict(default="").items()}
                act(self, **named)
                return
        self._answer(404, {"error": f"no such endpoint: {self.command} {url.path}"})

    def _chunks(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return b""
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, said: object, **headers: str) -> None:
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):
                self.wfile.write(data)

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _repository(self, kind: str, name: str, writes: bool = False) -> Repository | None:
        """Return a repository; answer why there is none, and return None."""
        if writes and self._token() != TOKEN:
            self._answer(403, {"error": "You need the right to write."})
        elif repository := self.hub.repositories.get((kind.strip("/").rstrip("s") or "model", name)):
            return repository
        else:
            self._answer(404, {"error": "Repository not found"}, **{"X-Error-Code": "RepoNotFound"})
        return None

    def _commit_at(self, kind: str, name: str, revision: str) -> tuple[str, dict[str, File]] | None:
        if repository := self._repository(kind, name):
            if found := repository.at(revision):
                return found
            self._answer(404, {"error": "Invalid rev id"}, **{"X-Error-Code": "RevisionNotFound"})
        return None

    def whoami(self) -> None:
        if self._token() not in (TOKEN, READER):
            self._answer(401, {"error": "Invalid credentials in Authorization header"})
            return
        role = "write" if self._token() == TOKEN else "read"
        said = {"type": "user", "name": USER, "orgs": [{"name": ORGANISATION, "roleInOrg": "write"}]}
        self._answer(200, said | {"auth": {"type": "access_token", "accessToken": {"role": role}}})

    def create(self) -> None:
        asked = json.loads(self.body)
        kind, name = asked.get("type", "model"), f"{asked['organization']}/{asked['name']}"
        if (kind, name) in self.hub.repositories:
            self._answer(409, {"error": f"You already created this {kind} repo"})
            return
        self.hub.create(kind, name, asked)
        self._answer(200, {"url": f"{self.hub.url}/{'spaces/' if kind == 'space' else ''}{name}"})

    def info(self, kind: str, name: str, revision: str) -> None:
        if found := self._commit_at(kind, name, revision or "main"):
            siblings = [{"rfilename": path} for path in found[1]]
            self._answer(200, {"id": name, "sha": found[0], "siblings": siblings})

    def tree(self, kind: str, name: str, revision: str) -> None:
        if found := self._commit_at(kind, name, revision):
            self._answer(200, [file.listed(path) for path, file in found[1].items()])

    def refs(self, kind: str, name: str) -> None:
        if repository := self._repository(kind, name):
            tags = [
                {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid}
                for tag, oid in repository.tags.items()
            ]
            main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.head}
            self._answer(200, {"branches": [main], "converts": [], "tags": tags})

    def validate(self) -> None:
        asked = json.loads(self.body)
        wrong = faulty_yaml(asked["content"], asked["repoType"])
        errors = [{"message": each} for each in wrong]
        self._answer(400 if wrong else 200, {"errors": errors, "warnings": []})

    def preupload(self, kind: str, name: str, revision: str) -> None:
        found = self._repository(kind, name, writes=True) and self._commit_at(kind, name, revision)
        if not found:
            return
        said = []
        for each in json.loads(self.body)["files"]:
            there = found[1].get(each["path"])
            said.append(
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if self._is_large(each) else "regular",
                    "shouldIgnore": False,
                    "oid": there.oid if there else None,
                }
            )
        self._answer(200, {"files": said})

    def _is_large(self, each: dict) -> bool:
        try:
            base64.b64decode(each["sample"]).decode("utf-8")
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":  # the sample ends within a letter
                return True
        return each["size"] > LARGE

    def batch(self, kind: str, name: str) -> None:
        if self._repository(kind, name, writes=True):
            said = []
            for each in json.loads(self.body)["objects"]:
                upload = {"upload": {"href": f"{self.hub.url}/lfs/{each['oid']}"}}
                actions = {} if each["oid"] in self.hub.large else {"actions": upload}
                said.append({"oid": each["oid"], "size": each["size"], **actions})
            self._answer(200, {"transfer": "basic", "objects": said})

    def put_large(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            self._answer(400, {"error": "The content has another hash."})
            return
        self.hub.large[oid] = self.body
        self._answer(200, {})

    def commit(self, kind: str, name: str, **_: str) -> None:
        self.hub.before_commit()
        repository = self._repository(kind, name, writes=True)
        if not repository:
            return
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = next(each["value"] for each in lines if each["key"] == "header")
        if header.get("parentCommit", repository.head) != repository.head:
            self._answer(412, {"error": "The expected parent commit is not the newest one."})
            return
        files = dict(repository.commits[-1][1])
        for each in lines:
            value = each["value"]
            if each["key"] == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]), False)
            elif each["key"] == "lfsFile":
                if value["oid"] not in self.hub.large:
                    self._answer(400, {"error": f"{value['path']} was not uploaded."})
                    return
                files[value["path"]] = File(self.hub.large[value["oid"]], True)
            elif each["key"] == "deletedFile":
                del files[value["path"]]
        oid = repository.commit(files, header["summary"])
        where = f"{self.hub.url}/{'spaces/' if repository.kind == 'space' else ''}{name}"
        self._answer(200, {"success": True, "commitOid": oid, "commitUrl": f"{where}/commit/{oid}"})

    def tag(self, kind: str, name: str, revision: str) -> None:
        repository = self._repository(kind, name, writes=True)
        if not repository:
            return
        if self.command == "DELETE":
            del repository.tags[revision]
            self._answer(200, {})
            return
        tag, found = json.loads(self.body)["tag"], repository.at(revision)
        if tag in repository.tags or not found:
            self._answer(409 if found else 404, {"error": f"Tag {tag} exists, or there is no {revision}."})
            return
        repository.tags[tag] = found[0]
        self._answer(200, {})

    def settings(self, name: str, which: str) -> None:
        repository = self._repository("spaces", name, writes=True)
        if not repository:
            return
        kept = getattr(repository, which)
        if self.command == "POST":
            asked = json.loads(self.body)
            kept[asked["key"]] = asked["value"]
        elif self.command == "DELETE":
            del kept[json.loads(self.body)["key"]]
        hidden = which == "secrets"
        self._answer(200, {key: {} if hidden else {"value": value} for key, value in kept.items()})

    def resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        found = self._commit_at(kind, name, revision)
        if not found:
            return
        if path not in found[1]:
            self._answer(404, {"error": "Entry not found"}, **{"X-Error-Code": "EntryNotFound"})
            return
        file = found[1][path]
        etag = hashlib.sha256(file.data).hexdigest() if file.large else file.oid
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": found[0], "Accept-Ranges": "bytes"}
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        part = file.data[int(start[1]) :] if start else file.data
        if start:
            headers["Content-Range"] = f"bytes {start[1]}-{len(file.data) - 1}/{len(file.data)}"
        self._answer(206 if start else 200, part, **headers)


_NAME = r"(?P<name>[^/]+/[^/]+?)"
_API = rf"/api/(?P<kind>models|spaces)/{_NAME}"
_FILES = rf"/(?P<kind>spaces/)?{_NAME}"
_REVISION = r"(?P<revision>[^/]+)"
ROUTES = [
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("GET", rf"{_API}(/revision/{_REVISION})?", _Handler.info),
    ("GET", rf"{_API}/tree/{_REVISION}", _Handler.tree),
    ("GET", rf"{_API}/refs", _Handler.refs),
    ("POST", rf"{_API}/preupload/{_REVISION}", _Handler.preupload),
    ("POST", rf"{_API}/commit/{_REVISION}", _Handler.commit),
    ("POST DELETE", rf"{_API}/tag/{_REVISION}", _Handler.tag),
    ("GET POST DELETE", rf"/api/spaces/{_NAME}/(?P<which>variables|secrets)", _Handler.settings),
    ("POST", rf"{_FILES}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/lfs/(?P<oid>\w+)", _Handler.put_large),
    ("GET HEAD", rf"{_FILES}/resolve/{_REVISION}/(?P<path>.+)", _Handler.resolve),
]
