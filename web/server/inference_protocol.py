"""The Open Inference Protocol (V2) with its binary tensor extension: bytes in, bytes out, without HTTP.

Inputs, of which a request has one:

- `image`: one encoded photo as UINT8 of shape [n] or [1, n], or N encoded photos as BYTES of shape [N] or
  [N, 1]; in JSON the elements of BYTES are base64;
- `pixels`: upright RGB pixels as UINT8 of shape [N, H, W, 3] or [H, W, 3].

Outputs, each of shape [N]: `probability` (FP32), `is_cat` (BOOL), `label` (BYTES).
"""

import base64
import binascii
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import orjson

from cat_model import Verdict

MODEL, PLATFORM = "are-you-a-cat", "tflite"
MOST_PHOTOS = 32
"""Photos of one request: they are answered one after the other, and others wait meanwhile."""
IMAGE, PIXELS = "image", "pixels"
INPUTS = [
    {"name": IMAGE, "datatype": "UINT8", "shape": [-1]},
    {"name": PIXELS, "datatype": "UINT8", "shape": [-1, -1, -1, 3]},
]
OUTPUTS = {"probability": "FP32", "is_cat": "BOOL", "label": "BYTES"}
"""The outputs, and the datatype of each."""


class ProtocolError(ValueError):
    """The request does not follow the protocol; the message says what is wrong, in words for its sender."""


@dataclass(frozen=True)
class InferRequest:
    """What a program asks.

    Attributes:
        photos: encoded photos, or arrays of shape (H, W, 3), uint8, RGB; at least one, at most MOST_PHOTOS.
        outputs: the outputs that it wants, in its order, and whether each is to be binary.
        id: what the answer is to be called, if the program said so.
    """

    photos: list[bytes | np.ndarray]
    outputs: dict[str, bool]
    id: str | None = None


def server_metadata(version: str) -> dict[str, Any]:
    """Return what /v2 tells."""
    return {"name": MODEL, "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata(version: str) -> dict[str, Any]:
    """Return what /v2/models/are-you-a-cat tells."""
    outputs = [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in OUTPUTS.items()]
    return {
        "name": MODEL,
        "versions": [version],
        "platform": PLATFORM,
        "inputs": INPUTS,
        "outputs": outputs,
    }


def read(body: bytes, json_bytes: int | None = None) -> InferRequest:
    """Read a request.

    Args:
        body: of the HTTP request.
        json_bytes: how many of its bytes are JSON, before binary tensors; None for all.

    Raises:
        ProtocolError: it is no valid request.
    """
    if json_bytes is not None and json_bytes > len(body):
        raise ProtocolError(
            f"The JSON should have {json_bytes} bytes by its header; the request has {len(body)}."
        )
    head = _object(body[:json_bytes])
    binary = None if json_bytes is None else body[json_bytes:]
    inputs = head.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise ProtocolError(f"Please send one input: {IMAGE} or {PIXELS}.")
    name = head.get("id")
    if name is not None and not isinstance(name, str):
        raise ProtocolError("The id must be a string.")
    return InferRequest(_photos(inputs[0], binary), _requested(head), name)


def write(request: InferRequest, verdicts: Sequence[Verdict], version: str) -> tuple[bytes, int | None]:
    """Return the body of the answer, and how many of its bytes are JSON; None for all.

    Args:
        request: what was asked.
        verdicts: one for each photo.
        version: of the model that answered.
    """
    outputs, tensors = [], []
    for name, binary in request.outputs.items():
        values = [getattr(verdict, name) for verdict in verdicts]
        output: dict[str, Any] = {"name": name, "datatype": OUTPUTS[name], "shape": [len(values)]}
        if binary:
            tensors.append(_tensor(OUTPUTS[name], values))
            output["parameters"] = {"binary_data_size": len(tensors[-1])}
        else:
            output["data"] = values
        outputs.append(output)
    told: dict[str, Any] = {"model_name": MODEL, "model_version": version, "outputs": outputs}
    if request.id is not None:
        told["id"] = request.id
    head = orjson.dumps(told)
    return head + b"".join(tensors), len(head) if tensors else None


def _object(text: bytes) -> dict[str, Any]:
    try:
        head = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"This is not JSON: {error}.") from None
    if not isinstance(head, dict):
        raise ProtocolError("The JSON of a request must be an object.")
    return head


def _photos(given: dict[str, Any], binary: bytes | None) -> list[bytes | np.ndarray]:
    name, kind, shape = given.get("name"), given.get("datatype"), given.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
        raise ProtocolError("The shape of an input must be a list of whole numbers above 0.")
    match name, kind, shape:
        case "image", "UINT8", [size] | [1, size]:
            return [_uint8(given, binary, size)]
        case "image", "BYTES", [count] | [count, 1]:
            return list(_elements(given, binary, _few(count)))
        case "pixels", "UINT8", [height, width, 3]:
            return _pictures(given, binary, (1, height, width, 3))
        case "pixels", "UINT8", [count, height, width, 3]:
            return _pictures(given, binary, (_few(count), height, width, 3))
    raise ProtocolError(
        f"An input {name!r} of type {kind!r} and shape {shape} is not known here. Please send {IMAGE} as "
        f"UINT8 [n] (one encoded photo) or BYTES [N], or {PIXELS} as UINT8 [N, height, width, 3]."
    )


def _few(count: int) -> int:
    if count > MOST_PHOTOS:
        raise ProtocolError(f"These are {count} photos; a request may hold {MOST_PHOTOS}.")
    return count


def _pictures(
    given: dict[str, Any], binary: bytes | None, shape: tuple[int, ...]
) -> list[bytes | np.ndarray]:
    data = _uint8(given, binary, math.prod(shape))
    return list(np.frombuffer(data, np.uint8).reshape(shape))


def _uint8(given: dict[str, Any], binary: bytes | None, size: int) -> bytes:
    data = _binary(given, binary)
    if data is None:
        values = given["data"]
        try:
            while values and isinstance(values[0], list):  # nested as the shape is
                values = list(chain.from_iterable(values))
            data = bytes(values)
        except (TypeError, ValueError):
            raise ProtocolError("The data of UINT8 must be whole numbers from 0 to 255.") from None
    if len(data) != size:
        raise ProtocolError(f"The shape asks for {size} values; the data has {len(data)}.")
    return data


def _elements(given: dict[str, Any], binary: bytes | None, count: int) -> list[bytes]:
    data = _binary(given, binary)
    elements = _decoded(given["data"]) if data is None else _cut(data)
    if len(elements) != count:
        raise ProtocolError(f"The shape asks for {count} photos; the data has {len(elements)}.")
    return elements


def _decoded(values: list[Any]) -> list[bytes]:
    if values and isinstance(values[0], list):
        values = [each for row in values if isinstance(row, list) for each in row]
    try:
        return [base64.b64decode(each, validate=True) for each in values]
    except (TypeError, ValueError, binascii.Error):
        raise ProtocolError("The data of BYTES must be strings in base64, one for each photo.") from None


def _cut(data: bytes) -> list[bytes]:
    """Return the elements of a binary tensor of BYTES: each comes after its length, 4 bytes little-endian."""
    elements, start = [], 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "little")
        if end > len(data) or start + 4 > len(data):
            raise ProtocolError("The binary data of BYTES ends in the middle of an element.")
        elements.append(data[start + 4 : end])
        start = end
    return elements


def _binary(given: dict[str, Any], binary: bytes | None) -> bytes | None:
    """Return the data of an input that is binary; None if it is in the JSON, as a list."""
    size = _parameters(given).get("binary_data_size")
    if size is None:
        if not isinstance(given.get("data"), list):
            raise ProtocolError("The input has no data: a list, or binary data of binary_data_size bytes.")
        if binary:
            raise ProtocolError("There is binary data behind the JSON; the input lacks its binary_data_size.")
        return None
    if binary is None:
        raise ProtocolError("Binary data needs the header Inference-Header-Content-Length.")
    if size != len(binary):
        raise ProtocolError(f"The binary data should have {size} bytes; it has {len(binary)}.")
    return binary


def _requested(head: dict[str, Any]) -> dict[str, bool]:
    """Return which outputs are wanted, and whether each is to be binary."""
    binary = _flag(_parameters(head), "binary_data_output", default=False)
    wanted = head.get("outputs")
    if not wanted:
        return dict.fromkeys(OUTPUTS, binary)
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        raise ProtocolError("The outputs must be a list of objects, each with a name.")
    requested = {}
    for each in wanted:
        name = each.get("name")
        if not isinstance(name, str) or name not in OUTPUTS:
            raise ProtocolError(f"There is no output {name!r}; there are {', '.join(OUTPUTS)}.")
        requested[name] = _flag(_parameters(each), "binary_data", default=binary)
    return requested


def _parameters(given: dict[str, Any]) -> dict[str, Any]:
    parameters = given.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise ProtocolError("The parameters must be an object.")
    return parameters


def _flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise ProtocolError(f"The parameter {name} must be true or false.")
    return value


def _tensor(datatype: str, values: list[Any]) -> bytes:
    match datatype:
        case "FP32":
            return np.array(values, "<f4").tobytes()
        case "BOOL":
            return bytes(values)
    encoded = [value.encode() for value in values]
    return b"".join(len(each).to_bytes(4, "little") + each for each in encoded)
