"""A visitor of the benchmarks reads what the page says, in however many pieces it comes."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.visitors import Visitor

VERDICT = 'event: complete\ndata: [{"model_version": "abc"}]\n\n'


def plain(body, status=200):
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def in_pieces(*pieces):
    body = "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in (*pieces, ""))
    return f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"


def told(*answers):
    """Let a visitor ask, in a thread of its own: in this one browser tests may have left a loop running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, asking(*answers)).result()


async def asking(*answers):
    """Let a visitor ask a page that gives these answers; return what it was told, and what it sent."""
    left, sent = list(answers), []

    async def page(reader, writer):
        while left:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = head.partition("Content-Length: ")[2].split("\r\n")[0]
            sent.append((head.split()[1], await reader.readexactly(int(length or 0))))
            for half in (left[0][:90], left.pop(0)[90:]):
                writer.write(half.encode())
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    server = await asyncio.start_server(page, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Visitor(f"http://127.0.0.1:{port}") as visitor:
        return await visitor.ask(visitor.upload(b"a photo")), sent


def test_a_verdict_that_comes_in_pieces_is_joined():
    verdict = in_pieces(VERDICT[:40], VERDICT[40:])
    answers = (plain('["/tmp/photo.jpg"]'), plain('{"event_id": "e1"}'), verdict)
    said, sent = told(*answers)
    assert said == ("verdict", VERDICT)
    paths = ["/gradio_api/upload", "/gradio_api/call/predict", "/gradio_api/call/predict/e1"]
    assert [path for path, _ in sent] == paths
    assert b"a photo" in sent[0][1] and b"/tmp/photo.jpg" in sent[1][1]


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([plain("", 413)], "upload 413"),
        ([plain('["a"]'), plain("", 503)], "busy"),
        ([plain('["a"]'), plain("", 500)], "call 500"),
        ([plain('["a"]'), plain('{"event_id": "e1"}'), in_pieces("event: error")], "no verdict 200"),
        ([plain('["a"]')], "IncompleteReadError"),
    ],
)
def test_what_is_no_verdict_is_named(answers, outcome):
    assert told(*answers)[0][0] == outcome
