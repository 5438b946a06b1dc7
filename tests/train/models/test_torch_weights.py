"""PyTorch's files are read without PyTorch: strides and offsets count, and nothing in them is run."""

import io
import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest

from train.config import TrainError
from train.models.torch_weights import MAGIC, read


class Global:
    """Pickles as a name that the reader has to resolve, called with arguments."""

    def __init__(self, module, name, *arguments):
        self.what = module, name, arguments


class Storage:
    def __init__(self, kind, key, size):
        self.pid = ("storage", Global("torch", kind), key, "cpu", size, None)


class Writer(pickle._Pickler):  # the one in Python, for its methods can be overridden
    """Writes the few things that `torch.save` writes, by the names of a package that is not here."""

    def persistent_id(self, obj):
        return obj.pid if isinstance(obj, Storage) else None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            module, name, arguments = obj.what
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
            if arguments:
                self.save(arguments)
                self.write(pickle.REDUCE)
            return
        super().save(obj, save_persistent_id)


def written(path, tensors, storages, little_endian=True):
    """Write a file as `torch.save` did."""
    file = io.BytesIO()
    pickle.dump(MAGIC, file, 2)
    pickle.dump(1001, file, 2)
    pickle.dump({"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {}}, file, 2)
    Writer(file, 2).dump(tensors)
    pickle.dump(list(storages), file, 2)
    for values in storages.values():
        file.write(struct.pack("<q", len(values)) + values.tobytes())
    path.write_bytes(file.getvalue())
    return path


def tensor(kind, key, size, offset, shape, strides):
    storage = Storage(kind, key, size)
    return Global("torch._utils", "_rebuild_tensor_v2", storage, offset, shape, strides, False, OrderedDict())


def test_tensors_are_views_of_storages_with_offset_and_strides(tmp_path):
    values, counts = np.arange(24, dtype="<f4"), np.array([7], "<i8")
    tensors = OrderedDict(
        plain=tensor("FloatStorage", "a", 24, 0, (2, 3), (3, 1)),
        turned=tensor("FloatStorage", "a", 24, 6, (3, 2), (1, 3)),
        last=tensor("FloatStorage", "a", 24, 0, (2, 3, 4), (12, 4, 1)),
        count=tensor("LongStorage", "b", 1, 0, (), ()),
    )
    found = read(written(tmp_path / "w.pth", tensors, {"a": values, "b": counts}))
    np.testing.assert_array_equal(found["plain"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["turned"], [[6, 9], [7, 10], [8, 11]])
    np.testing.assert_array_equal(found["last"], values.reshape(2, 3, 4))
    assert (found["count"], found["count"].dtype) == (7, np.dtype("<i8"))


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(20, (5,), (1,)), (-1, (2,), (1,)), (5, (3,), (-1,))]
)
def test_a_tensor_outside_its_storage_is_refused(tmp_path, offset, shape, strides):
    tensors = {"x": tensor("FloatStorage", "a", 24, offset, shape, strides)}
    with pytest.raises(TrainError, match="outside its storage"):
        read(written(tmp_path / "w.pth", tensors, {"a": np.zeros(24, "<f4")}))


def test_whatever_else_a_pickle_could_do_is_refused_and_not_done(tmp_path):
    mark = tmp_path / "done"
    for module, name in ((os.name, "system"), ("builtins", "exec"), ("torch", "load")):
        evil = {"x": Global(module, name, f"touch {mark}")}
        with pytest.raises(TrainError, match=f"it holds {module}.{name}"):
            read(written(tmp_path / "w.pth", evil, {}))
    assert not mark.exists()


def test_files_of_another_kind_are_refused_in_words(tmp_path):
    path = tmp_path / "w.pth"
    for content in (b"", b"PK\x03\x04 a newer file", pickle.dumps(MAGIC, 2), pickle.dumps(5, 2)):
        path.write_bytes(content)
        with pytest.raises(TrainError, match=r"w\.pth cannot be read"):
            read(path)
    with pytest.raises(TrainError, match="big-endian"):
        read(written(path, {}, {}, little_endian=False))
    with pytest.raises(TrainError, match="cannot be read"):
        read(tmp_path / "missing.pth")


def test_a_file_that_was_cut_is_refused(tmp_path):
    tensors = {"x": tensor("FloatStorage", "a", 24, 0, (24,), (1,))}
    path = written(tmp_path / "w.pth", tensors, {"a": np.zeros(24, "<f4")})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(TrainError, match="cannot be read"):
        read(path)
