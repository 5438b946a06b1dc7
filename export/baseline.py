"""Size, time and memory of a model against a yardstick: another uint8 .tflite file, on the same machine now.

A figure in milliseconds says as much of the machine as of the model; a ratio to a well-known model that is
measured in the same minute says what a person would notice.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from cat_model.bundle import Bundle
from cat_model.predict import Predictor
from cat_model.runtime import Runtime
from export.gate import GateError
from export.second_look import TILE

PHOTO = (640, 480)
"""Width and height of the decoded photo whose verdict is timed."""
LOADS = 3
GROWTH = """
import sys
import psutil
from ai_edge_litert.interpreter import Interpreter
process = psutil.Process()
before = process.memory_info().rss
with open(sys.argv[1], "rb") as file:
    interpreter = Interpreter(model_content=file.read(), num_threads=1)
interpreter.allocate_tensors()
interpreter.invoke()
print(process.memory_info().rss - before)
"""
"""Loads a model as the app does, runs it once and prints by how many bytes its process has grown."""


@dataclass(frozen=True)
class Budget:
    """What a model costs, and what the yardstick does.

    Attributes:
        yardstick: name of the yardstick's file.
        megabytes: size of the model's file, in 10⁶ bytes.
        verdict_ms: median time from a decoded photo of 640 × 480 pixels to the verdict, on one thread.
        invoke_ms: of it, the interpreter's: median of one invoke.
        memory_mb: growth of a process that loads and runs the model, in 10⁶ bytes.
        yardstick_megabytes: size of the yardstick's file.
        yardstick_invoke_ms: median of the yardstick's invoke, taking turns with the model.
        yardstick_memory_mb: growth of a process that loads and runs the yardstick.
        tiles_ms: what a second look at the same photo takes on top of the verdict's time.
        looked_twice: share of test photos that get a second look, 0 to 1.
    """

    yardstick: str
    megabytes: float
    verdict_ms: float
    invoke_ms: float
    memory_mb: float
    yardstick_megabytes: float
    yardstick_invoke_ms: float
    yardstick_memory_mb: float
    tiles_ms: float = 0.0
    looked_twice: float = 0.0

    def for_gate(self) -> dict[str, float]:
        """Return the ratios that the gate's rules ask for, by the rules' names."""
        return {
            "yardstick.size": self.megabytes / self.yardstick_megabytes,
            "yardstick.time": (self.verdict_ms + self.looked_twice * self.tiles_ms)
            / self.yardstick_invoke_ms,
            "yardstick.memory": self.memory_mb / self.yardstick_memory_mb,
        }


def read(path: Path) -> bytes:
    """Read a yardstick.

    Raises:
        GateError: it cannot be read, or cannot be timed.
    """
    try:
        model = path.read_bytes()
        _invoke(model)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise GateError(
            f"The yardstick {path} must be a .tflite file that takes uint8 pixels: {error}"
        ) from error
    return model


def measure(model: bytes, yardstick: bytes, name: str, looked_twice: float = 0.0) -> Budget:
    """Measure a model against a yardstick.

    Args:
        model: bytes of a .tflite file that the app can serve.
        yardstick: bytes of another one, as `read` returns them.
        name: of the yardstick's file.
        looked_twice: share of photos that get a second look, 0 to 1.
    """
    medians = {key: statistics.median(taken) for key, taken in times(model, yardstick).items()}
    return Budget(
        yardstick=name,
        megabytes=len(model) / 1e6,
        verdict_ms=medians["verdict"],
        invoke_ms=medians["invoke"],
        memory_mb=memory(model),
        yardstick_megabytes=len(yardstick) / 1e6,
        yardstick_invoke_ms=medians["yardstick"],
        yardstick_memory_mb=memory(yardstick),
        tiles_ms=medians["tiles"],
        looked_twice=looked_twice,
    )


def times(model: bytes, yardstick: bytes, rounds: int = 30) -> dict[str, list[float]]:
    """Time a model and a yardstick on one thread, taking turns, so that a busy moment hits both.

    Args:
        model: bytes of a .tflite file that the app can serve.
        yardstick: bytes of another one.
        rounds: turns of ten runs each.

    Returns:
        Milliseconds of each run: "yardstick" (its invoke), "invoke" (the model's), "verdict" (from a decoded
        photo to the verdict), "tiles" (a second look at it).
    """
    verdict, tiles = _judging(model)
    runs = {"yardstick": _invoke(yardstick), "invoke": _invoke(model), "verdict": verdict, "tiles": tiles}
    return _take_turns(runs, rounds)


def memory(model: bytes) -> float:
    """Return by how many 10⁶ bytes a fresh process grows that loads and runs a model; the median of a few."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(model)
        command = [sys.executable, "-c", GROWTH, str(path)]
        grown = [subprocess.run(command, check=True, capture_output=True).stdout for _ in range(LOADS)]
    return statistics.median(int(each) for each in grown) / 1e6


def _take_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 2):
        for name, run in runs.items():
            for _ in range(10):
                start = time.perf_counter()
                run()
                if turn >= 2:  # the first two turns are to warm up
                    taken[name].append(1e3 * (time.perf_counter() - start))
    return taken


def _invoke(model: bytes) -> Callable[[], object]:
    """Return a function that runs a uint8 model once, on one thread, on random pixels."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    (details,) = interpreter.get_input_details()
    pixels = np.random.default_rng(0).integers(0, 256, details["shape"], dtype=np.uint8)
    interpreter.set_tensor(details["index"], pixels)
    return interpreter.invoke


def _judging(model: bytes) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return functions that judge one decoded photo as the app does: at one look, and at its tiles."""
    # Neither the threshold nor the band changes the time it takes.
    bundle = Bundle(Path(), model, {}, "", Runtime(model).side, 0.5, (0.5, 0.5))
    predictor = Predictor(bundle)
    noise = np.random.default_rng(0).integers(0, 256, (PHOTO[1] // 8, PHOTO[0] // 8, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize(PHOTO)
    return lambda: predictor.predict(photo), lambda: predictor.strongest_tile([photo], TILE)
