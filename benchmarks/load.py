"""The real page under many visitors: `python -m benchmarks.load [--visitors 1 8 32 128] [--seconds 30]`.

Starts `app.py`, first asks the model itself for what decoding and judging phones' photos of 1 to 3 MB alone
can do in as many threads as the page has workers, then lets each crowd upload such photos and wait for the
verdict, over and over, beside two visitors who stall and break off. They send what the page's own script
sends: the photos made smaller by the visitor's browser (whose time does not count: it has a processor of
its own); with `--whole` the files as they are, as programs do. Prints verdicts a second, their ratio to the
model alone, also of the share of the cores that the visitors themselves left (they run on the same ones),
the processor time that page and visitors spent on each verdict, p50, p95 and p99 of an answer, how many
were turned away with the polite "busy", any other error, and the server's memory. `--soak N` asks N more
questions at 32 visitors and prints the memory each minute, and its growth from minute 2 on.
"""

import argparse
import asyncio
import io
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from PIL import Image

import cat_model
from benchmarks.decode import phone_photo
from benchmarks.start import free_port
from benchmarks.visitors import Visitor
from cat_model.settings import Settings
from web.shrink import QUALITY, SIDE

ROOT = Path(__file__).parents[1]
GRAINS = (3, 7, 11)
"""How grainy the photos are: files of 1 to 3 MB."""
CROWD = 32
"""Visitors of the soak."""


@dataclass(frozen=True)
class Alone:
    """What decoding and judging do without a server: photos a second, and processor seconds of each."""

    rate: float
    cpu: float


@dataclass
class Outcomes:
    """What became of a crowd's questions, how many seconds each verdict took, and all of them together."""

    counts: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    elapsed: float = 0.0


def alone(photos: Sequence[bytes], workers: int, seconds: float) -> Alone:
    """Decode and judge photos without a server."""
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


async def crowd(
    address: str, photos: Sequence[bytes], visitors: int, ends: float, most: float, outcomes: Outcomes
) -> None:
    """Let visitors ask until a time (of time.perf_counter) or until `most` were asked."""
    began = time.perf_counter()
    asked = itertools.count()

    async def visit(first: int) -> None:
        async with Visitor(address) as visitor:
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


async def rude(address: str) -> None:
    """Begin an upload and never end it, and begin another and hang up."""
    host, port = address.removeprefix("http://").split(":")
    head = b"POST /gradio_api/upload HTTP/1.1\r\nHost: cat\r\nContent-Length: 3000000\r\n"
    head += b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    writers = [(await asyncio.open_connection(host, int(port)))[1] for _ in range(2)]
    for writer in writers:
        writer.write(head)
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
    address: str, photos: Sequence[bytes], visitors: int, seconds: float, best: Alone, pid: int
) -> None:
    """Print what became of one crowd, with two rude visitors beside it."""
    pest, outcomes = asyncio.create_task(rude(address)), Outcomes()
    page, own = cpu_seconds(pid), time.process_time()
    await crowd(address, photos, visitors, time.perf_counter() + seconds, float("inf"), outcomes)
    page, own = cpu_seconds(pid) - page, time.process_time() - own
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
        f"errors {dict(outcomes.counts)}  memory {resident(pid)} MB (peak {resident(pid, 'VmHWM')} MB)",
        flush=True,
    )


def as_the_page_sends(photo: bytes) -> bytes:
    """Return what the page's script makes of a phone's photo."""
    picture, file = Image.open(io.BytesIO(photo)), io.BytesIO()
    scale = SIDE / min(picture.size)
    picture = picture.resize([round(scale * side) for side in picture.size], Image.Resampling.BICUBIC)
    picture.save(file, "JPEG", quality=round(100 * QUALITY))
    return file.getvalue()


def resident(pid: int, field: str = "VmRSS") -> int:
    """Return the memory of a process in MB, as Linux's /proc tells it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 // 1_000_000 for line in lines if line.startswith(field))


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, as Linux's /proc tells it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def soak(address: str, photos: Sequence[bytes], questions: int, pid: int) -> None:
    """Print the memory at each minute of a long run, and what became of its questions."""
    outcomes, memory = Outcomes(), [resident(pid)]
    run = asyncio.create_task(crowd(address, photos, CROWD, float("inf"), questions, outcomes))
    while not run.done():
        await asyncio.wait([run], timeout=60)
        memory.append(resident(pid))
        print(f"soak, minute {len(memory) - 1}: {dict(outcomes.counts)}, {memory[-1]} MB", flush=True)
    await run
    early = memory[min(2, len(memory) - 1)]
    print(
        f"soak: {dict(outcomes.counts)} in {outcomes.elapsed / 60:.1f} min; memory {early} MB at minute 2, "
        f"{memory[-1]} MB at the end ({memory[-1] / early - 1:+.1%}), peak {resident(pid, 'VmHWM')} MB"
    )


@contextmanager
def opened(**settings: object) -> Iterator[tuple[str, int]]:
    """Run the page, without a rate limit, until the block ends; yield its address and process number."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        env = {name: value for name, value in os.environ.items() if "DISPLAY" not in name}
        env |= {"CAT_PORT": str(port), "CAT_RATE": "0", "CAT_FEEDBACK_DIR": folder, "GRADIO_TEMP_DIR": folder}
        env |= {name: str(value) for name, value in settings.items()}
        with subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=env, stdout=subprocess.DEVNULL
        ) as page:
            address = f"http://127.0.0.1:{port}"
            try:
                while page.poll() is None:
                    with suppress(httpx.HTTPError):
                        httpx.get(f"{address}/health").raise_for_status()
                        break
                    time.sleep(0.2)
                yield address, page.pid
            finally:
                page.terminate()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--whole", action="store_true", help="send the photos as they are")
    parser.add_argument("--soak", type=int, default=0, metavar="N")
    options = parser.parse_args()
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
        for visitors in options.visitors:
            asyncio.run(measure(address, photos, visitors, options.seconds, best, pid))
        if options.soak:
            asyncio.run(soak(address, photos, options.soak, pid))


if __name__ == "__main__":
    main()
