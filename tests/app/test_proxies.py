"""The page behind real reverse proxies: below a path, stripped or not, with or without the Host header."""

import os
import shutil
import subprocess
import textwrap
import time
from contextlib import contextmanager

import httpx
import pytest
from gradio_client import Client, handle_file

from tests.app.conftest import ROOT, WITHOUT_ENGINE, free_port, running
from tests.app.visiting import CAT, OTHER, answered, example, show

pytestmark = pytest.mark.slow

WAYS = [
    ("nginx", "kept", "host"), ("nginx", "kept", "no host"), ("nginx", "stripped", "host"),
    ("nginx", "stripped", "no host"), ("caddy", "kept", "host"), ("caddy", "stripped", "host"),
]  # fmt: skip
NGINX = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""
CADDY = """
{{
    admin off
    auto_https off
    grace_period 1s
}}
http://localhost:{port}, http://127.0.0.1:{port} {{
    bind 127.0.0.1
    {location}
}}
"""


def documented(begins):
    """The configuration in the documentation that begins with this line."""
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    return textwrap.dedent(next(block for block in text.split("\n\n") if block.startswith(f"    {begins}")))


def configuration(name, path, host, page):
    """What the documentation says, for a page on this port; changed where something else is tried."""
    location = documented("location /cats/" if name == "nginx" else "redir /cats")
    location = location.replace("127.0.0.1:7860", f"127.0.0.1:{page}")
    if path == "stripped":
        location = location.replace(f"{page};", f"{page}/;").replace("handle ", "handle_path ")
    if host == "no host":
        location = "\n".join(line for line in location.splitlines() if "Host" not in line)
    return location


@contextmanager
def proxy(folder, name, path, host, page):
    """Run a proxy in front of a page; the address that it shows the page at."""
    program = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/bin")
    if program is None:
        pytest.skip(f"No {name}: install it (Debian: apt-get install {name}).")
    folder.mkdir()
    port, file = free_port(), folder / f"{name}.conf"
    location = configuration(name, path, host, page)
    # Started by root, nginx becomes "nobody", who may not write to the folder of a test.
    user = "user root;" if os.name == "posix" and os.geteuid() == 0 else ""
    config = NGINX if name == "nginx" else CADDY
    file.write_text(config.format(folder=folder, port=port, location=location, user=user))
    asked = ["-p", folder, "-e", folder / "error.log", "-c", file]
    if name == "caddy":
        asked = ["run", "--adapter", "caddyfile", "--config", file]
    with (folder / "log.txt").open("wb") as log:
        home = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
        process = subprocess.Popen([program, *map(str, asked)], stdout=log, stderr=log, env=home)
    try:
        address = f"http://localhost:{port}/cats/"
        ends = time.monotonic() + 30
        while not answers(address):
            assert time.monotonic() < ends, f"Nothing answers at {address}health."
            assert process.poll() is None, (folder / "log.txt").read_text("utf-8")
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def answers(address):
    try:
        return httpx.get(f"{address}health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    settings = {"CAT_ROOT_PATH": "/cats", "CAT_TRUSTED_PROXIES": "127.0.0.1"}
    with running(tmp_path_factory.mktemp("page"), **settings) as started:
        yield started


@pytest.fixture(params=WAYS, ids=" ".join)
def shown(request, page, tmp_path):
    """An address that a proxy shows the page at."""
    with proxy(tmp_path / "proxy", *request.param, page.address.rpartition(":")[2]) as address:
        yield address


def test_the_page_its_examples_and_the_live_tab_work(shown, camera, examples):
    context = camera.new_context(permissions=["camera"])
    context.set_default_timeout(60_000)
    visited, missing = context.new_page(), []
    visited.on("response", lambda answer: answer.status >= 400 and missing.append(answer.url))
    visited.add_init_script(WITHOUT_ENGINE)
    visited.goto(f"{shown}?from=somewhere")
    example(visited, "A cat")
    answered(visited, CAT)
    show(visited, examples / "coffee.jpg")
    visited.locator(OTHER).wait_for()
    visited.wait_for_function("document.querySelector('#photo img')?.naturalWidth > 0")
    visited.wait_for_function("[...document.querySelectorAll('#examples img')].every(it => it.naturalWidth)")
    visited.get_by_role("tab", name="Live").click()
    visited.get_by_text("Click to Access Webcam").locator("visible=true").click()
    visited.locator("#live .verdict.cat").wait_for()
    context.close()
    assert [url for url in missing if "manifest.json" not in url and "favicon" not in url] == []


def test_without_the_last_slash_one_gets_there(shown):
    answer = httpx.get(shown.removesuffix("/"), follow_redirects=True)
    assert (answer.status_code, str(answer.url)) == (200, shown)


def test_programs_work(shown, examples):
    client = Client(shown, verbose=False)
    assert client.predict(handle_file(str(examples / "chelsea.jpg")), api_name="/predict")["is_cat"]
    assert httpx.get(f"{shown}config").json()["root"] == ""


def statuses(address, mine, times=1, **headers):
    """What somebody with an address of his own is answered to a question."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=mine), headers=headers) as client:
        return [client.post(f"{address}gradio_api/queue/join", json={}).status_code for _ in range(times)]


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_visitors_have_limits_of_their_own_and_cannot_make_up_others(tmp_path, name):
    settings = {"CAT_ROOT_PATH": "/cats", "CAT_TRUSTED_PROXIES": "127.0.0.1", "CAT_RATE": 3}
    with (
        running(tmp_path / "page", **settings) as page,
        proxy(tmp_path / "proxy", name, "kept", "host", page.address.rpartition(":")[2]) as address,
    ):
        there = address.replace("localhost", "127.0.0.1")
        assert statuses(there, "127.0.0.2", 4)[-1] == 429
        assert statuses(there, "127.0.0.2", **{"X-Forwarded-For": "192.0.2.1"}) == [429]
        assert statuses(there, "127.0.0.3") != [429]
        direct = f"{page.address}/"  # whoever goes around the proxy is nobody that is trusted
        made_up = [statuses(direct, "127.0.0.4", **{"X-Forwarded-For": f"192.0.2.{n}"})[0] for n in range(4)]
        assert made_up[-1] == 429


def test_without_trusted_proxies_no_header_counts_from_this_machine_neither(tmp_path):
    with running(tmp_path / "page", CAT_RATE=3, FORWARDED_ALLOW_IPS="*") as page:
        made_up = [
            statuses(f"{page.address}/", "127.0.0.1", **{"X-Forwarded-For": f"192.0.2.{n}"})[0]
            for n in range(4)
        ]
    assert made_up[-1] == 429


def test_examples_of_code_name_the_host_of_who_asks(page):
    for host in ("one.example", "other.example"):
        said = httpx.get(f"{page.address}/gradio_api/info", headers={"Host": host}).text
        assert f"http://{host}/cats" in said
