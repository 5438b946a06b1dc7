"""Visitors of a running page, as cheap as they can be: the processor time they take, the page does not have.

Plain sockets in one process, requests that are made once, and nothing parsed but what the next step needs.
"""

import asyncio
import json
import socket
from typing import Self

PIECE = 1 << 18
"""Bytes that are received at once."""
PATIENCE_S = 120
"""Seconds until a visitor gives up."""
STALLED = 3_000_000
"""Bytes of an upload that is begun and never ended."""


class Visitor:
    """Somebody with one connection to the page, who uploads a photo and waits for the verdict."""

    def __init__(self, address: str) -> None:
        """Remember whom to visit.

        Args:
            address: of the page, "http://host:port".
        """
        self.host, port = address.removeprefix("http://").split(":")
        self.port = int(port)
        self._socket: socket.socket | None = None

    async def __aenter__(self) -> Self:
        """Visit; the connection opens with the first request."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up."""
        self._hang_up()

    def upload(self, photo: bytes) -> bytes:
        """Return the request that uploads a photo, to be made once and sent often."""
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"\r\n'
        body = head + b"Content-Type: image/jpeg\r\n\r\n" + photo + b"\r\n--x--\r\n"
        return self._post("/gradio_api/upload", "multipart/form-data; boundary=x", body)

    async def ask(self, upload: bytes) -> tuple[str, str]:
        """Upload a photo and wait; return "verdict", "busy" or what went wrong, and the answer."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._ask(upload)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._hang_up()
            return type(error).__name__, ""

    async def _ask(self, upload: bytes) -> tuple[str, str]:
        status, body = await self._answer(upload)
        if status != 200:
            return f"upload {status}", body
        photo = {"path": json.loads(body)[0], "meta": {"_type": "gradio.FileData"}}
        call = "/gradio_api/call/predict"
        question = json.dumps({"data": [photo]}).encode()
        status, body = await self._answer(self._post(call, "application/json", question))
        if status != 200:
            return ("busy" if status == 503 else f"call {status}"), body
        event = json.loads(body)["event_id"]
        status, body = await self._answer(f"GET {call}/{event} HTTP/1.1\r\nHost: cat\r\n\r\n".encode())
        return ("verdict" if '"model_version"' in body else f"no verdict {status}"), body

    def stalled(self) -> bytes:
        """Return the beginning of a request that uploads a photo and never ends."""
        return self.upload(bytes(STALLED))[:-STALLED]

    @staticmethod
    def _post(path: str, kind: str, body: bytes) -> bytes:
        fields = f"Host: cat\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}"
        return f"POST {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body

    async def _answer(self, request: bytes) -> tuple[int, str]:
        """Send a request; return the status and the body of what comes back."""
        loop = asyncio.get_running_loop()
        if self._socket is None:
            self._socket = socket.socket()
            self._socket.setblocking(False)
            await loop.sock_connect(self._socket, (self.host, self.port))
        await loop.sock_sendall(self._socket, memoryview(request))
        said = b""
        while not _whole(said):
            piece = await loop.sock_recv(self._socket, PIECE)
            if not piece:
                raise asyncio.IncompleteReadError(said, None)
            said += piece
        head, _, body = said.partition(b"\r\n\r\n")
        if b"connection: close" in head.lower():
            self._hang_up()
        if b"transfer-encoding: chunked" in head.lower():
            body = _joined(body)
        return int(head[9:12]), body.decode()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Program(Visitor):
    """A program that sends a photo to /v1/predict, with one connection that stays open."""

    def upload(self, photo: bytes) -> bytes:
        """Return the request that asks about a photo, to be made once and sent often."""
        return self._post("/v1/predict", "image/jpeg", photo)

    async def _ask(self, upload: bytes) -> tuple[str, str]:
        status, body = await self._answer(upload)
        if status == 200:
            return "verdict", body
        return ("busy" if status == 503 else f"answer {status}"), body


class InferenceProgram(Program):
    """A program that sends a photo by the Open Inference Protocol, as a binary tensor."""

    def upload(self, photo: bytes) -> bytes:
        """Return the request that asks about a photo, to be made once and sent often."""
        image = {"name": "image", "datatype": "UINT8", "shape": [len(photo)]}
        head = json.dumps({"inputs": [image | {"parameters": {"binary_data_size": len(photo)}}]}).encode()
        kind = f"application/octet-stream\r\nInference-Header-Content-Length: {len(head)}"
        return self._post("/v2/models/are-you-a-cat/infer", kind, head + photo)


ENDPOINTS: dict[str, type[Visitor]] = {"page": Visitor, "v1": Program, "v2": InferenceProgram}
"""Who asks, by the name of what he asks."""


def _whole(said: bytes) -> bool:
    """Say whether an answer has come to its end."""
    head, end, body = said.partition(b"\r\n\r\n")
    if not end:
        return False
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if b"content-length" in fields:
        return len(body) >= int(fields[b"content-length"])
    return body.endswith(b"0\r\n\r\n")  # of pieces, the last of which is empty


def _joined(body: bytes) -> bytes:
    """Return what the pieces of an answer hold, each of which comes after its length."""
    whole = b""
    while body:
        length, _, rest = body.partition(b"\r\n")
        whole += rest[: int(length, 16)]
        body = rest[int(length, 16) + 2 :]
    return whole
