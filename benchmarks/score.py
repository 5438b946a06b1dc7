"""Photos a second of `python -m pipelines.score`, beside decoding them and asking the model alone.

python -m benchmarks.score [--photos 2000] [--rounds 3] [--s3 BUCKET] [--turns N]
.venv-engines/ray/bin/python -m benchmarks.score --engine ray
python -m benchmarks.score --listing

Makes a few phone photos of 12 megapixels and links them under many names. In each round the photos are first
decoded and scored from memory by as many processes as there are cores, which is all that cannot be spared;
then by the engine, from disk and, with --s3, from a bucket that is made in the store that boto3's settings
(AWS_* variables) lead to. All of these processes keep freed memory as the engine's do. Prints photos a second
once all workers are up, and the processor time that each took of all processes but the store's; and how much
the engine reaches of the first, by either. By processor time is what counts on a machine that others use,
too; there --turns, which compares the two in one process, is the surest.

The number of photos is raised so that there are as many shards for each core. Otherwise what is measured is
the end of the work, when one core has a last shard and the others have none.

--listing prints instead what the command's own memory grows by between 10,000 and 1,000,000 keys, made up
and from a Parquet manifest, with workers that do nothing.
"""

import argparse
import math
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks._command_line import parser
from benchmarks._process import family_seconds, resident_mb
from benchmarks.decode import phone_photo
from cat_model import Bundle
from cat_model.predictor import Predictor
from pipelines.score import sources
from pipelines.score.driver import Driver, Engine, Event
from pipelines.score.local import LocalEngine, cores, keep_memory
from pipelines.score.places import Folder, Objects
from pipelines.score.plan import Choice, Plan
from pipelines.score.progress import Progress
from pipelines.score.ray_engine import RayEngine
from pipelines.score.scorer import Done, Job, Scorer
from pipelines.score.shards import Shard
from pipelines.score.sources import Photos, Source

DIFFERENT, GRAIN = 12, 12.0
"""Photos that are made, and the noise in them, which gives files of about 3 MB."""
SHARD_SIZE = 100
PER_TURN = 32
FEW, MANY = 10_000, 1_000_000


def main() -> None:
    """Measure and print."""
    command_line = parser(__doc__)
    command_line.add_argument("--photos", type=int, default=2000, help="how many are scored (2000)")
    command_line.add_argument("--rounds", type=int, default=3, help="rounds (3)")
    command_line.add_argument("--engine", choices=("local", "ray"), default="local", help="(local)")
    command_line.add_argument("--s3", metavar="BUCKET", help="a new bucket, for the photos")
    command_line.add_argument("--turns", type=int, default=0, help="of one worker, in a process, first (0)")
    command_line.add_argument("--listing", action="store_true", help="measure memory only")
    options = command_line.parse_args()
    if options.listing:
        listing()
        return
    options.photos = even(options.photos, cores())
    with tempfile.TemporaryDirectory() as folder:
        speed(options, Path(folder))


def speed(options: argparse.Namespace, folder: Path) -> None:
    """Print photos a second."""
    contents = [phone_photo(GRAIN + number / 100) for number in range(DIFFERENT)]
    places: dict[str, Source] = {
        "disk": sources.FolderSource(written(contents, options.photos, folder / "photos"))
    }
    print(f"{options.photos} photos of {len(contents[0]) / 1e6:.1f} MB, {cores()} cores", flush=True)
    if options.turns:
        in_turns(contents, options.turns, folder / "turns")
    if options.s3:
        places["S3"] = sources.BucketSource(uploaded(contents, options.photos, options.s3))
    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in places}
    for number in range(options.rounds):
        base = decoded_and_scored(contents, options.photos)
        print(f"{'alone':6} {base}")
        for name, source in places.items():
            job = Job(source.photos, Folder(folder / f"{name}-{number}"), Bundle.read())
            found = scored(engine(job, options), source)
            both = found.rate / base.rate, base.processor_ms / found.processor_ms
            ratios[name].append(both)
            print(f"{name:6} {found}; ratios {both[0]:.3f} and {both[1]:.3f}", flush=True)
    for name, found in ratios.items():
        rate, processor = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"{options.engine} from {name}: median ratios {rate:.3f} and {processor:.3f}")


def even(photos: int, workers: int) -> int:
    """Return the number of photos, no smaller, that gives each worker the same number of whole shards."""
    return math.ceil(photos / (workers * SHARD_SIZE)) * workers * SHARD_SIZE


def in_turns(contents: Sequence[bytes], turns: int, folder: Path) -> None:
    """Print the processor time of a photo, from memory and as a worker scores it, by turns in one process.

    Whatever else the machine does slows both alike.
    """
    folder.mkdir()
    keep_memory()
    photos = written(contents, PER_TURN, folder / "photos")
    keys = tuple(f"{number:06}.jpg" for number in range(PER_TURN))
    predictor = Predictor(Bundle.read())
    scorer = Scorer(Job(Photos(photos), Folder(folder / "out"), predictor.bundle))
    taken: list[tuple[float, float]] = []
    for turn in range(turns + 1):
        began = time.process_time()
        for _ in predictor.predict_many(contents[number % len(contents)] for number in range(PER_TURN)):
            pass
        between = time.process_time()
        scorer.score(Shard(turn, keys, "0" * 16))
        taken.append((between - began, time.process_time() - between))
    base, own = (1000 * statistics.median(each) / PER_TURN for each in zip(*taken[1:], strict=True))
    ratio = statistics.median(first / second for first, second in taken[1:])
    print(
        f"one worker in turns: {base:.1f} and {own:.1f} ms of processor each, ratio {ratio:.3f}", flush=True
    )


@dataclass(frozen=True)
class Speed:
    """How fast photos were scored.

    Attributes:
        rate: photos a second.
        processor_ms: milliseconds of processor time for each, of all processes together.
    """

    rate: float
    processor_ms: float

    def __str__(self) -> str:
        """Return both in words."""
        return f"{self.rate:6.1f} a second, {self.processor_ms:5.1f} ms of processor each"


class Stopwatch:
    """Measures time, and the processor time of this process and of all that it has started."""

    def __init__(self) -> None:
        """Begin."""
        self._processor, self._began = family_seconds(os.getpid()), time.perf_counter()

    def stop(self, photos: int) -> Speed:
        """Return the speed since the beginning; all processes must still be there."""
        seconds, spent = time.perf_counter() - self._began, family_seconds(os.getpid()) - self._processor
        return Speed(photos / seconds, 1000 * spent / photos)


def written(contents: Sequence[bytes], count: int, folder: Path) -> Folder:
    """Write photos to a folder, each under many names."""
    folder.mkdir()
    for number in range(count):
        name, first = folder / f"{number:06}.jpg", folder / f"{number % len(contents):06}.jpg"
        if name == first:
            name.write_bytes(contents[number])
        else:
            name.hardlink_to(first)
    return Folder(folder)


def uploaded(contents: Sequence[bytes], count: int, bucket: str) -> Objects:
    """Put photos into a new bucket."""
    where = Objects(bucket)
    where._client.create_bucket(Bucket=bucket)
    for number in range(count):
        where.write(f"{number:06}.jpg", contents[number % len(contents)])
    return where


def decoded_and_scored(contents: Sequence[bytes], count: int) -> Speed:
    """Return how fast a process a core decodes and scores photos from memory, with nothing else to do."""
    context = multiprocessing.get_context("spawn")
    parties = cores()
    begin, end = context.Barrier(parties + 1), context.Barrier(parties + 1)
    share = [count // parties + (number < count % parties) for number in range(parties)]
    processes = [context.Process(target=alone, args=(contents, each, begin, end)) for each in share]
    for process in processes:
        process.start()
    begin.wait()
    watch = Stopwatch()
    end.wait()
    speed = watch.stop(count)
    for process in processes:
        process.join()
    return speed


def alone(contents: Sequence[bytes], count: int, begin: Barrier, end: Barrier) -> None:
    """Decode and score photos."""
    keep_memory()
    predictor = Predictor(Bundle.read())
    begin.wait()
    for _ in predictor.predict_many(contents[number % len(contents)] for number in range(count)):
        pass
    end.wait()
    time.sleep(1)  # its processor time is being read


def engine(job: Job, options: argparse.Namespace) -> Engine:
    """Start an engine with a worker a core."""
    return RayEngine(job) if options.engine == "ray" else LocalEngine(job, cores())


def scored(workers: Engine, source: Source) -> Speed:
    """Return how fast an engine scores, from when all its workers are up."""
    try:
        waiting = AllUp(workers)
        plan = Plan(source, Choice(SHARD_SIZE), {}, Folder(Path()), {})
        watch, report = Stopwatch(), Progress()
        Driver(waiting, report).run(plan.missing())
        return watch.stop(report.photos)
    finally:
        workers.close()


class AllUp:
    """An engine all of whose workers have come up before anything is measured."""

    def __init__(self, engine: Engine) -> None:
        """Wait for all of them."""
        self.workers, self._engine = engine.workers, engine
        self._up: list[Event] = []
        while len(self._up) < engine.workers:
            self._up += engine.wait(1.0)
        self.give, self.close = engine.give, engine.close

    def wait(self, seconds: float) -> list[Event]:
        """Return that they are up, and later what has happened."""
        said, self._up = self._up, []
        return said or self._engine.wait(seconds)


def listing() -> None:
    """Print the growth of memory with the number of keys."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("made up", "Parquet manifest"):
            few, many = (peak_in_a_process(name, count, Path(folder)) for count in (FEW, MANY))
            print(f"{name}: {few} MB with {FEW:,} keys, {many} MB with {MANY:,}, {many - few} MB more")


def peak_in_a_process(name: str, count: int, folder: Path) -> int:
    """Return the peak of a new process's memory, in MB, that hands out the shards of so many keys."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(peak, (name, count, folder))


def peak(name: str, count: int, folder: Path) -> int:
    """Hand out the shards of so many keys to workers that do nothing; return this process's peak in MB."""
    source: Source = MadeUp(count) if name == "made up" else manifest(count, folder)
    plan = Plan(source, Choice(500), {}, Folder(folder), {})
    progress = Progress()
    Driver(Nobody(), progress).run(plan.missing())
    if (progress.photos, plan.count()) != (count, count):
        sys.exit(f"{progress.photos} photos were handed out of {count}.")
    return resident_mb(os.getpid(), "VmHWM")


class MadeUp:
    """A listing of keys that nobody has."""

    photos = Photos(Folder(Path()))

    def __init__(self, count: int) -> None:
        """Say how many there are."""
        self._count = count

    def keys(self) -> Iterator[str]:
        """Yield them."""
        return (key(number) for number in range(self._count))


def key(number: int) -> str:
    """Return a key such as a store of photos has, 60 characters long."""
    return f"uploads/2026/11/{number % 28 + 1:02}/{number:032x}.jpg".ljust(60, "_")


def manifest(count: int, folder: Path) -> Source:
    """Write a Parquet manifest of so many keys, and return it."""
    import pyarrow as pa
    from pyarrow import parquet

    path = folder / f"{count}.parquet"
    with parquet.ParquetWriter(path, pa.schema([("key", pa.string())])) as writer:
        for start in range(0, count, FEW):
            writer.write_table(pa.table({"key": [key(number) for number in range(start, start + FEW)]}))
    return sources.source(str(path))


class Nobody:
    """Workers that have done each shard as soon as they are given it."""

    workers = 2

    def __init__(self) -> None:
        """Let both be up."""
        self._said = [Event(worker) for worker in range(self.workers)]

    def give(self, worker: int, shard: Shard) -> None:
        """Have done it."""
        self._said.append(Event(worker, done=Done(shard.number, len(shard.keys), 0, 0)))

    def wait(self, seconds: float) -> list[Event]:  # noqa: ARG002 - nobody waits for what is done at once
        """Return what has happened."""
        said, self._said = self._said, []
        return said

    def close(self) -> None:
        """Do nothing."""


if __name__ == "__main__":
    main()
