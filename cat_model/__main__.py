"""The same answer in a terminal: `python -m cat_model PHOTO… [--json]`; files, folders or globs.

`python -m cat_model --explain OUT.png [--budget N] PHOTO` also draws what spoke for a cat in one photo.

Exit code 0 when every photo was answered, 2 when one could not be read (the others still are).
"""

import argparse
import glob
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from cat_model import BundleError, PhotoError, Predictor, Verdict, load
from cat_model.explain import LEAST_BUDGET
from cat_model.explain_look import captioned
from cat_model.files import write_durably
from cat_model.photo import SUFFIXES
from cat_model.predict import EXPLAIN_BUDGET
from cat_model.settings import Settings, SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m cat_model", description="Does a photo show a cat?")
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="a photo, a folder of photos, or a glob")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument(
        "--explain", metavar="OUT.png", type=Path, help="draw the reasons for one photo there"
    )
    parser.add_argument(
        "--budget",
        type=int,
        default=EXPLAIN_BUDGET,
        help=f"evaluations of the model for --explain, {LEAST_BUDGET} or more; 0: its own shares, at once",
    )
    options = parser.parse_args(arguments)
    if options.budget and options.budget < LEAST_BUDGET:
        parser.error(f"--budget is {options.budget}; it must be 0, or {LEAST_BUDGET} or more.")
    try:
        settings = Settings.from_env()
        workers = settings.workers if options.explain else 1
        predictor = load(settings.bundle, workers, public_key=settings.bundle_public_key)
    except (BundleError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.explain:
        paths = [path for pattern in options.photos for path in _expand(pattern)]
        if len(paths) != 1:
            parser.error(f"--explain draws one photo; these are {len(paths)}.")
        return _explain(predictor, paths[0], options)
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


def _explain(predictor: Predictor, path: Path, options: argparse.Namespace) -> int:
    try:
        explanation = predictor.explain(path, options.budget)
    except PhotoError as error:
        return _refused(path, error, options.json)
    drawn = io.BytesIO()
    captioned(explanation.overlay, explanation.sentence).save(drawn, "PNG")
    try:
        write_durably(options.explain, drawn.getvalue(), mode=0o644)
    except OSError as error:
        print(f"{options.explain} cannot be written: {error.strerror or error}.", file=sys.stderr)
        return 2
    also = {"sentence": explanation.sentence, "picture": str(options.explain)}
    _say(path, explanation.verdict, options.json, also)
    if not options.json:
        print(f"{explanation.sentence} Drawn in {options.explain}.")
    return 0


def _answer(predictor: Predictor, path: Path, as_json: bool) -> int:
    try:
        verdict = predictor.predict(path)
    except PhotoError as error:
        return _refused(path, error, as_json)
    _say(path, verdict, as_json, {})
    return 0


def _say(path: Path, verdict: Verdict, as_json: bool, also: dict[str, str]) -> None:
    if as_json:
        print(json.dumps({"photo": str(path), **asdict(verdict), **also}))
    else:
        print(f"{path}: {verdict.label} ({verdict.probability:.1%} cat)")


def _refused(path: Path, error: PhotoError, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"photo": str(path), "error": str(error)}))
    print(f"{path}: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # a file may have a name that the terminal cannot show
        stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
