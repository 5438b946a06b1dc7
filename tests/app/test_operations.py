"""The running page from outside: what it tells operators, and what strangers cannot reach or do."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.app.conftest import ROOT, environment, free_port, running
from web import text
from web.server.queue import MOST_OPEN


def predict(address, photo):
    """Ask for a verdict as a program does; return the last event's data as text."""
    (path,) = httpx.post(f"{address}/gradio_api/upload", files={"files": ("p.jpg", photo)}, timeout=60).json()
    question = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    call = f"{address}/gradio_api/call/predict"
    event = httpx.post(call, json=question, timeout=60).json()["event_id"]
    return httpx.get(f"{call}/{event}", timeout=60).text


def test_health_and_metrics_tell_of_model_verdicts_and_refusals(server, examples, bad, predictor):
    health = httpx.get(f"{server.address}/health").json()
    assert health["ready"] is True
    assert health["model"] == predictor.bundle.version
    assert health["model_problem"] is None
    assert health["feedback"]["off"] is None
    assert '"label": "cat"' in predict(server.address, (examples / "chelsea.jpg").read_bytes())
    predict(server.address, bad["document.pdf"].read_bytes())
    text = httpx.get(f"{server.address}/metrics").text
    for name in (
        'cat_verdicts_total{label="cat"}', 'cat_refusals_total{cause="kind"}',
        'cat_seconds_count{step="decode"}', 'cat_seconds_count{step="inference"}',
        'cat_requests_total{route="upload",status="200"}', "cat_waiting",
    ):  # fmt: skip
        assert float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1]) >= (
            name != "cat_waiting"
        )
    assert f'cat_model_info{{version="{predictor.bundle.version}"}} 1.0' in text


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=/proc/self/environ",
        "/gradio_api/file=../../etc/passwd",
        "/gradio_api/file=..%2f..%2fetc%2fpasswd",
        "/gradio_api/file%3D/etc/passwd",
        "/gradio_api/file=.git/config",
        f"/gradio_api/file={ROOT}/app.py",
        f"/gradio_api/file={ROOT}/cat_model/bundle/manifest.json",
        "/static/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/../../../../etc/passwd",
        "/svelte/..%2f..%2fapp.py",
        "/gradio_api/file=http://127.0.0.1/",
        "/gradio_api/deep_link?session_hash=x",
        "/monitoring",
        "/.env",
    ],
)
def test_no_file_of_the_machine_can_be_reached(server, path):
    host, port = server.address.removeprefix("http://").split(":")

    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status in (403, 404)
    assert b"root:" not in body
    assert b"Traceback" not in body


def test_gradios_unsafe_defaults_are_off(server):
    config = httpx.get(f"{server.address}/config").json()
    assert config["run_history"] is False
    assert config["enable_queue"] is True
    assert config["max_file_size"] is None  # the browser makes photos smaller before it holds them to a limit
    assert config["show_error"] is False
    assert config["pwa"] is False
    assert config["footer_links"] == ["api"]
    assert not config.get("analytics_enabled")
    headers = httpx.get(server.address).headers
    assert "default-src 'self'" in headers["content-security-policy"]


def test_an_upload_beyond_the_limit_is_refused(server):
    for size, status in ((20_500_000, 413), (40_000_000, 413)):
        sent = httpx.post(
            f"{server.address}/gradio_api/upload", files={"files": ("big.jpg", bytes(size))}, timeout=120
        )
        assert sent.status_code == status
    assert not list(server.uploads.rglob("big.jpg"))


def test_no_stack_trace_reaches_a_visitor(server):
    for body in (b"", b"{", b'{"data": 5}', b'{"data": [{"path": "/etc/passwd"}]}', b'{"data": [[[[]]]]}'):
        for route in ("call/predict", "queue/join", "run/predict", "call/nothing"):
            answer = httpx.post(
                f"{server.address}/gradio_api/{route}",
                content=body,
                headers={"Content-Type": "application/json"},
                timeout=60,
            )
            assert "Traceback" not in answer.text
            assert "site-packages" not in answer.text


def test_a_login_a_rate_and_a_folder_that_cannot_be_written(tmp_path, examples):
    with running(tmp_path, CAT_LOGIN="ann:pass:word", CAT_RATE=5) as page:
        assert httpx.get(f"{page.address}/config").status_code == 401
        photo = {"files": ("photo.jpg", (examples / "coffee.jpg").read_bytes())}
        assert httpx.post(f"{page.address}/gradio_api/upload", files=photo).status_code == 401
        with httpx.Client(base_url=page.address) as client:
            assert client.post("/login", data={"username": "ann", "password": "wrong"}).status_code == 400
            assert client.post("/login", data={"username": "ann", "password": "pass:word"}).status_code == 200
            said = [client.post("/gradio_api/upload", files=photo) for _ in range(3)]
        assert [each.status_code for each in said] == [200, 200, 429]
        assert said[-1].text.startswith("You are quicker than I am, and others wait too.")
        assert "others wait too" in httpx.get(f"{page.address}/busy").text


@pytest.mark.slow
def test_a_running_page_follows_a_new_bundle_and_says_when_it_cannot(tmp_path, predictor):
    folder = shutil.copytree(predictor.bundle.folder, tmp_path / "bundle")
    with running(tmp_path, CAT_BUNDLE=folder) as page:
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(manifest | {"version": "the-next-one"}))
        until(lambda: httpx.get(f"{page.address}/health").json()["model"] == "the-next-one")
        (folder / "model.tflite").write_bytes(b"half")
        until(lambda: "4 bytes" in str(httpx.get(f"{page.address}/health").json()["model_problem"]))
        assert httpx.get(f"{page.address}/health").json()["model"] == "the-next-one"


def until(holds):
    for _ in range(240):
        if holds():
            return
        time.sleep(0.25)
    pytest.fail("It did not come about within a minute.")


@pytest.mark.slow
def test_visitors_who_wait_are_answered_before_the_page_ends(tmp_path, examples):
    """Ten ask, one is judged at a time, and the page is told to end at once: all are answered."""
    with running(tmp_path, CAT_WORKERS=1) as page:
        photo = (examples / "chelsea.jpg").read_bytes()
        api = f"{page.address}/gradio_api"
        (path,) = httpx.post(f"{api}/upload", files={"files": ("p.jpg", photo)}).json()
        question = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, 8]}
        first = httpx.post(f"{api}/call/explain", json=question).json()["event_id"]
        httpx.get(f"{api}/call/explain/{first}", timeout=60)  # SHAP is there now
        with ThreadPoolExecutor(10) as visitors:
            events = [httpx.post(f"{api}/call/explain", json=question).json()["event_id"] for _ in range(10)]
            answers = [
                visitors.submit(httpx.get, f"{api}/call/explain/{event}", timeout=60) for event in events
            ]
            until(lambda: httpx.get(f"{page.address}/health").json()["waiting"] < 10)
            page.process.send_signal(signal.SIGTERM)
            assert ['"label": "cat"' in each.result().text for each in answers] == [True] * 10
        assert page.process.wait(10) == 0


@pytest.mark.slow
def test_one_visitor_leaves_places_to_others_and_nobody_passes_the_queue(tmp_path, examples):
    with running(tmp_path, CAT_WORKERS=1) as page:
        api = f"{page.address}/gradio_api"
        photo = {"files": ("p.jpg", (examples / "chelsea.jpg").read_bytes())}
        (path,) = httpx.post(f"{api}/upload", files=photo).json()
        question = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, 512]}
        said = [httpx.post(f"{api}/call/explain", json=question) for _ in range(MOST_OPEN + 1)]
        assert [each.status_code for each in said] == [200] * MOST_OPEN + [503]
        assert said[-1].json()["detail"] == text.TOO_MANY
        assert httpx.get(f"{page.address}/busy").text == text.TOO_MANY
        if sys.platform == "linux":  # where each address that begins with 127 is this machine
            with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as other:
                assert other.post(f"{api}/call/explain", json=question).status_code == 200
        for name in ("predict", "explain", "feedback"):
            assert httpx.post(f"{api}/run/{name}", json=question).status_code == 404
        assert httpx.post(f"{api}/run/undo", json={"data": ["no code"]}).status_code != 404


@pytest.mark.skipif(sys.platform != "linux", reason="Users and read-only places are made with Linux's means.")
@pytest.mark.slow
def test_it_runs_as_a_plain_user_where_nothing_can_be_written_but_uploads(tmp_path, examples):
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("Only root can become another user, with setpriv.")
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    for folder in (tmp_path, *tmp_path.parents):  # pytest's own alone, one more of them under xdist
        if folder == tmp_path or folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o755)
    uploads.chmod(0o777)
    port = free_port()
    env = environment(
        CAT_PORT=port, CAT_FEEDBACK_DIR="/proc/feedback", GRADIO_TEMP_DIR=uploads, HOME="/nowhere"
    )
    plain = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*plain, sys.executable, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("This Python belongs to root alone.")
    with subprocess.Popen(
        [*plain, sys.executable, "app.py"], cwd=ROOT, env=env, stdout=subprocess.PIPE
    ) as page:
        try:
            for line in page.stdout:
                if b"Feedback is off: /proc/feedback" in line:
                    break
            address = f"http://127.0.0.1:{port}"
            assert '"label": "cat"' in predict(address, (examples / "chelsea.jpg").read_bytes())
            assert httpx.get(f"{address}/health").json()["feedback"]["off"]
        finally:
            page.terminate()
    assert page.returncode == 0
