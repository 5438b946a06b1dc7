"""Writes the app as a folder of static files: `python -m deploy.static OUT [--bundle FOLDER]`.

Any static host can serve the folder, under any path: one photo, several photos, the camera and what is known
of the model, all in the visitor's browser. After the first visit it works without a network. Needs the engine
that `python -m web.build` makes. A folder that this wrote before is replaced; one that holds anything else is
refused.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cat_model.bundle import Bundle, BundleError
from cat_model.settings import SHIPPED_BUNDLE
from deploy.mark import MARK, listed, marked
from web.build import BUILT, ENGINE
from web.build import PAGE as MODULES
from web.engine import packed
from web.icon import SIDES, icon, web_manifest

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).parent / "site"
SERVICE_WORKER = "service-worker.js"
WEB_MANIFEST = "site.webmanifest"
EXAMPLES = ("astronaut.jpg", "chelsea.jpg", "coffee.jpg")
FIRST = (
    "index.html",
    "site.css",
    "site.js",
    ENGINE,
    *MODULES,
    WEB_MANIFEST,
    "icon-192.png",
)
"""What the first visit keeps at once."""
LAST = (*(f"examples/{name}" for name in EXAMPLES), "icon-512.png", "CREDITS.md", "LICENSE.txt")
"""What it keeps when the model is there. The model and LiteRT are kept when they are loaded, for one of two
builds of LiteRT is never needed."""


class StaticError(Exception):
    """The site cannot be written; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the site; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.static", description="Write the app as static files for any host."
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write")
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="the model (the shipped one)")
    given = parser.parse_args(arguments)
    try:
        files = site(given.bundle)
        write(given.out, files)
    except (StaticError, BundleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(files)} files, {sum(map(len, files.values())):,} bytes, in {given.out}")
    return 0


def site(bundle: Path = SHIPPED_BUNDLE, built: Path = BUILT) -> dict[str, bytes]:
    """Return the files of the site by their paths.

    Args:
        bundle: folder of the model.
        built: folder of the engine.

    Raises:
        StaticError: the engine is not built.
        BundleError: the bundle cannot be used.
    """
    if not (built / ENGINE).exists():
        raise StaticError(f"There is no engine in {built}: run `python -m web.build` first.")
    files = {path.name: path.read_bytes() for path in (*PAGE.iterdir(), *built.iterdir())}
    files |= packed(Bundle.read(bundle))
    files |= {f"examples/{name}": (ROOT / "examples" / name).read_bytes() for name in EXAMPLES}
    files |= {f"icon-{side}.png": icon(side) for side in SIDES}
    files["CREDITS.md"] = (ROOT / "examples" / "CREDITS.md").read_bytes()
    files["LICENSE.txt"] = (ROOT / "LICENSE").read_bytes()
    files[WEB_MANIFEST] = _web_manifest()
    files[SERVICE_WORKER] = _service_worker(files)
    return files


def write(out: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, in place of an earlier site.

    Raises:
        StaticError: the folder holds something else.
        OSError: it cannot be written; an earlier site is untouched.
    """
    if other := _of_others(out):
        raise StaticError(
            f"{out} holds something else, {other} among it, and is left as it is. Choose another folder."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as work:
        made = Path(work) / "made"
        for name, content in marked(files).items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if out.exists():
            out.rename(Path(work) / "old")
        made.rename(out)


def _of_others(out: Path) -> str | None:
    """Return the name of something that is in the way of a folder, or in it, and was not written here."""
    if not out.is_dir():
        return out.name if out.exists() or out.is_symlink() else None
    mark = out / MARK
    if not mark.is_file():
        return next((path.name for path in out.iterdir()), None)
    ours = listed(mark.read_bytes())
    there = (path for path in out.rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(out).as_posix() for path in there)
    return next((name for name in names if name not in ours), None)


def _web_manifest() -> bytes:
    described = web_manifest("Are you a cat?")
    described["description"] = "Shows whether a photo shows a cat. Photos stay on your device."
    return json.dumps(described, indent=1).encode()


def _service_worker(files: Mapping[str, bytes]) -> bytes:
    """Return the service worker, with the site's files and their hashes put in."""
    hashes = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in sorted(files.items())}
    del hashes[SERVICE_WORKER]  # the browser keeps that one by itself
    text = files[SERVICE_WORKER].decode("utf-8")
    for placeholder, value in {
        """'{"put in by":"deploy.static"}'""": hashes,
        """'["first, put in by deploy.static"]'""": FIRST,
        """'["last, put in by deploy.static"]'""": LAST,
    }.items():
        if text.count(placeholder) != 1:
            raise StaticError(f"{SERVICE_WORKER} has no place for its files.")
        text = text.replace(placeholder, f"'{json.dumps(value)}'")
    return text.encode()


if __name__ == "__main__":
    sys.exit(main())
