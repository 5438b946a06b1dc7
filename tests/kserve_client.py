"""What KServe's own client says of a page: `kserve-python tests/kserve_client.py ADDRESS PHOTO [KEY]`.

Runs in the environment of KServe's packages (`python -m tests --engines`), which do not fit the project's.
Prints one JSON object.
"""

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

MODEL, OUTPUTS = "are-you-a-cat", ("probability", "is_cat", "label")


async def ask(address: str, photo: bytes, headers: dict[str, str]) -> dict:
    """Ask in each way that the client knows; return what it made of the answers."""
    client, said = InferenceRESTClient(RESTConfig(protocol="v2", retries=0, timeout=60)), {}
    said["live"] = await client.is_server_live(address)
    said["ready"] = await client.is_server_ready(address)
    said["model ready"] = await client.is_model_ready(address, MODEL)
    encoded = np.frombuffer(photo, np.uint8)
    pixels = np.zeros((2, 32, 40, 3), np.uint8)
    for name, values, binary in (
        ("image", encoded, True),
        ("image", encoded, False),
        ("pixels", pixels, True),
    ):
        given = InferInput(name, list(values.shape), "UINT8")
        given.set_data_from_numpy(values, binary_data=binary)
        for wanted in (False, True):
            outputs = [RequestedOutput(each, {"binary_data": wanted}) for each in OUTPUTS]
            request = InferRequest(MODEL, [given], request_id="q1", request_outputs=outputs)
            answer = await client.infer(address, request, model_name=MODEL, headers=dict(headers))
            key = f"{name}{' binary' * binary}, answer {'binary' if wanted else 'JSON'}"
            said[key] = {each.name: each.as_numpy().tolist() for each in answer.outputs} | {"id": answer.id}
    broken = InferInput("image", [3], "UINT8")
    broken.set_data_from_numpy(np.zeros(3, np.uint8), binary_data=True)
    try:
        await client.infer(address, InferRequest(MODEL, [broken]), model_name=MODEL, headers=dict(headers))
    except Exception as error:  # noqa: BLE001 - whatever the client makes of a refusal
        said["refused"] = str(error)
    await client.close()
    return said


if __name__ == "__main__":
    key = {"Authorization": f"Bearer {sys.argv[3]}"} if sys.argv[3:] else {}
    print(
        json.dumps(asyncio.run(ask(sys.argv[1], Path(sys.argv[2]).read_bytes(), key)), default=bytes.decode)
    )
