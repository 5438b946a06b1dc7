"""A restricted unpickler for PyTorch's files (.pth): it reads tensors without PyTorch, and nothing else.

The file is the one that `torch.save` wrote up to version 1.5: three small pickles (a magic number, a protocol
version, the machine's byte order), the state dict, the names of its storages, then each storage's raw values.
A tensor is a view of a storage: its offset, shape and strides say which of the values it has, and in which
order they lie.
"""

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.config import TrainError

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8"), "HalfStorage": np.dtype("<f2")}


@dataclass(frozen=True)
class _View:
    """A tensor: which values of which storage, in which order."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _StorageType:
    name: str


class _StateDict(pickle.Unpickler):
    """Unpickles a state dict; whatever is neither a tensor nor a dict is refused."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.dtypes: dict[str, np.dtype] = {}

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """Return what a global name stands for; pickle calls this."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _View(storage, offset, shape, strides)
        if module == "torch" and name in DTYPES:
            return _StorageType(name)  # type: ignore[return-value]  # pickle hands it on, and never calls it
        raise pickle.UnpicklingError(f"it holds {module}.{name}")

    def persistent_load(self, pid: Any) -> str:  # noqa: ANN401 - whatever the file holds
        """Note a storage's type and return its key; pickle calls this."""
        kind, storage_type, key, *_ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"it holds a {kind!r}")
        self.dtypes[key] = DTYPES[storage_type.name]
        return key


class _Plain(pickle.Unpickler):
    """Unpickles numbers, texts, lists and dicts."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - it never returns
        """Refuse; pickle calls this."""
        raise pickle.UnpicklingError(f"it holds {module}.{name}")


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a state dict by their names, each with the file's dtype.

    Raises:
        TrainError: the file cannot be read, or holds anything but tensors.
    """
    try:
        file = io.BytesIO(path.read_bytes())
        if _Plain(file).load() != MAGIC:
            raise pickle.UnpicklingError("it does not begin as a PyTorch file does")
        _Plain(file).load()  # version of the protocol
        if not _Plain(file).load()["little_endian"]:
            raise pickle.UnpicklingError("its numbers are big-endian")
        state = _StateDict(file)
        views = state.load()
        storages = {key: _storage(file, state.dtypes[key]) for key in _Plain(file).load()}
        return {name: _tensor(storages[view.storage], view) for name, view in views.items()}
    except (
        OSError,
        EOFError,
        pickle.UnpicklingError,
        KeyError,
        ValueError,
        AttributeError,
        struct.error,
    ) as e:
        raise TrainError(f"The weights in {path} cannot be read: {e}") from e


def _storage(file: io.BytesIO, dtype: np.dtype) -> np.ndarray:
    (count,) = struct.unpack("<q", file.read(8))
    return np.frombuffer(file.read(count * dtype.itemsize), dtype, count)


def _tensor(values: np.ndarray, view: _View) -> np.ndarray:
    last = view.offset + sum(
        (size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True)
    )
    if view.offset < 0 or min(view.strides, default=0) < 0 or last >= len(values):
        raise ValueError("a tensor lies outside its storage")
    strides = tuple(stride * values.itemsize for stride in view.strides)
    return np.lib.stride_tricks.as_strided(values[view.offset :], view.shape, strides, writeable=False).copy()
