"""Frames a second that the tab "Live" answers: `python -m benchmarks.live [--visitors 1 2] [--cores 1]`.

Starts `app.py`, on so many cores if `--cores` is given, and sends it the frames of cameras of 640 × 480
pixels as a browser does: the next one when the last is answered, but no sooner than the page asks for.
Prints for each number of visitors the frames a second that each got, p50 and p95 of an answer, and the
server's processor time for a frame, which also means something on a busy machine.
"""

import asyncio
import base64
import io
import json
import os
import statistics
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
from PIL import Image

from benchmarks._command_line import parser
from benchmarks._process import processor_seconds
from benchmarks._server import EXAMPLES, opened
from web.ui.live import EVERY_S

CAMERA = 640, 480
WARM_UP_S = 3
FAILURE = "The page did not answer a frame: "


def frames() -> list[str]:
    """Return each example photo as a camera would send it, as a data: address."""
    made = []
    for path in sorted(EXAMPLES.glob("*.jpg")):
        file = io.BytesIO()
        with Image.open(path) as photo:
            photo.convert("RGB").resize(CAMERA).save(file, "JPEG", quality=92)
        made.append(f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}")
    return made


async def watch(address: str, seconds: float) -> list[float]:
    """Hold a camera to the page for so long; return the seconds that each answer took.

    Raises:
        RuntimeError: the page did not answer a frame with a verdict.
    """
    pictures, took, session = frames(), [], uuid.uuid4().hex
    async with httpx.AsyncClient(base_url=f"{address}/gradio_api", timeout=60) as client:
        config = (await client.get(f"{address}/config")).json()
        streamed = next(
            each["id"]
            for each in config["dependencies"]
            if any(event == "stream" for _, event in each["targets"])
        )

        def body(number: int) -> dict[str, object]:
            frame = {"url": pictures[number % len(pictures)], "meta": {"_type": "gradio.FileData"}}
            return {"data": [frame], "fn_index": streamed, "session_hash": session}

        began = time.perf_counter()
        ends, sent = began + seconds, began
        event = (await client.post("/queue/join", json=body(0))).raise_for_status().json()["event_id"]
        async with client.stream("GET", "/queue/data", params={"session_hash": session}) as answers:
            async for line in answers.aiter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    raise RuntimeError(f"{FAILURE}{message}")
                if message.get("msg") != "process_streaming":
                    continue
                if 'class="heat"' not in message["output"]["data"][0]:
                    raise RuntimeError(f"{FAILURE}{message['output']['data'][0]}")
                took.append(time.perf_counter() - sent)
                if time.perf_counter() > ends:
                    break
                await asyncio.sleep(max(sent + EVERY_S - time.perf_counter(), 0))
                sent = time.perf_counter()
                (await client.post(f"/stream/{event}", json=body(len(took)))).raise_for_status()
        await client.post(f"/stream/{event}/close")
    return took


async def measure(address: str, pid: int, visitors: int, seconds: float) -> None:
    """Print a line about so many visitors at once."""
    before, began = processor_seconds(pid), time.perf_counter()
    each = await asyncio.gather(*(watch(address, seconds) for _ in range(visitors)))
    elapsed, spent = time.perf_counter() - began, processor_seconds(pid) - before
    took = [one for watched in each for one in watched]
    ranks = statistics.quantiles(took, n=20)
    rates = "  ".join(f"{len(watched) / elapsed:.1f}" for watched in each)
    print(
        f"{visitors:2} visitors: {rates} frames/s each  p50 {1000 * ranks[9]:.0f} ms  "
        f"p95 {1000 * ranks[18]:.0f} ms  processor {1000 * spent / len(took):.0f} ms a frame",
        flush=True,
    )


@contextmanager
def on_cores(count: int | None) -> Iterator[None]:
    """Let what is started within the block run on so many cores; on all if there is no number."""
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_cores)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)


def main() -> None:
    """Run the command line."""
    command_line = parser(__doc__)
    command_line.add_argument("--visitors", type=int, nargs="+", default=[1, 2])
    command_line.add_argument("--seconds", type=float, default=20, help="for each number of visitors (20)")
    command_line.add_argument("--cores", type=int, help="cores that the server may use; all unless given")
    options = command_line.parse_args()
    settings = {"CAT_WORKERS": options.cores} if options.cores else {}
    with ExitStack() as stack:
        with on_cores(options.cores):
            address, pid = stack.enter_context(opened(**settings))
        asyncio.run(watch(address, WARM_UP_S))
        for visitors in options.visitors:
            asyncio.run(measure(address, pid, visitors, options.seconds))


if __name__ == "__main__":
    main()
