"""Size, time and memory of a model against a baseline: another uint8 .tflite file, on the same machine now.

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

from cat_model.cascade import Cascade
from cat_model.runtime import Runtime
from export.gate import GateError

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
    """What a model costs, and what the baseline does.

    Attributes:
        baseline: name of the baseline's file.
        megabytes: size of the model's file, in 10⁶ bytes.
        verdict_ms: median time from a decoded photo of 640 × 480 pixels to the verdict, on one thread.
        invoke_ms: of it, the interpreter's: median of one invoke.
        memory_mb: growth of a process that loads and runs the model, in 10⁶ bytes.
        baseline_megabytes: size of the baseline's file.
        baseline_invoke_ms: median of the baseline's invoke, taking turns with the model.
        baseline_memory_mb: growth of a process that loads and runs the baseline.
        passes: mean passes of an answer to people's photos.
    """

    baseline: str
    megabytes: float
    verdict_ms: float
    invoke_ms: float
    memory_mb: float
    baseline_megabytes: float
    baseline_invoke_ms: float
    baseline_memory_mb: float
    passes: float = 1.0

    def for_gate(self) -> dict[str, float]:
        """Return the ratios that the gate's rules ask for, by the rules' names."""
        return {
            "baseline.size": self.megabytes / self.baseline_megabytes,
            "baseline.first_view": self.verdict_ms / self.baseline_invoke_ms,
            # A zoom is cut and run as the full view is, so each pass takes the same time.
            "baseline.time": self.passes * self.verdict_ms / self.baseline_invoke_ms,
            "baseline.memory": self.memory_mb / self.baseline_memory_mb,
        }


def read(path: Path) -> bytes:
    """Read a baseline.

    Raises:
        GateError: it cannot be read, or cannot be timed.
    """
    try:
        model = path.read_bytes()
        _invoke(model)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise GateError(
            f"The baseline {path} must be a .tflite file that takes uint8 pixels: {error}"
        ) from error
    return model


def measure(model: bytes, baseline: bytes, name: str, passes: float = 1.0) -> Budget:
    """Measure a model against a baseline.

    Args:
        model: bytes of a .tflite file that the app can serve.
        baseline: bytes of another one, as `read` returns them.
        name: of the baseline's file.
        passes: mean passes of an answer.
    """
    medians = {key: statistics.median(taken) for key, taken in times(model, baseline).items()}
    return Budget(
        baseline=name,
        megabytes=len(model) / 1e6,
        verdict_ms=medians["verdict"],
        invoke_ms=medians["invoke"],
        memory_mb=memory(model),
        baseline_megabytes=len(baseline) / 1e6,
        baseline_invoke_ms=medians["baseline"],
        baseline_memory_mb=memory(baseline),
        passes=passes,
    )


def times(model: bytes, baseline: bytes, rounds: int = 30) -> dict[str, list[float]]:
    """Time a model and a baseline on one thread, taking turns, so that a busy moment hits both.

    Args:
        model: bytes of a .tflite file that the app can serve.
        baseline: bytes of another one.
        rounds: turns of ten runs each.

    Returns:
        Milliseconds of each run: "baseline" (its invoke), "invoke" (the model's), "verdict" (from a decoded
        photo to the answer of its full view).
    """
    runs = {"baseline": _invoke(baseline), "invoke": _invoke(model), "verdict": _answering(model)}
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


def _answering(model: bytes) -> Callable[[], object]:
    """Return a function that answers one decoded photo as the app does, from its full view."""
    full_view = Cascade(Runtime(model))
    noise = np.random.default_rng(0).integers(0, 256, (PHOTO[1] // 8, PHOTO[0] // 8, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize(PHOTO)
    return lambda: full_view.answer([photo])
