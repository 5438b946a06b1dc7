"""Memory that the page takes, beside an empty one: `python -m benchmarks.memory [--questions 100]`.

Starts an empty Gradio page that holds the model too, and the app; lets both answer for a phone's photo, the
app that many times over /predict; then asks the app to look closer, which loads SHAP. Prints what each takes,
in MB that are resident, and the ratios to the empty page, which should stay below 1.5 without SHAP. Linux.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import httpx

from benchmarks._command_line import parser
from benchmarks._process import resident_mb
from benchmarks._server import CAT, EMPTY, opened
from benchmarks.decode import phone_photo
from benchmarks.visitors import Visitor
from cat_model.predictor import EXPLAIN_BUDGET

MODEL = "import sys, cat_model\npredictor = cat_model.load()\npredictor.predict(sys.argv[1])\n"


def main() -> None:
    """Measure and print."""
    command_line = parser(__doc__)
    command_line.add_argument("--questions", type=int, default=100, help="photos that the app answers (100)")
    questions = command_line.parse_args().questions
    photo = phone_photo()
    empty = empty_page(photo)
    print(f"an empty Gradio page with the model: {empty} MB", flush=True)
    with opened() as (address, pid):
        asyncio.run(ask(address, photo, questions))
        answered = resident_mb(pid)
        print(f"the app after {questions} photos: {answered} MB, {answered / empty:.2f} of it", flush=True)
        look_closer(address)
        closer = resident_mb(pid)
        print(f"and after a closer look at one: {closer} MB, {closer / empty:.2f} of it")


def empty_page(photo: bytes) -> int:
    """Return the resident MB of an empty Gradio page in whose process the model has answered for a photo."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "photo.jpg"
        file.write_bytes(photo)
        with opened(("-c", MODEL + EMPTY, str(file))) as (_, pid):
            return resident_mb(pid)


async def ask(address: str, photo: bytes, questions: int) -> None:
    """Ask for the verdict on a photo so many times."""
    async with Visitor(address) as visitor:
        upload = visitor.upload(photo)
        for _ in range(questions):
            outcome, _ = await visitor.ask(upload)
            if outcome != "verdict":
                sys.exit(f"The app gave no verdict: {outcome}.")


def look_closer(address: str) -> None:
    """Have an example explained by SHAP."""
    api = f"{address}/gradio_api"
    (path,) = httpx.post(f"{api}/upload", files={"files": ("photo.jpg", CAT.read_bytes())}).json()
    question = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, EXPLAIN_BUDGET]}
    event = httpx.post(f"{api}/call/explain", json=question).json()["event_id"]
    said = httpx.get(f"{api}/call/explain/{event}", timeout=120).text
    if "event: complete" not in said:
        sys.exit(f"The app gave no explanation: {json.dumps(said[-200:])}.")


if __name__ == "__main__":
    main()
