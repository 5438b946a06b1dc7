"""What the page takes of the memory, beside an empty one: `python -m benchmarks.memory [--questions 100]`.

Starts an empty Gradio page that holds the model too, and the app; lets both judge a phone's photo, the app
that many times over /predict; then asks the app to look closer, which loads SHAP. Prints what each takes, in
MB that are resident, and the ratios to the empty page, which should stay below 1.5 without SHAP. Linux.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.decode import phone_photo
from benchmarks.load import opened, resident
from benchmarks.start import EMPTY, ROOT, answers, free_port
from benchmarks.visitors import Visitor
from cat_model.predict import EXPLAIN_BUDGET

MODEL = "import sys, cat_model\npredictor = cat_model.load()\npredictor.predict(sys.argv[2])\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=100, help="photos that the app judges")
    questions = parser.parse_args().questions
    photo = phone_photo()
    empty = empty_page(photo)
    print(f"an empty Gradio page with the model: {empty} MB", flush=True)
    with opened() as (address, pid):
        asyncio.run(ask(address, photo, questions))
        judged = resident(pid)
        print(f"the app after {questions} photos: {judged} MB, {judged / empty:.2f} of it", flush=True)
        look_closer(address)
        closer = resident(pid)
        print(f"and after a closer look at one: {closer} MB, {closer / empty:.2f} of it")


def empty_page(photo: bytes) -> int:
    """Return the resident MB of an empty Gradio page in whose process the model has judged a photo."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "photo.jpg"
        file.write_bytes(photo)
        command = [sys.executable, "-c", MODEL + EMPTY, str(port), str(file)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as page:
            try:
                while not answers(port):
                    if page.poll() is not None:
                        sys.exit(f"The empty page ended with exit code {page.returncode}.")
                    time.sleep(0.1)
                return resident(page.pid)
            finally:
                page.terminate()


async def ask(address: str, photo: bytes, questions: int) -> None:
    """Have a photo judged so many times."""
    async with Visitor(address) as visitor:
        upload = visitor.upload(photo)
        for _ in range(questions):
            outcome, _ = await visitor.ask(upload)
            if outcome != "verdict":
                sys.exit(f"The app gave no verdict: {outcome}.")


def look_closer(address: str) -> None:
    """Have an example explained by SHAP."""
    api = f"{address}/gradio_api"
    example = (ROOT / "examples" / "chelsea.jpg").read_bytes()
    (path,) = httpx.post(f"{api}/upload", files={"files": ("photo.jpg", example)}).json()
    question = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, EXPLAIN_BUDGET]}
    event = httpx.post(f"{api}/call/explain", json=question).json()["event_id"]
    said = httpx.get(f"{api}/call/explain/{event}", timeout=120).text
    if "event: complete" not in said:
        sys.exit(f"The app gave no explanation: {json.dumps(said[-200:])}.")


if __name__ == "__main__":
    main()
