"""Whose headers count, whose request it is, and which part of a path is the page's own."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

import pytest

from web.server.proxy import ORIGIN, ROOT, Proxies, ProxyMiddleware, parsed

TRUSTED = (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def seen(path="/", peer="127.0.0.1", proxies=None, **headers):
    """The scope that stands behind the middleware."""
    found = []

    async def app(scope, *_):
        found.append(scope)

    scope = {
        "type": "http",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "client": (peer, 5),
        "headers": [(b"host", b"cat:7860")]
        + [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    middleware = ProxyMiddleware(app, proxies or Proxies(TRUSTED))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, middleware(scope, None, None)).result()
    return found[0]


@pytest.mark.parametrize(
    ("peer", "forwarded", "whose"),
    [
        ("127.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("127.0.0.1", "made-up, 1.2.3.4", "1.2.3.4"),
        ("127.0.0.1", "9.9.9.9, 1.2.3.4, 10.0.0.7", "1.2.3.4"),
        ("127.0.0.1", "10.0.0.7", "10.0.0.7"),
        ("127.0.0.1", "1.2.3.4, unknown", "127.0.0.1"),
        ("127.0.0.1", "1.2.3.4:5678", "1.2.3.4"),
        ("127.0.0.1", "[2001:db8::1]:5678", "2001:db8::1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("::ffff:127.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("fd00::1", "1.2.3.4", "1.2.3.4"),
        ("192.0.2.9", "1.2.3.4", "192.0.2.9"),
        ("", "1.2.3.4", ""),
    ],
)
def test_the_visitor_is_who_the_trusted_proxies_say(peer, forwarded, whose):
    assert seen(peer=peer, x_forwarded_for=forwarded)["client"][0] == whose


def test_on_a_space_the_last_address_counts_whoever_connects():
    space = Proxies(any_peer=True)
    assert seen(peer="192.0.2.9", proxies=space, x_forwarded_for="made-up, 1.2.3.4")["client"][0] == "1.2.3.4"
    assert seen(peer="192.0.2.9", proxies=space)["client"] == ("192.0.2.9", 5)


def test_nothing_behind_sees_what_proxies_said():
    said = {
        "x_forwarded_host": "evil",
        "x_gradio_server": "http://evil",
        "forwarded": "for=x",
        "x_real_ip": "x",
    }
    assert seen(**said)["headers"] == [(b"host", b"cat:7860")]


@pytest.mark.parametrize(
    ("path", "root", "own"),
    [
        ("/cats/config", "/cats", "/config"),
        ("/config", "/cats", "/config"),
        ("/cats/", "/cats", "/"),
        ("/cats", "/cats", ""),
        ("/catsup", "/cats", "/catsup"),
        ("/a/cats/config", "https://example.org/a/cats", "/config"),
        ("/config", "", "/config"),
    ],
)
def test_the_prefix_is_taken_off_where_the_proxy_has_not(path, root, own):
    scope = seen(path, proxies=Proxies(root_path=root))
    assert (scope["path"], scope["raw_path"]) == (own, own.encode())


def test_the_prefix_may_come_from_a_trusted_proxy_if_it_is_a_path():
    assert seen("/cats/config", x_forwarded_prefix="/cats/")["path"] == "/config"
    assert seen("/cats/config", peer="192.0.2.9", x_forwarded_prefix="/cats")["path"] == "/cats/config"
    for bad in ("//evil.example", "https://evil.example", "/a b"):
        assert seen(x_forwarded_prefix=bad)[ROOT] == ""


def test_the_address_of_the_page_is_what_trusted_proxies_and_settings_say():
    said = {"x_forwarded_host": "example.org, inner", "x_forwarded_proto": "https"}
    assert seen(**said)[ORIGIN] == "https://example.org"
    assert seen(peer="192.0.2.9", **said)[ORIGIN] == "http://cat:7860"
    whole = seen(proxies=Proxies(TRUSTED, root_path="https://there.example/cats"), **said)
    assert (whole[ORIGIN], whole[ROOT]) == ("https://there.example", "/cats")


@pytest.mark.parametrize("text", ["", "unknown", "1.2.3", "[::1", "_hidden", "1.2.3.4:x:y"])
def test_what_is_no_address_is_none(text):
    assert parsed(text) is None or text == "[::1"
