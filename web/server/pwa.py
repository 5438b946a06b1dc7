"""What makes the page installable: a manifest, icons, and a service worker.

The worker keeps nothing: without a network it answers with a page of its own, which says so.
"""

import json
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from web import text
from web.icon import SIDES, icon, web_manifest

MANIFEST, WORKER = "manifest.json", "offline.js"
ICONS = {f"icon-{side}.png": side for side in SIDES}
NAMES = {MANIFEST, WORKER, *ICONS}
"""First names of the paths of what is served here; the manifest takes the place of Gradio's own."""
HEAD = f'<link rel="apple-touch-icon" href="icon-{SIDES[0]}.png">'
"""What the head of the page says of it besides."""
DAY_S = 24 * 3600
SCRIPT = Path(__file__).parents[1] / "static" / WORKER
PLACEHOLDER = '"put in by web.server.pwa"'


def routes() -> list[Route]:
    """Return the routes."""
    return [
        Route(f"/{MANIFEST}", _manifest),
        Route(f"/{WORKER}", _worker),
        *(Route(f"/{name}", _icon) for name in ICONS),
    ]


def _manifest(_: Request) -> JSONResponse:
    return JSONResponse(web_manifest(text.TITLE), media_type="application/manifest+json")


def _worker(_: Request) -> Response:
    script = SCRIPT.read_text("utf-8").replace(PLACEHOLDER, json.dumps(text.OFFLINE_PAGE))
    return Response(script, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


def _icon(request: Request) -> Response:
    side = ICONS[request.url.path.rpartition("/")[2]]
    return Response(_drawn(side), media_type="image/png", headers={"Cache-Control": f"max-age={DAY_S}"})


@cache
def _drawn(side: int) -> bytes:
    return icon(side)
