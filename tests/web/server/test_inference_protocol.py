"""Requests and answers of the Open Inference Protocol, byte for byte; nothing is asked of a model."""

import base64
import json

import numpy as np
import pytest

from cat_model import Verdict
from web.server import inference_protocol as v2
from web.server.inference_protocol import ProtocolError, read, write

CAT = Verdict(0.75, True, False, "cat", "m1")
OTHER = Verdict(0.125, False, True, "not sure", "m1")
IMAGE = {"name": "image", "datatype": "UINT8", "shape": [4]}
BYTES = {"name": "image", "datatype": "BYTES", "shape": [2]}
PIXELS = {"name": "pixels", "datatype": "UINT8", "shape": [2, 1, 2, 3]}


def asked(given, **more):
    return json.dumps({"inputs": [given], **more}).encode()


def binary(given, data, **more):
    head = asked(given | {"parameters": {"binary_data_size": len(data)}}, **more)
    return read(head + data, len(head))


def test_one_encoded_photo_is_taken_in_both_forms():
    assert read(asked(IMAGE | {"data": [0, 1, 254, 255]})).photos == [b"\x00\x01\xfe\xff"]
    assert read(asked(IMAGE | {"shape": [1, 4], "data": [[9, 8, 7, 6]]})).photos == [b"\x09\x08\x07\x06"]
    assert binary(IMAGE, b"\r\n{}").photos == [b"\r\n{}"]


def test_several_encoded_photos_are_taken_in_both_forms():
    in_json = [base64.b64encode(each).decode() for each in (b"one", b"three")]
    assert read(asked(BYTES | {"data": in_json})).photos == [b"one", b"three"]
    assert read(asked(BYTES | {"shape": [2, 1], "data": [[each] for each in in_json]})).photos[1] == b"three"
    assert binary(BYTES, b"\x03\0\0\0one\x05\0\0\0three").photos == [b"one", b"three"]


def test_pixels_are_taken_flat_nested_and_binary():
    values = np.arange(12, dtype=np.uint8).reshape(2, 1, 2, 3)
    flat = read(asked(PIXELS | {"data": values.ravel().tolist()})).photos
    nested = read(asked(PIXELS | {"data": values.tolist()})).photos
    for photos in (flat, nested, binary(PIXELS, values.tobytes()).photos):
        assert np.array_equal(np.stack(photos), values)
    (single,) = read(asked(PIXELS | {"shape": [2, 2, 3], "data": values.ravel().tolist()})).photos
    assert single.shape == (2, 2, 3)


WRONG = {
    "not JSON": b"{",
    "an object": b"[]",
    "one input: image or pixels": json.dumps({"inputs": [IMAGE, IMAGE]}).encode(),
    "id must be a string": asked(IMAGE | {"data": [1, 2, 3, 4]}, id=5),
    "above 0": asked(IMAGE | {"shape": [-1]}),
    "whole numbers above": asked(IMAGE | {"shape": [True]}),
    "'FP32' and shape [4] is not known": asked(IMAGE | {"datatype": "FP32"}),
    "'picture' of type": asked(IMAGE | {"name": "picture"}),
    "shape [1, 2, 2, 4]": asked(PIXELS | {"shape": [1, 2, 2, 4]}),
    "These are 33 photos; a request may hold 32": asked(PIXELS | {"shape": [33, 1, 1, 3]}),
    "has no data": asked(IMAGE),
    "from 0 to 255": asked(IMAGE | {"data": [1, 2, 3, 256]}),
    "numbers from 0": asked(IMAGE | {"data": [1.5, 2, 3, 4]}),
    "must be whole numbers": asked(IMAGE | {"data": [[1, 2], "ab"]}),
    "asks for 4 values; the data has 3": asked(IMAGE | {"data": [1, 2, 3]}),
    "asks for 2 photos; the data has 1": asked(BYTES | {"data": ["AAAA"]}),
    "strings in base64": asked(BYTES | {"data": ["AAAA", "*"]}),
    "BYTES must be strings": asked(BYTES | {"data": ["AAAA", 7]}),
    "needs the header": asked(IMAGE | {"parameters": {"binary_data_size": 4}}),
    "parameters must be": asked(IMAGE | {"data": [1, 2, 3, 4], "parameters": [1]}),
    "no output 'dog'": asked(IMAGE | {"data": [1, 2, 3, 4]}, outputs=[{"name": "dog"}]),
    "a list of objects": asked(IMAGE | {"data": [1, 2, 3, 4]}, outputs=["label"]),
    "binary_data_output must be true or false": asked(
        IMAGE | {"data": [1, 2, 3, 4]}, parameters={"binary_data_output": 1}
    ),
}


@pytest.mark.parametrize("sentence", WRONG)
def test_what_is_wrong_is_said(sentence):
    with pytest.raises(ProtocolError) as said:
        read(WRONG[sentence])
    assert sentence in str(said.value)


def test_json_may_be_all_of_a_request_whose_header_says_how_much_it_is():
    body = asked(IMAGE | {"data": [0, 1, 254, 255]})
    assert read(body, len(body)).photos == [b"\x00\x01\xfe\xff"]
    with pytest.raises(ProtocolError, match=f"should have {len(body) + 1} bytes"):
        read(body, len(body) + 1)


def test_the_server_names_itself_and_its_version():
    assert v2.server_metadata("9") == {
        "name": "are-you-a-cat", "version": "9", "extensions": ["binary_tensor_data"],
    }  # fmt: skip


def test_what_is_wrong_with_binary_data_is_said():
    head = asked(IMAGE | {"parameters": {"binary_data_size": 4}})
    with pytest.raises(ProtocolError, match="should have 4 bytes; it has 3"):
        read(head + b"abc", len(head))
    with pytest.raises(ProtocolError, match="by its header"):
        read(head, len(head) + 1)
    head = asked(IMAGE | {"data": [1, 2, 3, 4]})
    with pytest.raises(ProtocolError, match="lacks its binary_data_size"):
        read(head + b"abc", len(head))
    for cut in (b"\x03\0\0\0one\x05\0\0\0thre", b"\x03\0\0\0one\x05\0"):
        with pytest.raises(ProtocolError, match="middle of an element"):
            binary(BYTES, cut)


def test_an_answer_in_json_has_every_output():
    request = read(asked(BYTES | {"data": ["AAAA", "AAAA"]}, id="q7"))
    body, json_bytes = write(request, [CAT, OTHER], "m1")
    assert json_bytes is None
    assert json.loads(body) == {
        "model_name": v2.MODEL,
        "model_version": "m1",
        "id": "q7",
        "outputs": [
            {"name": "probability", "datatype": "FP32", "shape": [2], "data": [0.75, 0.125]},
            {"name": "is_cat", "datatype": "BOOL", "shape": [2], "data": [True, False]},
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["cat", "not sure"]},
        ],
    }
    assert "id" not in json.loads(write(read(asked(IMAGE | {"data": [1, 2, 3, 4]})), [CAT], "m1")[0])


def test_an_answer_holds_what_was_asked_for_as_it_was_asked_for():
    data = IMAGE | {"data": [1, 2, 3, 4]}
    wanted = [{"name": "label"}, {"name": "probability", "parameters": {"binary_data": False}}]
    request = read(asked(data, outputs=wanted, parameters={"binary_data_output": True}))
    assert request.outputs == {"label": True, "probability": False}
    body, json_bytes = write(request, [OTHER], "m1")
    label, probability = json.loads(body[:json_bytes])["outputs"]
    assert label["parameters"] == {"binary_data_size": 12} and "data" not in label
    assert probability["data"] == [0.125]
    assert body[json_bytes:] == b"\x08\0\0\0not sure"


def test_binary_outputs_follow_each_other():
    request = read(asked(IMAGE | {"data": [1, 2, 3, 4]}, parameters={"binary_data_output": True}))
    body, json_bytes = write(request, [CAT], "m1")
    assert body[json_bytes:] == np.float32(0.75).tobytes() + b"\x01" + b"\x03\0\0\0cat"
