"""Verdicts a second of the real page under many visitors: `python -m benchmarks.load [--visitors 8 32]`.

First measures what decoding phones' photos of 1 to 3 MB and the model alone can do, in as many threads as the
page has workers. Then starts `app.py` and lets so many visitors upload such photos and wait for the verdict,
over and over, beside two visitors who stall and break off. They send what the page's own script sends: the
photos made smaller by the visitor's browser (whose time does not count: it has a processor of its own); with
`--whole` the files as they are, as programs do. `--endpoint v1` asks at /v1/predict instead of through the
page, `--endpoint v2` by the Open Inference Protocol with a binary tensor.

Prints verdicts a second, their ratio to the model alone, also of the share of the cores that the visitors
themselves left (they run on the same ones), the processor time that page and visitors spent on each verdict,
p50, p95 and p99 of an answer, how many were turned away with the polite "busy", any other error, and the
server's memory. `--soak N` asks N more questions at 32 visitors and prints the memory each minute, and its
growth from minute 2 on.
"""

import asyncio
import io
import itertools
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from PIL import Image

import cat_model
from benchmarks._command_line import parser
from benchmarks._process import processor_seconds, resident_mb
from benchmarks._server import opened
from benchmarks.decode import phone_photo
from benchmarks.visitors import ENDPOINTS, Visitor
from cat_model.settings import Settings
from web.ui.page import SENT_QUALITY, SENT_SIDE

GRAINS = (3, 7, 11)
"""How grainy the photos are: files of 1 to 3 MB."""
SOAK_VISITORS = 32
"""Visitors of the soak."""


@dataclass(frozen=True)
class Alone:
    """What decoding and the model do without a server: photos a second, and processor seconds of each."""

    rate: float
    cpu: float


@dataclass
class Outcomes:
    """What became of questions, how many seconds each verdict took, and all of them together."""

    counts: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    elapsed: float = 0.0


def alone(photos: Sequence[bytes], workers: int, seconds: float) -> Alone:
    """Decode and answer photos without a server."""
    predictor = cat_model.load(workers=workers)
    predictor.predict(photos[0])
    began, used = time.perf_counter(), time.process_time()

    def work(_: int) -> int:
        for done, photo in enumerate(itertools.cycle(photos)):
            if time.perf_counter() > began + seconds:
                return done
            predictor.predict(photo)
        return 0

    with ThreadPoolExecutor(workers) as threads:
        done = sum(threads.map(work, range(workers)))
    return Alone(done / (time.perf_counter() - began), (time.process_time() - used) / done)


async def ask(
    visit_page: Callable[[], Visitor],
    photos: Sequence[bytes],
    visitors: int,
    outcomes: Outcomes,
    *,
    ends: float,
    most: float,
) -> None:
    """Let visitors ask until a time (of time.perf_counter) or until `most` were asked."""
    began = time.perf_counter()
    asked = itertools.count()

    async def visit(first: int) -> None:
        async with visit_page() as visitor:
            uploads = [visitor.upload(photo) for photo in photos]
            for turn in itertools.count(first):
                if time.perf_counter() > ends or next(asked) >= most:
                    return
                start = time.perf_counter()
                outcome, _ = await visitor.ask(uploads[turn % len(uploads)])
                outcomes.counts[outcome] += 1
                if outcome == "verdict":
                    outcomes.took.append(time.perf_counter() - start)
                elif outcome == "busy":
                    await asyncio.sleep(0.5)

    async with asyncio.TaskGroup() as group:
        for first in range(visitors):
            group.create_task(visit(first))
    outcomes.elapsed = time.perf_counter() - began


async def rude(visitor: Visitor) -> None:
    """Begin an upload and never end it, and begin another and hang up."""
    writers = [(await asyncio.open_connection(visitor.host, visitor.port))[1] for _ in range(2)]
    for writer in writers:
        writer.write(visitor.stalled())
        await writer.drain()
    writers[0].close()
    try:
        while True:  # a byte a second
            writers[1].write(b"x")
            await writers[1].drain()
            await asyncio.sleep(1)
    except (ConnectionError, asyncio.CancelledError):
        writers[1].close()


async def measure(
    visit_page: Callable[[], Visitor],
    photos: Sequence[bytes],
    visitors: int,
    *,
    seconds: float,
    best: Alone,
    pid: int,
) -> None:
    """Print what became of so many visitors' questions, with two rude visitors beside them."""
    pest, outcomes = asyncio.create_task(rude(visit_page())), Outcomes()
    page, own = processor_seconds(pid), time.process_time()
    ends = time.perf_counter() + seconds
    await ask(visit_page, photos, visitors, outcomes, ends=ends, most=float("inf"))
    page, own = processor_seconds(pid) - page, time.process_time() - own
    pest.cancel()
    with suppress(asyncio.CancelledError):
        await pest
    verdicts, busy = outcomes.counts.pop("verdict", 0), outcomes.counts.pop("busy", 0)
    rate, each = verdicts / outcomes.elapsed, max(verdicts, 1)
    left = 1 - own / outcomes.elapsed / (os.cpu_count() or 1)
    ranks = statistics.quantiles(outcomes.took, n=100) if verdicts > 1 else [float("nan")] * 99
    print(
        f"{visitors:4} visitors: {rate:6.2f} verdicts/s ({rate / best.rate:.2f} × alone, of what visitors "
        f"left {rate / best.rate / left:.2f})  processor: page {1000 * page / each:.1f} ms each "
        f"({best.cpu * each / page:.2f} of it alone), visitors {1000 * own / each:.1f} ms\n"
        f"      p50 {ranks[49]:.2f} s  p95 {ranks[94]:.2f} s  p99 {ranks[98]:.2f} s  busy {busy}  "
        f"errors {dict(outcomes.counts)}  memory {resident_mb(pid)} MB (peak {resident_mb(pid, 'VmHWM')} MB)",
        flush=True,
    )


def as_the_page_sends(photo: bytes) -> bytes:
    """Return what the page's script makes of a phone's photo."""
    picture, file = Image.open(io.BytesIO(photo)), io.BytesIO()
    scale = SENT_SIDE / min(picture.size)
    picture = picture.resize(
        (round(scale * picture.width), round(scale * picture.height)), Image.Resampling.BICUBIC
    )
    picture.save(file, "JPEG", quality=round(100 * SENT_QUALITY))
    return file.getvalue()


async def soak(visit_page: Callable[[], Visitor], photos: Sequence[bytes], questions: int, pid: int) -> None:
    """Print the memory at each minute of a long run, and what became of its questions."""
    outcomes, memory = Outcomes(), [resident_mb(pid)]
    run = asyncio.create_task(
        ask(visit_page, photos, SOAK_VISITORS, outcomes, ends=float("inf"), most=questions)
    )
    while not run.done():
        await asyncio.wait([run], timeout=60)
        memory.append(resident_mb(pid))
        print(f"soak, minute {len(memory) - 1}: {dict(outcomes.counts)}, {memory[-1]} MB", flush=True)
    await run
    early = memory[min(2, len(memory) - 1)]
    print(
        f"soak: {dict(outcomes.counts)} in {outcomes.elapsed / 60:.1f} min; memory {early} MB at minute 2, "
        f"{memory[-1]} MB at the end ({memory[-1] / early - 1:+.1%}), peak {resident_mb(pid, 'VmHWM')} MB"
    )


def main() -> None:
    """Run the command line."""
    command_line = parser(__doc__)
    command_line.add_argument("--visitors", type=int, nargs="+", default=[1, 8, 32, 128])
    command_line.add_argument("--seconds", type=float, default=30, help="for each number of visitors (30)")
    command_line.add_argument("--whole", action="store_true", help="send the photos as they are")
    command_line.add_argument("--endpoint", choices=ENDPOINTS, default="page", help="what is asked (page)")
    command_line.add_argument("--soak", type=int, default=0, metavar="N", help="questions after that (0)")
    options = command_line.parse_args()
    photos = [phone_photo(grain) for grain in GRAINS]
    workers = Settings.from_env().workers
    sizes = ", ".join(f"{len(photo) / 1e6:.1f}" for photo in photos)
    print(f"photos of {sizes} MB, {os.cpu_count()} cores, {workers} workers")
    best = alone(photos, workers, min(options.seconds, 15))
    print(f"model and decode alone: {best.rate:.2f} photos/s, {1000 * best.cpu:.1f} ms each", flush=True)
    if not options.whole:
        photos = [as_the_page_sends(photo) for photo in photos]
        sizes = ", ".join(f"{len(photo) / 1e6:.2f}" for photo in photos)
        small = alone(photos, workers, min(options.seconds, 15))
        print(f"sent as {sizes} MB; alone: {small.rate:.2f} photos/s, {1000 * small.cpu:.1f} ms each")
    with opened() as (address, pid):
        visit_page = partial(ENDPOINTS[options.endpoint], address)
        for visitors in options.visitors:
            asyncio.run(measure(visit_page, photos, visitors, seconds=options.seconds, best=best, pid=pid))
        if options.soak:
            asyncio.run(soak(visit_page, photos, options.soak, pid))


if __name__ == "__main__":
    main()
