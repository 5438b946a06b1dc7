"""What the page's middleware lets through, turns away and says, without the page behind it."""

import asyncio
import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from starlette.requests import ClientDisconnect

from web import text
from web.server import middleware
from web.server.metrics import Metrics
from web.server.middleware import LogMiddleware, Rate, SecurityMiddleware, kind, visitor

MOST = 1000


async def echo(scope, receive, send):
    """An application that reads the whole body and answers with its length."""
    total, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        total, more = total + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(total).encode()})


def finished(work):
    """What a coroutine returns, in a thread of its own: the browser's tests leave a loop running here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def ask(method, path, a_minute=0, on_space=False, rate=None, metrics=None, app=echo, **options):
    """One request through the middleware."""
    guarded = SecurityMiddleware(
        app,
        metrics=metrics or Metrics(),
        rate=rate or Rate(a_minute),
        most_bytes=MOST,
        on_space=on_space,
    )

    async def asked():
        transport = httpx.ASGITransport(guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://cat") as client:
            return await client.request(method, path, **options)

    return finished(asked())


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/deep_link",
        "/gradio_api/proxy=http://x",
        "/gradio_api/vibe-edit",
        "/gradio_api/dev/reload",
        "/gradio_api/process_recording",
        "/gradio_api/runs",
        "/monitoring",
        "/.git/config",
        "/gradio_api//upload",
        "/gradio_api/component_server",
        "/file=/etc/passwd",
        "/docs",
        "/gradio_api",
        "/GRADIO_API/upload",
    ],
)
def test_what_the_page_does_not_need_is_not_there(path):
    assert ask("GET", path).status_code == 404
    assert ask("POST", path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/config", "/assets/x.js", "/gradio_api/upload", "/gradio_api/file=/x"]
)
def test_what_it_needs_is_let_through_with_headers(path):
    answer = ask("GET", path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self';" in policy
    assert "frame-ancestors 'self'" in policy
    assert "http" not in policy
    assert "camera=(self)" in answer.headers["permissions-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "huggingface.co" in ask("GET", path, on_space=True).headers["content-security-policy"]


def test_refusals_have_the_headers_too():
    assert "content-security-policy" in ask("GET", "/.env").headers


def test_a_body_too_big_is_refused_whether_it_says_so_or_not():
    assert ask("POST", "/gradio_api/upload", content=bytes(MOST)).text == str(MOST)
    said = ask("POST", "/gradio_api/upload", content=bytes(MOST + 1))
    assert said.status_code == 413
    assert "smaller" in said.text

    async def unsaid():
        for _ in range(5):
            yield bytes(MOST // 2)

    metrics = Metrics()
    with pytest.raises(AssertionError):  # the application was told that the visitor is gone: no answer
        ask("POST", "/gradio_api/upload", content=unsaid(), metrics=metrics)
    assert b'cat_refusals_total{cause="size"} 1.0' in metrics.text()


def test_who_asks_too_fast_is_told_when_to_go_on(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(middleware.time, "monotonic", lambda: now[0])
    rate = Rate(a_minute=6)
    post = "/gradio_api/queue/join"
    assert [ask("POST", post, rate=rate).status_code for _ in range(7)] == [200] * 6 + [429]
    answer = ask("POST", "/gradio_api/call/predict", rate=rate)
    assert answer.headers["retry-after"] == "11"
    assert "go on in 10 seconds" in answer.json()["detail"]
    assert ask("GET", "/gradio_api/queue/data", rate=rate).status_code == 200
    now[0] += 10
    assert [ask("POST", post, rate=rate).status_code for _ in range(2)] == [200, 429]
    now[0] += 3600
    assert [ask("POST", post, rate=rate).status_code for _ in range(7)] == [200] * 6 + [429]


def test_visitors_do_not_count_for_each_other_and_no_rate_is_none():
    rate = Rate(1)
    assert rate.ask("10.0.0.1") == 0 < rate.ask("10.0.0.1") <= 60
    assert rate.ask("10.0.0.2") == 0
    assert rate.wait("10.0.0.3") == rate.ask("10.0.0.3") == 0
    assert [Rate(0).ask("x") for _ in range(9)] == [0] * 9


def test_no_address_is_kept_and_not_all_of_many(monkeypatch):
    monkeypatch.setattr(middleware, "VISITORS", 50)
    rate = Rate(5)
    for number in range(200):
        rate.ask(f"10.9.8.{number}")
    assert len(rate._left) == 50
    assert "10.9.8" not in repr(rate)
    assert all(b"10.9.8" not in key for key in rate._left)
    assert Rate(5)._hash("x") != rate._hash("x")


def test_a_visitor_is_who_the_scope_says_and_no_header():
    scope = {"client": ("10.1.1.1", 5), "headers": [(b"x-forwarded-for", b"made-up, 1.2.3.4")]}
    assert visitor(scope) == "10.1.1.1"
    assert visitor({"client": None, "headers": []}) == ""


def test_the_log_has_one_line_and_nothing_of_the_visitor(capsys):
    metrics = Metrics()
    guarded = SecurityMiddleware(echo, metrics=metrics, rate=Rate(0), most_bytes=MOST, on_space=False)
    logged = LogMiddleware(guarded, metrics)

    async def asked():
        transport = httpx.ASGITransport(logged, client=("10.9.8.7", 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://cat") as client:
            path = "/gradio_api/file=/tmp/gradio/0123/my-face.jpg?name=Ann"
            await client.get(path, headers={"User-Agent": "secret"})

    finished(asked())
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert (said["method"], said["route"], said["status"]) == ("GET", "file", 200)
    assert set(said) == {"at", "method", "route", "status", "ms"}
    assert b'cat_requests_total{route="file",status="200"} 1.0' in metrics.text()


def test_an_upload_that_is_broken_off_is_a_line_and_no_stack_trace(capsys):
    async def broken_off(scope, receive, send):
        raise ClientDisconnect

    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload"}
    finished(LogMiddleware(broken_off, Metrics())(scope, None, None))
    assert json.loads(capsys.readouterr().out)["status"] == 499


def test_kinds_are_few():
    assert kind("/anything/else") == kind("/gradio_api/anything") == "other"
    assert kind("/") == "page"


async def full_disk(scope, receive, send):
    """An application that cannot put an upload down."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere/private")


def test_a_full_disk_is_said_in_a_sentence_and_without_its_path(caplog):
    said = ask("POST", "/gradio_api/upload", app=full_disk, content=b"photo")
    assert (said.status_code, said.text) == (507, text.NO_PLACE)
    assert "content-security-policy" in said.headers
    assert "No space left" in caplog.text
    assert "private" not in caplog.text
    with pytest.raises(OSError, match="No space"):
        ask("GET", "/gradio_api/info", app=full_disk)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/v1/predict", "v1_predict"),
        ("/v1/predict/", "other"),
        ("/v1/dog", "other"),
        ("/v2", "v2"),
        ("/v2/health/live", "v2"),
        ("/v2/models/my-own-name/infer", "v2_infer"),
        ("/v2x", "other"),
        ("/ping", "ping"),
        ("/invocations", "invocations"),
    ],
)
def test_requests_of_programs_are_told_apart(path, what):
    assert kind(path) == what


def test_programs_are_told_of_errors_as_their_protocol_has_it():
    said = ask("POST", "/v1/predict", content=bytes(MOST + 1))
    assert (said.status_code, list(said.json())) == (413, ["error"])
    assert list(ask("POST", "/gradio_api/queue/join", content=bytes(MOST + 1)).json()) == ["detail"]


def test_several_photos_cost_several_tokens(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(middleware.time, "monotonic", lambda: now[0])
    rate = Rate(a_minute=60)
    assert rate.ask("ann", 62) == 0
    assert rate.ask("ann") == pytest.approx(3)
    now[0] = 3.01
    assert rate.ask("ann") == 0
