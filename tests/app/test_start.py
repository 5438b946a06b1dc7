"""Starting and stopping `python app.py`: one sentence where it cannot start, no photo left when it stops."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from tests.app.conftest import ROOT, environment, free_port, running
from web.server.uploads import LIFE_S
from web.ui.photo import EXAMPLES


def refusal(**settings):
    """What `python app.py` says on its way out."""
    ended = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr
    sentences = [line for line in ended.stderr.splitlines() if not line.startswith("INFO:")]
    assert len(sentences) == 1, ended.stderr
    return sentences[0]


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in refusal(CAT_PORT=port)


@pytest.mark.slow
def test_a_missing_model_is_named(tmp_path):
    assert str(tmp_path / "none") in refusal(CAT_BUNDLE=tmp_path / "none")


@pytest.mark.slow
def test_a_damaged_model_is_named(tmp_path, predictor):
    bundle = shutil.copytree(predictor.bundle.folder, tmp_path / "bundle")
    model = bundle / "model.tflite"
    model.write_bytes(model.read_bytes()[:-1])
    assert "model.tflite" in refusal(CAT_BUNDLE=bundle)


@pytest.mark.slow
def test_a_place_where_no_photo_can_be_put_down_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert "Set GRADIO_TEMP_DIR" in refusal(GRADIO_TEMP_DIR=tmp_path / "file" / "uploads")


def test_a_bad_setting_is_named():
    assert "CAT_WORKERS" in refusal(CAT_WORKERS="many")


@pytest.fixture
def ignored_sigint():
    """What a script's background jobs inherit."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def upload(page, photo):
    httpx.post(f"{page.address}/gradio_api/upload", files={"files": ("secret.jpg", photo)}).raise_for_status()
    assert list(page.uploads.rglob("secret.jpg"))


@pytest.mark.parametrize("stop", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_stopping_ends_well_and_deletes_the_photos(tmp_path, examples, ignored_sigint, stop):
    with running(tmp_path) as page:
        upload(page, (examples / "coffee.jpg").read_bytes())
        page.process.send_signal(stop)
        assert page.process.wait(30) == 0
        assert not [path for path in page.uploads.rglob("*") if path.is_file()]
        assert not page.feedback.exists()  # made only when somebody answers


@pytest.mark.slow
def test_a_stalled_upload_does_not_keep_the_photos(tmp_path, examples):
    with running(tmp_path) as page:
        upload(page, (examples / "coffee.jpg").read_bytes())
        host, port = page.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as stalled:
            head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000000\r\n"
            part = '--x\r\nContent-Disposition: form-data; name="files"; filename="half.jpg"\r\n\r\nhalf'
            stalled.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n{part}".encode())
            page.process.send_signal(signal.SIGTERM)
            assert page.process.wait(30) == 0
        assert not [path for path in page.uploads.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_an_upload_that_broke_off_is_swept_and_the_examples_stay(tmp_path):
    with running(tmp_path) as page:
        host, port = page.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as broken:
            head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000000\r\n"
            part = '--x\r\nContent-Disposition: form-data; name="files"; filename="half.jpg"\r\n\r\nhalf'
            broken.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n{part}".encode())
            time.sleep(1)
        then = time.time() - LIFE_S - 60
        for path in page.uploads.rglob("*"):
            os.utime(path, (then, then))
        ends = time.monotonic() + 60
        while time.monotonic() < ends and (left := photos_in(page.uploads)):
            time.sleep(0.5)
        assert not left
        assert httpx.get(f"{page.address}/gradio_api/file={example_of(page)}").status_code == 200


def photos_in(uploads):
    """What lies there, but for the page's own examples."""
    return [path for path in uploads.rglob("*") if path.is_file() and path.name not in EXAMPLES.values()]


def example_of(page):
    """The path of an example that the page itself shows."""
    (found,) = page.uploads.rglob("chelsea.jpg")
    return found


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
@pytest.mark.slow
def test_proxies_do_not_keep_the_page_from_starting(tmp_path, proxy):
    """Nothing listens there; and there is no no_proxy."""
    names = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    with running(tmp_path, **dict.fromkeys(names, proxy), no_proxy="", NO_PROXY="") as page:
        assert httpx.get(f"{page.address}/config").status_code == 200


HARMFUL = {
    "GRADIO_ALLOWED_PATHS": "/",
    "GRADIO_ANALYTICS_ENABLED": "True",
    "GRADIO_BLOCKED_PATHS": "/",
    "GRADIO_CACHE_EXAMPLES": "true",
    "GRADIO_DEBUG": "1",
    "GRADIO_FLAGGING_MODE": "auto",
    "GRADIO_HOT_RELOAD": "1",
    "GRADIO_MCP_SERVER": "True",
    "GRADIO_NODE_PATH": "/nowhere/node",
    "GRADIO_NUM_PORTS": "1",
    "GRADIO_NUM_WORKERS": "3",
    "GRADIO_RUN_HISTORY": "True",
    "GRADIO_SHARE": "True",
    "GRADIO_SSR_MODE": "True",
    "GRADIO_VIBE_MODE": "1",
}


@pytest.mark.slow
def test_gradios_variables_that_would_harm_count_for_nothing(tmp_path, server, examples):
    with running(tmp_path, **HARMFUL) as page:
        changed = httpx.get(f"{page.address}/config").json()
        usual = httpx.get(f"{server.address}/config").json()
        own = ("app_id", "root", "username", "api_prefix")
        same = [name for name in usual if name not in (*own, "components", "dependencies", "layout")]
        assert {name: changed.get(name) for name in same} == {name: usual[name] for name in same}
        assert httpx.get(f"{page.address}/gradio_api/file={ROOT / 'pyproject.toml'}").status_code == 403
        assert httpx.get(f"{page.address}/gradio_api/mcp/").status_code == 404
        log = (tmp_path / "log.txt").read_text("utf-8")
        assert "gradio.live" not in log


@pytest.mark.slow
def test_gradios_own_address_counts_where_ours_is_not_set(tmp_path):
    port = free_port()
    settings = {"CAT_PORT": "", "GRADIO_SERVER_PORT": port, "GRADIO_SERVER_NAME": "127.0.0.1"}
    with running(tmp_path, port, **settings, GRADIO_ROOT_PATH="/cat") as page:
        assert httpx.get(f"{page.address}/cat/config").status_code == 200


def test_a_port_of_gradios_that_is_none_is_named():
    assert "GRADIO_SERVER_PORT is 'many'" in refusal(CAT_PORT="", GRADIO_SERVER_PORT="many")


@pytest.mark.parametrize("host", ["nosuchname.invalid", "192.0.2.1", "a" * 70])
@pytest.mark.slow
def test_a_host_that_is_not_this_machine_is_named(host):
    assert f"cannot open on {host}: this machine has no such address" in refusal(CAT_HOST=host)


@pytest.mark.parametrize("host", ["::", "::1"])
@pytest.mark.slow
def test_the_page_listens_on_ipv6(tmp_path, host):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"This machine has no IPv6: {error}.")
    port, log = free_port(), tmp_path / "log.txt"
    env = environment(CAT_HOST=host, CAT_PORT=port, CAT_FEEDBACK_DIR=tmp_path, GRADIO_TEMP_DIR=tmp_path)
    with (
        log.open("wb") as output,
        subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=output, stderr=output) as page,
    ):
        try:
            while "stop with Ctrl+C" not in log.read_text("utf-8"):
                assert page.poll() is None, log.read_text("utf-8")
                time.sleep(0.2)
            assert httpx.get(f"http://[::1]:{port}/health").status_code == 200
        finally:
            page.terminate()


def test_nothing_is_written_beside_the_program(server):
    assert not list(ROOT.glob("*.pyi")) + list((ROOT / "web").glob("*.pyi"))


@pytest.mark.slow
def test_a_space_is_open_to_all_addresses_and_brings_no_demo_features(tmp_path):
    with running(tmp_path, SPACE_ID="somebody/cat", SYSTEM="spaces") as page:
        config = httpx.get(f"{page.address}/config").json()
        assert "lives only until it restarts" in str(config)
        assert (config["pwa"], config["run_history"], config["footer_links"]) == (False, False, ["api"])
        if sys.platform == "linux":  # where each address that begins with 127 is this machine
            assert httpx.get(page.address.replace("127.0.0.1", "127.0.0.2")).status_code == 200


@pytest.mark.parametrize(
    "settings", [{}, {"SPACE_ID": "somebody/cat", "CAT_HF_DATASET": "somebody/feedback"}]
)
@pytest.mark.slow
def test_where_feedback_lasts_nothing_else_is_said(tmp_path, settings):
    with running(tmp_path, **settings) as page:
        config = str(httpx.get(f"{page.address}/config").json())
    assert "until it restarts" not in config
    assert ("Hugging Face dataset somebody/feedback" in config) == bool(settings)


def test_verdicts_and_their_reasons_do_without_what_is_large():
    """SHAP takes hundreds of megabytes: nobody pays for it before somebody asks to look closer."""
    code = """if True:
        import sys
        import cat_model
        from tests.app.test_feedback import Page
        from cat_model.feedback.outbox import Outbox
        from web.server.api import Endpoints
        from web.server.reload import ReloadingPredictor

        predictor = ReloadingPredictor(cat_model.load, cat_model.load().bundle.folder)
        Page(predictor, Outbox("nowhere")).answer("examples/chelsea.jpg")
        Endpoints(predictor).predict("examples/chelsea.jpg")
        print([name for name in ("shap", "numba", "boto3", "tensorflow") if name in sys.modules])"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
