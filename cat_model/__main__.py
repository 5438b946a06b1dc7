"""The same answer in a terminal: `python -m cat_model PHOTO… [--json]`; files, folders or globs.

Exit code 0 when every photo was answered, 2 when one could not be read (the others still are).
"""

import argparse
import glob
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from cat_model import BundleError, PhotoError, Predictor, load
from cat_model.photo import SUFFIXES
from cat_model.settings import Settings, SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m cat_model", description="Does a photo show a cat?")
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="a photo, a folder of photos, or a glob")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    options = parser.parse_args(arguments)
    try:
        predictor = load(Settings.from_env().bundle)
    except (BundleError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 2
    code = 0
    for pattern in options.photos:
        paths = list(dict.fromkeys(_expand(pattern)))  # `**` names a folder, and then what it holds once more
        if not paths:
            print(f"{pattern}: no photo found here.", file=sys.stderr)
            code = 2
        for path in paths:
            code = max(code, _answer(predictor, path, options.json))
    return code


def _expand(pattern: str) -> Iterator[Path]:
    """Yield the photos that a file name, a folder (searched to the bottom) or a glob stands for, sorted."""
    names = glob.glob(glob.escape(pattern)) or sorted(glob.glob(pattern, recursive=True))
    for name in names or ([] if glob.has_magic(pattern) else [pattern]):
        path = Path(name)
        if name in names and path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        else:
            yield path


def _answer(predictor: Predictor, path: Path, as_json: bool) -> int:
    try:
        verdict = predictor.predict(path)
    except PhotoError as error:
        if as_json:
            print(json.dumps({"photo": str(path), "error": str(error)}))
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    if as_json:
        print(json.dumps({"photo": str(path), **asdict(verdict)}))
    else:
        print(f"{path}: {verdict.label} ({verdict.probability:.1%} cat)")
    return 0


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # a file may have a name that the terminal cannot show
        stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
