"""The real page under many visitors: `python -m benchmarks.load [--visitors 1 8 32 128] [--seconds 30]`.

Starts `app.py`, first asks the model itself for what decoding and judging the same photo alone can do in as
many threads as the page has workers, then lets each crowd upload it and wait for the verdict, over and over.
Prints verdicts a second, their ratio to the model alone, p50, p95 and p99 of an answer, how many were turned
away with the polite "busy", any other error, and the server's memory. `--soak N` asks N more questions at 32
visitors and prints the memory at each tenth. Figures of a busy machine are ratios at best.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

import cat_model
from benchmarks.decode import phone_photo
from benchmarks.start import free_port
from cat_model.settings import Settings

ROOT = Path(__file__).parents[1]


def alone(photo: bytes, workers: int, seconds: float) -> float:
    """Return how many photos a second are decoded and judged without a server."""
    predictor, ends = cat_model.load(workers=workers), time.perf_counter() + seconds

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < ends:
            predictor.predict(photo)
            done += 1
        return done

    with ThreadPoolExecutor(workers) as threads:
        return sum(threads.map(work, range(workers))) / seconds


async def question(client: httpx.AsyncClient, photo: bytes) -> tuple[str, str]:
    """Upload a photo and wait; return "verdict", "busy" or what went wrong, and the answer."""
    try:
        sent = await client.post("/gradio_api/upload", files={"files": ("photo.jpg", photo)})
        if sent.status_code != 200:
            return f"upload {sent.status_code}", ""
        asked = {"data": [{"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}]}
        event = await client.post("/gradio_api/call/predict", json=asked)
        if event.status_code == 503:
            return "busy", ""
        if event.status_code != 200:
            return f"call {event.status_code}", ""
        answer = await client.get(f"/gradio_api/call/predict/{event.json()['event_id']}")
    except httpx.HTTPError as error:
        return type(error).__name__, ""
    return ("verdict" if '"model_version"' in answer.text else "no verdict"), answer.text


async def crowd(address: str, photo: bytes, visitors: int, seconds: float, most: int | None = None):
    """Let visitors ask until the time is over or `most` were asked; return what came and how long it took."""
    outcomes: Counter[str] = Counter()
    took: list[float] = []
    ends = time.perf_counter() + seconds
    limits = httpx.Limits(max_connections=visitors)

    async def visit(client: httpx.AsyncClient) -> None:
        while time.perf_counter() < ends and (most is None or outcomes.total() < most):
            began = time.perf_counter()
            outcome, _ = await question(client, photo)
            outcomes[outcome] += 1
            if outcome == "verdict":
                took.append(time.perf_counter() - began)
            elif outcome == "busy":
                await asyncio.sleep(0.5)

    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as client:
        await asyncio.gather(*(visit(client) for _ in range(visitors)))
    return outcomes, took


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


async def measure(address: str, photo: bytes, visitors: int, seconds: float, best: float, pid: int) -> None:
    """Print a line about one crowd, with two rude visitors beside it."""
    pest = asyncio.create_task(rude(address))
    began = time.perf_counter()
    outcomes, took = await crowd(address, photo, visitors, seconds)
    elapsed = time.perf_counter() - began
    pest.cancel()
    with suppress(asyncio.CancelledError):
        await pest
    rate = outcomes.pop("verdict", 0) / elapsed
    ranks = statistics.quantiles(took, n=100) if len(took) > 1 else [float("nan")] * 99
    busy = outcomes.pop("busy", 0)
    print(
        f"{visitors:4} visitors: {rate:6.2f} verdicts/s ({rate / best:.2f} × alone)  p50 {ranks[49]:.2f} s  "
        f"p95 {ranks[94]:.2f} s  p99 {ranks[98]:.2f} s  busy {busy}  errors {dict(outcomes)}  "
        f"memory {resident(pid)} MB (peak {resident(pid, 'VmHWM')} MB)",
        flush=True,
    )


def resident(pid: int, field: str = "VmRSS") -> int:
    """Return the memory of a process in MB, as Linux's /proc tells it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1000 for line in lines if line.startswith(field))


async def soak(address: str, photo: bytes, questions: int, pid: int) -> None:
    """Print the memory at each tenth of a long run."""
    total: Counter[str] = Counter()
    for tenth in range(1, 11):
        outcomes, _ = await crowd(address, photo, 32, 86_400, questions // 10)
        total += outcomes
        print(f"soak {tenth * 10:3} %: {dict(total)}, {resident(pid)} MB", flush=True)


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
    parser.add_argument("--soak", type=int, default=0, metavar="N")
    options = parser.parse_args()
    photo = phone_photo()
    workers = Settings.from_env().workers
    print(f"a photo of {len(photo) / 1e6:.1f} MB, {os.cpu_count()} cores, {workers} workers")
    best = alone(photo, workers, min(options.seconds, 15))
    print(f"model and decode alone: {best:.2f} photos/s", flush=True)
    with opened() as (address, pid):
        for visitors in options.visitors:
            asyncio.run(measure(address, photo, visitors, options.seconds, best, pid))
        if options.soak:
            asyncio.run(soak(address, photo, options.soak, pid))


if __name__ == "__main__":
    main()
