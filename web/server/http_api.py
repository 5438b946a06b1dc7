"""The endpoints for programs that want no client library, in plain HTTP.

- /v1/predict: a photo in, its verdict out;
- /v2/…: the Open Inference Protocol (KServe, Triton), see `inference_protocol`;
- /ping and /invocations: SageMaker's contract for containers.

They share the page's decoder, model and limits. What does not need the model runs in the event loop; JSON is
read in a thread, with the photo.
"""

import asyncio
import base64
import secrets
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import NoReturn

import orjson
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cat_model import PhotoError, Verdict
from web import text
from web.server import inference_protocol as v2
from web.server.metrics import Metrics
from web.server.middleware import PIECE, Rate, visitor
from web.server.queue import Full, ModelQueue
from web.server.reload import ReloadingPredictor
from web.settings import ServerSettings
from web.ui import explanation

Answer = Callable[[Request], Awaitable[Response]]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
LENGTH = "Inference-Header-Content-Length"
PATIENCE_S = 30.0
"""Seconds that a request may send nothing before its end."""
RETRY_S = 1
"""Seconds after which who was turned away may ask again."""
JSON = "application/json"
BINARY = "application/octet-stream"
STATUS = {"kind": 415}
"""The status for a photo that cannot be used, by PhotoError.cause; 400 for all others."""


class Refused(Exception):
    """The answer is a sentence that says why there is none."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        """Remember status, sentence and headers, whose names have underscores for hyphens."""
        super().__init__(sentence)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class HttpApi:
    """What programs may ask by plain HTTP."""

    def __init__(
        self,
        predictor: ReloadingPredictor,
        queue: ModelQueue,
        rate: Rate,
        metrics: Metrics,
        settings: ServerSettings,
    ) -> None:
        """Remember who answers, and within which limits.

        Args:
            predictor: answers.
            queue: who waits for it.
            rate: how many photos a visitor without a key may send.
            metrics: counts who is turned away.
            settings: say how big a photo may be, and who may ask.
        """
        self._predictor = predictor
        self._queue = queue
        self._rate = rate
        self._metrics = metrics
        self._settings = settings
        self._key = f"bearer {settings.api_key}".encode() if settings.api_key else None
        login = base64.b64encode((settings.login or "").encode()).decode()
        self._login = f"basic {login}".encode() if settings.login else None

    def routes(self) -> list[Route]:
        """Return the routes."""
        model, version = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
        photos = {"/v1/predict": self._predict, "/invocations": self._invocations}
        photos |= {f"{each}/infer": self._infer for each in (model, version)}
        facts = dict.fromkeys(("/ping", "/v2/health/live", "/v2/health/ready"), self._ready)
        facts |= {f"{each}/ready": self._model_ready for each in (model, version)}
        facts |= {"/v2": self._server, model: self._model, version: self._model}
        return [
            *(_route(path, answer, "POST") for path, answer in photos.items()),
            *(_route(path, answer, "GET") for path, answer in facts.items()),
            Route("/v2/{rest:path}", _not_found),
        ]

    async def _predict(self, request: Request) -> Response:
        explain, thorough = _options(request, ("explain", "thorough"))
        by_key = self._admit(request)
        with self._queue.memory() as take:
            kind = _kind(request)
            whole = await self._body(request, take, form=kind == "multipart/form-data")
            photo = await _file_of(request, whole) if kind == "multipart/form-data" else whole
            self._require_size(photo)
            return await self._run(request, lambda: self._verdict(photo, explain, thorough), by_key)

    async def _invocations(self, request: Request) -> Response:
        kind = _kind(request)
        if kind not in (JSON, BINARY, "") and not kind.startswith("image/"):
            raise Refused(415, text.KINDS.format(kind))
        by_key = self._admit(request)
        with self._queue.memory() as take:
            body = await self._body(request, take, form=kind == JSON)

            def work() -> Response:
                photo = _photo_of(body) if kind == JSON else body
                self._require_size(photo)
                return self._verdict(photo)

            return await self._run(request, work, by_key)

    async def _infer(self, request: Request) -> Response:
        self._require_model(request)
        by_key = self._admit(request)
        length = request.headers.get(LENGTH)
        if length is not None and not (length.isascii() and length.isdigit()):
            raise Refused(400, text.BAD_LENGTH)
        with self._queue.memory() as take:
            body = await self._body(request, take, form=True)

            def work() -> Response:
                asked = v2.read(body, None if length is None else int(length))
                if not by_key and len(asked.photos) > 1:
                    self._rate.ask(visitor(request.scope), len(asked.photos) - 1)
                return self._verdicts(asked)

            return await self._run(request, work, by_key)

    async def _server(self, _: Request) -> Response:
        return JSONResponse(v2.server_metadata(self._predictor.bundle.version))

    async def _model(self, request: Request) -> Response:
        self._require_model(request)
        return JSONResponse(v2.model_metadata(self._predictor.bundle.version))

    async def _model_ready(self, request: Request) -> Response:
        self._require_model(request)
        return JSONResponse({"name": v2.MODEL, "ready": True})

    async def _ready(self, _: Request) -> Response:
        return JSONResponse({"live": True, "ready": True})

    def _require_model(self, request: Request) -> None:
        asked, version = request.path_params, self._predictor.bundle.version
        if asked["name"] != v2.MODEL:
            raise Refused(404, text.NO_MODEL.format(asked["name"], v2.MODEL))
        if asked.get("version", version) != version:
            raise Refused(404, text.NO_VERSION.format(asked["version"], version))

    def _admit(self, request: Request) -> bool:
        """Turn away who may not ask, or not now; return whether this one sent the key, so has no limits."""
        by_key = _sent(request, self._key)
        if not by_key:
            seconds = self._rate.ask(visitor(request.scope))
            if seconds:
                self._metrics.refused("rate")
                raise Refused(429, text.too_fast(seconds), Retry_After=str(int(seconds) + 1))
            if (self._key or self._login) and not _sent(request, self._login):
                scheme, said = ("Bearer", text.KEY_NEEDED) if self._key else ("Basic", text.LOGIN_NEEDED)
                raise Refused(401, said, WWW_Authenticate=scheme)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, text.ENCODED)
        self._require_place()
        return by_key

    def _require_place(self) -> None:
        try:
            self._queue.require_place()
        except Full as error:
            self._turn_away(error)

    def _turn_away(self, error: Full) -> NoReturn:
        self._metrics.refused("busy")
        raise Refused(503, str(error), Retry_After=str(RETRY_S)) from error

    async def _body(self, request: Request, take: Callable[[int], None], *, form: bool) -> bytes:
        """Return the body of a request: a photo, or a form that holds one."""
        most = self._settings.most_bytes if form else self._settings.upload_bytes
        pieces, size, loop = [], 0, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE_S) as patience:
                async for piece in request.stream():
                    patience.reschedule(loop.time() + PATIENCE_S)
                    take(len(piece))
                    pieces.append(piece)
                    size += len(piece)
                    if size > most:
                        self._too_big()
        except TimeoutError:
            raise Refused(408, text.TOO_SLOW, Connection="close") from None
        except Full as error:
            self._turn_away(error)
        return b"".join(pieces)

    def _require_size(self, photo: bytes) -> None:
        if len(photo) > self._settings.upload_bytes:
            self._too_big()

    def _too_big(self) -> NoReturn:
        self._metrics.refused("size")
        raise Refused(413, text.too_big(self._settings.upload_mb))

    async def _run(self, request: Request, work: Callable[[], Response], by_key: bool) -> Response:
        if self._settings.rate and not by_key and self._queue.takes_too_much(request.scope):
            self._metrics.refused("rate")
            raise Refused(429, text.TOO_MANY, Retry_After=str(RETRY_S))
        try:
            return await self._queue.run(work, request)
        except Full as error:
            self._turn_away(error)

    def _verdict(self, photo: bytes, explain: bool = False, thorough: bool = False) -> Response:
        with self._predictor.room:
            if explain:
                explained = self._predictor.explain(photo, budget=0, thorough=thorough)
                answer = explanation.numbers(explained)
            else:
                answer = self._predictor.predict(photo, thorough).as_dict()
        return JSONResponse({**answer, "error": None})

    def _verdicts(self, asked: v2.InferRequest) -> Response:
        predictor = self._predictor.predictor
        verdicts: list[Verdict] = []
        for number, photo in enumerate(asked.photos, 1):
            with self._predictor.room:
                try:
                    verdicts.append(predictor.predict(photo))
                except PhotoError as error:
                    if len(asked.photos) == 1:
                        raise
                    raise PhotoError(text.photo_of_several(number, str(error)), error.cause) from error
        body, json_bytes = v2.write(asked, verdicts, predictor.bundle.version)
        if json_bytes is None:
            return Response(body, media_type=JSON)
        return Response(body, headers={LENGTH: str(json_bytes)}, media_type=BINARY)


class _InMemory(MultiPartParser):
    """Keeps files in memory, where the form was already: no photo is written to the disk."""

    spool_max_size = sys.maxsize


def _route(path: str, answer: Answer, method: str) -> Route:
    """Return a route that answers in JSON, whatever is wrong with a request."""

    async def endpoint(request: Request) -> Response:
        try:
            if request.method not in (method, "HEAD"):
                raise Refused(405, text.ONLY_POST if method == "POST" else text.ONLY_GET, Allow=method)
            return await answer(request)
        except Refused as refused:
            return JSONResponse({"error": str(refused)}, refused.status, refused.headers)
        except PhotoError as error:
            return JSONResponse({"error": str(error)}, STATUS.get(error.cause, 400))
        except v2.ProtocolError as error:
            return JSONResponse({"error": str(error)}, 400)

    return Route(path, endpoint, methods=METHODS)


async def _not_found(_: Request) -> Response:
    return JSONResponse({"error": text.NO_ADDRESS}, 404)


def _sent(request: Request, wanted: bytes | None) -> bool:
    """Say whether a request was sent with this Authorization; takes as long for every wrong one."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    return wanted is not None and secrets.compare_digest(f"{scheme.lower()} {rest.strip()}".encode(), wanted)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _options(request: Request, names: Iterable[str]) -> tuple[bool, ...]:
    """Return the options in an address, by their names: "true" or "false", which is the default."""
    given = request.query_params
    for name, value in given.items():
        if name not in names:
            raise Refused(400, text.no_option(name, names))
        if value not in ("true", "false"):
            raise Refused(400, text.yes_or_no(name))
    return tuple(given.get(name) == "true" for name in names)


async def _file_of(request: Request, form: bytes) -> bytes:
    """Return the first file of a multipart form."""

    async def pieces() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(form), PIECE):
            yield form[start : start + PIECE]

    try:
        parsed = await _InMemory(request.headers, pieces(), max_files=1).parse()
    except MultiPartException as error:
        raise Refused(400, text.BROKEN_FORM.format(error.message)) from None
    file = next((each for _, each in parsed.multi_items() if isinstance(each, UploadFile)), None)
    if file is None:
        raise Refused(400, text.NO_FILE)
    return await file.read()


def _photo_of(body: bytes) -> bytes:
    """Return the photo in a JSON object, under the name "image" in base64."""
    try:
        return base64.b64decode(orjson.loads(body)["image"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise Refused(400, text.JSON_PHOTO) from None
