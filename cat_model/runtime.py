"""The TFLite interpreter: a batch of pixels in, named outputs out; safe from many threads."""

import queue
from dataclasses import dataclass
from typing import Any

import numpy as np

OUTPUTS = ("probability", "embedding", "share")


class ModelError(ValueError):
    """The model file is not what this program can serve; the message says what differs."""


@dataclass(frozen=True)
class Outputs:
    """What the model says of a batch of N photos.

    Attributes:
        probability: shape (N,), float32, 0 to 1: how likely each photo shows a cat.
        embedding: shape (N, D), float32: pooled features.
        share: shape (N, H, W), float32: what each cell of the feature map adds to the logit.
    """

    probability: np.ndarray
    embedding: np.ndarray
    share: np.ndarray


class Runtime:
    """Runs one TFLite model for many threads at once.

    An interpreter is not safe across threads, so each call borrows one of a few and gives it back.
    """

    def __init__(self, model: bytes, workers: int = 1, threads: int = 1) -> None:
        """Load a model.

        Args:
            model: the bytes of a .tflite file with a uint8 input of shape (1, side, side, 3) and the
                outputs `probability`, `embedding` and `share`.
            workers: how many batches may run at the same time.
            threads: CPU threads for one batch.

        Raises:
            ModelError: the bytes are no such model.
        """
        first = _Interpreter(model, threads)
        self.side: int = first.side
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
        if set(outputs) != set(OUTPUTS):
            raise ModelError(f"The model's outputs are {sorted(outputs)}; they must be {sorted(OUTPUTS)}.")
        (self._input,) = inputs.values()
        shape, dtype = tuple(map(int, self._input["shape"])), self._input["dtype"]
        if dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
            raise ModelError(
                f"The model takes {shape} of {np.dtype(dtype)}; it must take a square of uint8 RGB pixels."
            )
        dtypes = {name: str(np.dtype(outputs[name]["dtype"])) for name in OUTPUTS}
        if set(dtypes.values()) != {"float32"}:
            raise ModelError(f"The model's outputs are of the types {dtypes}; all must be float32.")
        self._batch, self.side = shape[:2]
        self._outputs = {name: outputs[name]["index"] for name in OUTPUTS}

    def run(self, pixels: np.ndarray) -> Outputs:
        count = len(pixels)
        if count != self._batch:
            self._tflite.resize_tensor_input(self._input["index"], pixels.shape)
            self._tflite.allocate_tensors()
            self._batch = count
        self._tflite.set_tensor(self._input["index"], pixels)
        self._tflite.invoke()
        probability, embedding, share = (self._tflite.get_tensor(self._outputs[name]) for name in OUTPUTS)
        return Outputs(
            probability=probability.reshape(count),
            embedding=embedding.reshape(count, -1),
            share=share.reshape(share.shape[:3]),
        )


def _interpreter_class() -> Any:  # noqa: ANN401 - either of two packages with the same interface
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:  # a small board, where only the runtime's older package is to be had
        from tflite_runtime.interpreter import Interpreter
    return Interpreter
