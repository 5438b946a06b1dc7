"""The TFLite interpreter: a batch of pixels in, named outputs out; safe from many threads."""

import queue
from dataclasses import dataclass
from typing import Any

import numpy as np

OUTPUTS, CAT_MAP = ("probability", "embedding", "share"), "cat_map"
"""The outputs that every model has, and the one that models from before zooms do not have."""


class ModelError(ValueError):
    """The model file is not what this program can serve; the message says what differs."""


@dataclass(frozen=True)
class Outputs:
    """What the model says of a batch of N photos.

    Attributes:
        probability: shape (N,), float32, 0 to 1: how likely each photo shows a cat.
        embedding: shape (N, D), float32: pooled features.
        share: shape (N, H, W), float32: the attribution of each cell; they sum to the logit.
        cat_map: shape (N, H, W), float32: the logit that each cell shows a cat; None without such an output.
    """

    probability: np.ndarray
    embedding: np.ndarray
    share: np.ndarray
    cat_map: np.ndarray | None = None


class Runtime:
    """Runs one TFLite model for many threads at once.

    An interpreter is not safe across threads, so each call borrows one of a few and gives it back.
    """

    def __init__(self, model: bytes, workers: int = 1, threads: int = 1) -> None:
        """Load a model.

        Args:
            model: the bytes of a .tflite file with a uint8 input of shape (1, side, side, 3) and the
                outputs `probability`, `embedding`, `share` and perhaps `cat_map`.
            workers: how many batches may run at the same time.
            threads: CPU threads for one batch.

        Raises:
            ModelError: the bytes are no such model.
        """
        first = _Interpreter(model, threads)
        self.side: int = first.side
        self.has_cat_map: bool = first.has_cat_map
        self._idle: queue.LifoQueue[_Interpreter] = queue.LifoQueue()
        self._idle.put(first)
        for _ in range(workers - 1):
            self._idle.put(_Interpreter(model, threads))

    def run(self, pixels: np.ndarray) -> Outputs:
        """Judge a batch; waits for a free interpreter.

        Args:
            pixels: shape (N, side, side, 3), dtype uint8, RGB, N at least 1.

        Raises:
            ValueError: the array has another shape or dtype.
        """
        expected = (self.side, self.side, 3)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != expected or not len(pixels):
            raise ValueError(f"expected (N, *{expected}) of uint8, got {pixels.shape} of {pixels.dtype}")
        interpreter = self._idle.get()
        try:
            return interpreter.run(pixels)
        finally:
            self._idle.put(interpreter)


class _Interpreter:
    """One interpreter, for one thread at a time; re-shaped only when the batch size changes."""

    def __init__(self, model: bytes, threads: int) -> None:
        try:
            self._tflite = _interpreter_class()(model_content=model, num_threads=threads)
            self._tflite.allocate_tensors()
            signature = self._tflite.get_signature_runner()
            inputs, outputs = signature.get_input_details(), signature.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"This is not a model that can be served: {error}") from error
        if len(inputs) != 1:
            raise ModelError(f"The model takes {len(inputs)} inputs; it must take one, the pixels.")
        if set(outputs) - {CAT_MAP} != set(OUTPUTS):
            raise ModelError(f"The model's outputs are {sorted(outputs)}; they must be {sorted(OUTPUTS)}.")
        (self._input,) = inputs.values()
        shape, dtype = tuple(map(int, self._input["shape"])), self._input["dtype"]
        if dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
            raise ModelError(
                f"The model takes {shape} of {np.dtype(dtype)}; it must take a square of uint8 RGB pixels."
            )
        dtypes = {name: str(np.dtype(details["dtype"])) for name, details in outputs.items()}
        if set(dtypes.values()) != {"float32"}:
            raise ModelError(f"The model's outputs are of the types {dtypes}; all must be float32.")
        self._batch, self.side = shape[:2]
        self.has_cat_map = CAT_MAP in outputs
        self._outputs = {name: details["index"] for name, details in outputs.items()}

    def run(self, pixels: np.ndarray) -> Outputs:
        count = len(pixels)
        if count != self._batch:
            self._tflite.resize_tensor_input(self._input["index"], pixels.shape)
            self._tflite.allocate_tensors()
            self._batch = count
        self._tflite.set_tensor(self._input["index"], pixels)
        self._tflite.invoke()
        said = {name: self._tflite.get_tensor(index) for name, index in self._outputs.items()}
        maps = said.get(CAT_MAP)
        return Outputs(
            probability=said["probability"].reshape(count),
            embedding=said["embedding"].reshape(count, -1),
            share=said["share"].reshape(said["share"].shape[:3]),
            cat_map=None if maps is None else maps.reshape(maps.shape[:3]),
        )


def _interpreter_class() -> Any:  # noqa: ANN401 - either of two packages with the same interface
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:  # a small board, where only the runtime's older package is to be had
        from tflite_runtime.interpreter import Interpreter  # pyright: ignore[reportMissingImports]
    return Interpreter
