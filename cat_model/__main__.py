"""The same answer in a terminal: `python -m cat_model PHOTO…`; files, folders, globs or `-`.

`python -m cat_model --explain OUT.png [--budget N] PHOTO` also draws what spoke for a cat in one photo;
`python -m cat_model serve` starts the page. The command `are-you-a-cat` of an installation is the same.

Exit code 0 when every photo was answered; 2 when one could not be (the others still are); 130 after Ctrl-C;
141 when nobody reads the answers any more.
"""

import argparse
import csv
import importlib
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from PIL import Image, PngImagePlugin

from cat_model import (
    BundleError,
    Explanation,
    PhotoError,
    Predictor,
    Verdict,
    __version__,
    extras,
    folders,
    load,
)
from cat_model.atomic import write_durably
from cat_model.explain.api import LEAST_BUDGET
from cat_model.explain.render import captioned
from cat_model.extras import MissingExtraError
from cat_model.predictor import EXPLAIN_BUDGET
from cat_model.settings import Settings, SettingsError

SERVE, PAGE = "serve", "web.__main__"
"""The word that starts the page, and the module that does: cat_model imports nothing else of that package."""
PAGE_NEEDS = ("web", "gradio", "prometheus_client")
STDIN = "-"
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
MADE_BY = ("Software", "are-you-a-cat")
"""Key and text in the PNG of an explanation: only pictures that have it are written over."""
COLUMNS = ("photo", "label", "probability", "is_cat", "unsure", "frame", "model_version", "error")
EXPLAINED = ("sentence", "picture")
BAR_FROM = 20
"""Fewer photos need no progress bar."""
INTERRUPTED, NOBODY_READS = 130, 141
"""Exit codes, by the convention of shells: 128 and the number of the signal."""


class UnwritableError(Exception):
    """An explanation cannot be written; the message says where and why."""


@dataclass(frozen=True)
class Entry:
    """One photo to be answered.

    Attributes:
        name: what it is called in the answer: as it was typed, or where it was found.
        problem: why it is not even looked at; None where it is.
    """

    name: str
    problem: str | None = None


def command() -> int:
    """Run the command line of this process and end quietly; return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file may have a name that the terminal cannot show
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        return main()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)  # Python flushes both once more when it ends
        for number in (1, 2):
            os.dup2(nowhere, number)
        return NOBODY_READS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, the one of this process unless given; return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == [SERVE]:
        return _serve(arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.budget and options.budget < LEAST_BUDGET:
        parser.error(f"--budget is {options.budget}; it must be 0, or {LEAST_BUDGET} or more.")
    entries = [entry for name in options.photos for entry in _found(name)]
    if options.explain:
        photos = [entry for entry in entries if not entry.problem]
        if len(photos) > 1:
            parser.error(f"--explain draws one photo; these are {len(photos)}.")
        if problem := _not_to_be_replaced(options.explain, photos, options.force):
            print(problem, file=sys.stderr)
            return 2
    try:
        settings = Settings.from_env()
        _bring(settings)
        workers = settings.workers if options.explain else 1
        predictor = load(settings.bundle, workers, public_key=settings.bundle_public_key)
        return _answer_all(predictor, entries, options)
    except (BundleError, SettingsError, MissingExtraError, UnwritableError) as error:
        print(error, file=sys.stderr)
        return 2


def _bring(settings: Settings) -> None:
    """Get the model from its origin, if it has one; a copy from before will do where that does not answer.

    Raises:
        BundleError: it gives none, and there is no copy.
        SettingsError: a package is missing.
    """
    if settings.origin is None:
        return
    from cat_model.origin.follow import follower

    if follows := follower(settings):
        follows.bring()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="are-you-a-cat",
        description="Does a photo show a cat?",
        epilog=f"`{SERVE}` instead of a photo starts the page. `./{SERVE}` is a photo of that name.",
    )
    parser.add_argument(
        "photos",
        nargs="+",
        metavar="PHOTO",
        help="a photo, a folder, a glob, or - for standard input",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object a line")
    form.add_argument("--csv", action="store_true", help="print a table with a header")
    parser.add_argument(
        "--thorough", action="store_true", help="search every part for tiny cats, if the model can; slower"
    )
    parser.add_argument(
        "--explain", metavar="OUT.png", type=Path, help="draw the reasons for one photo there"
    )
    parser.add_argument(
        "--budget",
        type=int,
        default=EXPLAIN_BUDGET,
        help=f"evaluations of the model for --explain, {LEAST_BUDGET} or more; 0: its own shares, at once",
    )
    parser.add_argument(
        "--force", action="store_true", help="let --explain replace a file that this program did not write"
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _serve(arguments: Sequence[str]) -> int:
    """Start the page; return its exit code."""
    argparse.ArgumentParser(
        prog=f"are-you-a-cat {SERVE}",
        description="Start the page. Its settings are environment variables: see docs/configuration.md.",
    ).parse_args(arguments)
    try:
        for package in PAGE_NEEDS:
            extras.require(package, "web", "The page")
    except MissingExtraError as error:
        print(error, file=sys.stderr)
        return 1
    return importlib.import_module(PAGE).main()


def _found(name: str) -> Iterator[Entry]:
    """Yield the photos that a word of the command line stands for, and what is wrong with it."""
    if name == STDIN:
        yield Entry(name)
    elif ADDRESS.match(name):
        yield Entry(name, "This is an address, not a file; please download the photo first.")
    elif not name:
        yield Entry("''", "This is no name of a file.")
    else:
        unlisted: list[OSError] = []
        nothing = True
        for path in folders.photos(name, unlisted.append):
            nothing = False
            yield Entry(str(path))
        for error in unlisted:
            yield Entry(str(error.filename), f"This folder cannot be read: {error.strerror}.")
        if nothing and not unlisted:
            yield Entry(name, "no photo found here.")


def _not_to_be_replaced(out: Path, photos: Iterable[Entry], force: bool) -> str | None:
    """Return why an explanation must not be drawn in a place; None where it may."""
    if not os.path.lexists(out) or out.is_dir():  # of a folder the writing tells
        return None
    if any(Path(photo.name).exists() and out.exists() and out.samefile(photo.name) for photo in photos):
        return f"{out} is the photo itself; please give another name to --explain."
    if out.exists() and not out.is_file():
        return f"{out} is not a file; please give another name to --explain."
    if force or _made_here(out):
        return None
    return f"{out} is there already and is no picture of this program; another name or --force, please."


def _made_here(path: Path) -> bool:
    """Return whether a file is an explanation that this program drew; only its header is read."""
    key, text = MADE_BY
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return picture.info.get(key) == text
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is none
        return False


def _answer_all(predictor: Predictor, entries: Sequence[Entry], options: argparse.Namespace) -> int:
    """Answer all photos, line by line; return the exit code."""
    if options.thorough and predictor.cascade.search is None:
        print("This model has no thorough search; it answers as always.", file=sys.stderr)
    printer = Printer("json" if options.json else "csv" if options.csv else "text", options.explain)
    code = 0
    for entry in printer.shown(entries):
        try:
            printer.say(entry.name, *_answer(predictor, entry, options))
        except PhotoError as error:
            printer.refuse(entry.name, str(error))
            code = 2
    return code


def _answer(
    predictor: Predictor, entry: Entry, options: argparse.Namespace
) -> tuple[Verdict, Explanation | None]:
    """Return the verdict on a photo, and the explanation if one was asked for, which is drawn.

    Raises:
        PhotoError: the photo cannot be used.
        UnwritableError: the explanation cannot be written.
    """
    if entry.problem:
        raise PhotoError(entry.problem)
    photo = _standard_input(predictor.limits.file_bytes) if entry.name == STDIN else entry.name
    if not options.explain:
        return predictor.predict(photo, options.thorough), None
    explanation = predictor.explain(photo, options.budget, thorough=options.thorough)
    mark, drawn = PngImagePlugin.PngInfo(), io.BytesIO()
    mark.add_text(*MADE_BY)
    captioned(explanation.overlay, explanation.sentence).save(drawn, "PNG", pnginfo=mark)
    try:
        write_durably(options.explain, drawn.getvalue(), mode=0o644)
    except OSError as error:
        raise UnwritableError(f"{options.explain} cannot be written: {error.strerror or error}.") from error
    return explanation.verdict, explanation


def _standard_input(most: int) -> bytes:
    """Return what the standard input holds; of more than `most` bytes only enough to refuse it."""
    return b"" if sys.stdin is None else sys.stdin.buffer.read(most + 1)


class Printer:
    """Prints answers on the standard output and what is wrong on standard error, beside a progress bar."""

    def __init__(self, form: str, out: Path | None) -> None:
        """Choose a form.

        Args:
            form: "text", "json" or "csv".
            out: where the explanation of the photo is drawn; None where none was asked for.
        """
        self._form = form
        self._out = out
        self._columns = COLUMNS if out is None else COLUMNS + EXPLAINED
        self._write: Callable[[str, TextIO], None] = lambda line, stream: print(line, file=stream)

    def shown(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Yield all entries; a bar on standard error shows the progress, if that is a terminal."""
        if self._form == "csv":
            self._print(_csv_line(self._columns))
        if len(entries) < BAR_FROM or not (sys.stderr and sys.stderr.isatty()):
            yield from entries
            return
        from tqdm import tqdm

        self._write = lambda line, stream: tqdm.write(line, file=stream)  # above the bar, not into it
        yield from tqdm(entries, unit="photo", leave=False, dynamic_ncols=True)

    def say(self, name: str, verdict: Verdict, explanation: Explanation | None) -> None:
        """Print one answer."""
        also = {"sentence": explanation.sentence, "picture": str(self._out)} if explanation else {}
        if self._form == "text":
            frame = f", picture {verdict.frame + 1}: the animation begins blank" if verdict.frame else ""
            self._print(f"{_visible(name)}: {verdict.label} ({verdict.probability:.1%} cat){frame}")
            if explanation:
                self._print(f"{explanation.sentence} Drawn in {self._out}.")
        else:
            frame_too = {"frame": verdict.frame} if self._form == "csv" else {}
            self._print_fields({"photo": name, **verdict.as_dict(), **frame_too, **also})

    def refuse(self, name: str, problem: str) -> None:
        """Print why there is no answer."""
        if self._form != "text":
            self._print_fields({"photo": name, "error": problem})
        self._write(f"{_visible(name)}: {problem}", sys.stderr)

    def _print_fields(self, fields: Mapping[str, object]) -> None:
        if self._form == "json":
            self._print(json.dumps(fields))
        else:
            self._print(_csv_line(fields.get(column, "") for column in self._columns))

    def _print(self, line: str) -> None:
        self._write(line, sys.stdout)


def _csv_line(values: Iterable[object]) -> str:
    """Return a line of a table; truth values are written as in JSON."""
    line = io.StringIO()
    cells = (str(value).lower() if isinstance(value, bool) else value for value in values)
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _visible(name: str) -> str:
    """Return a file name whose control characters do nothing to a terminal, on one line."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), name)


if __name__ == "__main__":
    sys.exit(command())
