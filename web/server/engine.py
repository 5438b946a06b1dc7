"""What the engine in visitors' browsers asks for: its own files, and the bundle that answers now."""

import hashlib
from collections.abc import Callable
from threading import Lock

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from cat_model import Bundle
from cat_model.bundle import MANIFEST
from web.engine import Engine, packed
from web.gradio_compat import signed_in

FOR_GOOD = "max-age=31536000, immutable"
"""For an address whose content never changes."""
CHECKED = "no-cache"
"""For what a browser may keep, and asks about before each use."""


class PackedBundle:
    """The bundle that answers now as browsers load it; made when it is first asked for."""

    def __init__(self, bundle: Callable[[], Bundle]) -> None:
        """Remember what gives the bundle."""
        self._bundle = bundle
        self._of: Bundle | None = None
        self._files: dict[str, bytes] = {}
        self._lock = Lock()

    def files(self) -> dict[str, bytes]:
        """Return the files by their names."""
        bundle = self._bundle()
        with self._lock:
            if self._of is not bundle:
                self._files, self._of = packed(bundle), bundle
            return self._files


def routes(engine: Engine | None, bundle: Callable[[], Bundle], login: bool) -> list[Route]:
    """Return the routes of an engine; none where none was built.

    Args:
        engine: what was built.
        bundle: gives the bundle that answers now.
        login: whether only who has signed in may have them.
    """
    if engine is None:
        return []
    now = PackedBundle(bundle)
    for_good = f"private, {FOR_GOOD}" if login else FOR_GOOD
    names = {path.name for path in engine.folder.iterdir()}

    def engine_file(request: Request) -> Response:
        version, name = request.path_params["version"], request.path_params["name"]
        if not signed_in(request):
            return PlainTextResponse("Not signed in", 401)
        if version != engine.version or name not in names:
            return PlainTextResponse("Not found", 404)
        kind = "text/javascript" if name.endswith(".js") else "application/octet-stream"
        return FileResponse(engine.folder / name, media_type=kind, headers={"Cache-Control": for_good})

    def bundle_file(request: Request) -> Response:
        if not signed_in(request):
            return PlainTextResponse("Not signed in", 401)
        name = request.path_params["name"]
        content = now.files().get(name)
        if content is None:
            return PlainTextResponse("Not found", 404)
        if name != MANIFEST:
            return Response(content, headers={"Cache-Control": for_good})
        headers = {"Cache-Control": CHECKED, "ETag": f'"{hashlib.sha256(content).hexdigest()[:16]}"'}
        if request.headers.get("If-None-Match", "").removeprefix("W/") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type="application/json", headers=headers)

    return [
        Route("/engine/{version}/{name}", engine_file),
        Route("/bundle/{name}", bundle_file),
    ]
