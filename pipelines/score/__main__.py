"""The command line: `python -m pipelines.score IN OUT` scores all photos of IN; docs/scoring.md has it all.

Exit code 0 when every shard is done, 1 with a sentence when one is not or nothing can be done, 130 when it
was stopped. The same command goes on where it was stopped.
"""

import argparse
import contextlib
import math
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib import util
from itertools import chain

from cat_model import Bundle, BundleError
from cat_model.settings import Settings, SettingsError
from pipelines.score import results, sources
from pipelines.score.driver import Driver, Engine, WorkerError
from pipelines.score.local import LocalEngine, cores
from pipelines.score.places import PlaceError, place
from pipelines.score.plan import Choice, Plan
from pipelines.score.progress import Prices, Progress
from pipelines.score.ray_engine import RayEngine
from pipelines.score.results import ResultsError
from pipelines.score.scorer import Job
from pipelines.score.shards import Shard
from pipelines.score.sources import Source, SourceError
from pipelines.termination import sigterm_as_interrupt

SCHEMA = 1
"""Of the columns; raised when they change, so that no folder holds two kinds."""
SHARD_SIZE = 500
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        with sigterm_as_interrupt():
            return _score(options)
    except (SourceError, PlaceError, ResultsError, WorkerError, BundleError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on with the shards that are missing.", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.score", description="Score very many photos; the answers are Parquet files."
    )
    parser.add_argument(
        "source",
        metavar="IN",
        help="a folder, s3://BUCKET/PREFIX, or a manifest: .csv, .parquet, manifest.json",
    )
    parser.add_argument("out", metavar="OUT", help="a folder, or s3://BUCKET/PREFIX")
    listing = parser.add_argument_group("which photos")
    listing.add_argument("--base", help="what the keys of a manifest are relative to (its own folder)")
    listing.add_argument("--column", default=sources.COLUMN, help="of a manifest that holds the keys (key)")
    listing.add_argument("--every-key", action="store_true", help="also what is not named like a photo")
    listing.add_argument("--limit", type=_count, help="only the first so many photos, after --sample")
    listing.add_argument(
        "--sample", type=_fraction, default=1.0, help="only this fraction of the photos, by chance (1)"
    )
    listing.add_argument("--seed", type=int, default=0, help="another one chooses another sample (0)")
    listing.add_argument(
        "--shard-size", type=_count, default=SHARD_SIZE, help=f"photos a file ({SHARD_SIZE})"
    )
    listing.add_argument(
        "--shard",
        type=_part,
        default=(0, 1),
        metavar="I/N",
        help="part I, from 0, of N parts, for array jobs",
    )
    answers = parser.add_argument_group("what is answered")
    answers.add_argument("--embedding", action="store_true", help="write embeddings, too")
    answers.add_argument("--thorough", action="store_true", help="search every part for tiny cats; slower")
    engine = parser.add_argument_group("where it runs")
    engine.add_argument("--engine", choices=("local", "ray"), default="local", help="(local)")
    engine.add_argument("--workers", type=_count, help="processes or actors, each for a core (all cores)")
    engine.add_argument("--core-hour", type=_price, metavar="PRICE", help="of a core for an hour")
    engine.add_argument(
        "--thousand-reads", type=_price, metavar="PRICE", help="of 1,000 photos that are read"
    )
    return parser


def _score(options: argparse.Namespace) -> int:
    """Score; return the exit code."""
    if util.find_spec("pyarrow") is None:
        raise ResultsError(
            "Answers are written with the package pyarrow, which is not installed: "
            "pip install -r requirements-train.txt"
        )
    settings = Settings.from_env()
    bundle = Bundle.read(settings.bundle, settings.bundle_public_key)
    source = sources.source(options.source, options.base, options.column, options.every_key)
    out = results.usable(place(options.out))
    if options.every_key and sources.holds(source, out):
        raise SourceError(f"{out} lies in {options.source}: --every-key would take the answers for photos.")
    described = _described(options, source, bundle)
    part, parts = options.shard
    choice = Choice(options.shard_size, options.limit, options.sample, options.seed, part, parts)
    plan = Plan(source, choice, described, out, results.begin(out, described))
    progress = Progress(Prices(options.core_hour, options.thousand_reads))
    missing = plan.missing()
    first = next(missing, None)  # before any worker: a wrong source needs none
    if first is not None:
        job = Job(source.photos, out, bundle, options.thorough, options.embedding)
        _run(plan, _engine(job, options), progress, chain([first], missing))
    also = f"; {plan.skipped:,} were there" if plan.skipped else ""
    print(f"{progress.line()}{also}. Answers: {out}")
    return 1 if progress.given_up else 0


def _run(plan: Plan, engine: Engine, progress: Progress, missing: Iterator[Shard]) -> None:
    """Have shards scored while the photos that are to do are being counted."""

    def count() -> None:
        with contextlib.suppress(SourceError, PlaceError):  # the listing of the shards tells
            progress.total = plan.count()

    try:
        threading.Thread(target=count, daemon=True).start()
        Driver(engine, progress).run(missing)
    finally:
        engine.close()
        progress.close()


def _engine(job: Job, options: argparse.Namespace) -> Engine:
    if options.engine == "ray":
        return RayEngine(job, options.workers)
    return LocalEngine(job, options.workers or cores())


def _described(options: argparse.Namespace, source: Source, bundle: Bundle) -> dict[str, object]:
    """Return all that the answers depend on beside the keys, under the names of the options."""
    chosen = ("embedding", "every_key", "limit", "sample", "seed", "shard_size", "thorough")
    return {
        "schema": SCHEMA,
        "base": str(source.photos.base),
        "model_version": bundle.version,
        "model_sha256": bundle.manifest["model"]["sha256"],
        **{name: getattr(options, name) for name in chosen},
    }


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _fraction(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return number


def _price(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number >= 0):
        raise argparse.ArgumentTypeError(f"{text} is no price")
    return number


def _part(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise argparse.ArgumentTypeError(f"{text} is not I/N with I from 0 to N - 1")
    return int(part), int(parts)


if __name__ == "__main__":
    sys.exit(main())
