"""Answers that fail while the model is exchanged under load: `python -m benchmarks.swaps [--swaps 50]`.

Starts `app.py` on a copy of the bundle and replaces that copy again and again, by two bundles in turn that
differ in version and threshold, while visitors upload a photo and wait for the verdict. Prints how many
verdicts came from each version, how many answers failed or were turned away as "busy", and how many were
mixed: one version's name with the other's verdict.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

from benchmarks._command_line import parser
from benchmarks._server import CAT, opened
from benchmarks.visitors import Visitor
from cat_model import bundle
from cat_model.bundle import MANIFEST, MODEL, Bundle
from cat_model.settings import SHIPPED_BUNDLE

PATIENCE_S = 30
"""A bundle that is not picked up within this ends the benchmark."""


def versions(shipped: Bundle) -> dict[str, dict[str, bytes]]:
    """Return the files of two bundles: of one everything is a cat, of the other nothing."""
    made = {}
    for name, threshold in (("all-cats", 0.0), ("no-cats", 1.0)):
        manifest = dict(shipped.manifest) | {"version": name, "threshold": threshold}
        manifest |= {"second_look": None, "cascade": None}
        manifest["unsure"] = [threshold, threshold]
        made[name] = {MANIFEST: json.dumps(manifest).encode(), MODEL: shipped.model}
    return made


def checked(outcome: str, answer: str) -> str:
    """Return the version of a right verdict, "mixed" or what else came."""
    if outcome != "verdict":
        return outcome
    verdict = json.loads(answer.rpartition("data: ")[2])[0]
    right = verdict["is_cat"] == (verdict["model_version"] == "all-cats")
    return verdict["model_version"] if right else "mixed"


async def visit(address: str, photo: bytes, outcomes: Counter[str], ended: asyncio.Event) -> None:
    """Ask until it is ended."""
    async with Visitor(address) as visitor:
        upload = visitor.upload(photo)
        while not ended.is_set():
            outcomes[checked(*await visitor.ask(upload))] += 1


async def swap(folder: Path, address: str, made: dict[str, dict[str, bytes]], count: int) -> list[float]:
    """Replace the bundle so often; return the seconds until /health named each new version."""
    took = []
    async with httpx.AsyncClient(base_url=address, timeout=120) as client:
        for number in range(count):
            name = list(made)[(number + 1) % 2]
            await asyncio.to_thread(bundle.write, folder, made[name])
            began = time.perf_counter()
            while (await client.get("/health")).json()["model"] != name:
                if time.perf_counter() - began > PATIENCE_S:
                    raise TimeoutError(f"{name} was not picked up within {PATIENCE_S} s")
                await asyncio.sleep(0.05)
            took.append(time.perf_counter() - began)
    return took


async def run(
    folder: Path, address: str, made: dict[str, dict[str, bytes]], options: argparse.Namespace
) -> int:
    """Let visitors ask while the bundle is replaced; print what came; return 0 if nothing failed."""
    photo, outcomes, ended = CAT.read_bytes(), Counter(), asyncio.Event()
    asking = [asyncio.create_task(visit(address, photo, outcomes, ended)) for _ in range(options.visitors)]
    took = await swap(folder, address, made, options.swaps)
    ended.set()
    await asyncio.gather(*asking)
    told = {name: outcomes.pop(name, 0) for name in (*made, "busy")}
    print(
        f"{len(took)} swaps under {options.visitors} visitors, picked up after {max(took):.1f} s at most: "
        f"verdicts and busy {told}, failed or mixed {dict(outcomes)}"
    )
    return 1 if outcomes else 0


def main() -> int:
    """Run the command line; return the exit code."""
    command_line = parser(__doc__)
    command_line.add_argument("--swaps", type=int, default=50, help="how often (50)")
    command_line.add_argument("--visitors", type=int, default=32, help="how many at once (32)")
    options = command_line.parse_args()
    made = versions(Bundle.read(SHIPPED_BUNDLE))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "bundle"
        bundle.write(folder, made["all-cats"])
        with opened(CAT_BUNDLE=folder) as (address, _):
            return asyncio.run(run(folder, address, made, options))


if __name__ == "__main__":
    sys.exit(main())
