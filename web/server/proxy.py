"""What reverse proxies say of a request: whose it is, and where the visitor sees the page.

Only those that the operator trusts are believed. Everything behind `ProxyMiddleware` goes by the scope alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from web.settings import ROOT_PATH, Network

Address = IPv4Address | IPv6Address
ORIGIN, ROOT = "are_you_a_cat.origin", "are_you_a_cat.root"
"""Where a scope says how the page's address begins ("https://example.org"), and the path before its own."""
FORWARDED = (b"x-forwarded-", b"forwarded", b"x-real-ip", b"x-gradio-server")
"""How the headers begin that nothing behind `ProxyMiddleware` is to see; Gradio (6.31) would believe them."""


@dataclass(frozen=True)
class Proxies:
    """Which proxies are believed.

    Attributes:
        trusted: addresses of proxies whose headers count.
        any_peer: whether everybody who connects is a proxy, as on a Space.
        root_path: as in `ServerSettings`.
    """

    trusted: Sequence[Network] = ()
    any_peer: bool = False
    root_path: str = ""

    def trusts(self, address: Address | None) -> bool:
        """Say whether an address is one of the trusted proxies."""
        return address is not None and any(address in network for network in self.trusted)

    def visitor(self, peer: str, forwarded: str) -> str:
        """Return the address that a request comes from.

        Args:
            peer: who has connected; empty if that is unknown.
            forwarded: its X-Forwarded-For: each proxy adds the address that it was asked from at the end.
        """
        known, found = parsed(peer), peer
        if self.any_peer:  # what came before the last, a visitor can make up
            return forwarded.rpartition(",")[2].strip() or peer
        for entry in reversed(forwarded.split(",")):
            if not self.trusts(known):
                break
            known = parsed(entry)
            if known is None:  # "unknown", or something made up
                break
            found = str(known)
        return found


def parsed(text: str) -> Address | None:
    """Return an address, which may have a port behind it; None if it is none. IPv4 within IPv6 is IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class ProxyMiddleware:
    """ASGI middleware that names the visitor in `scope["client"]`, and takes the prefix off the path.

    The path is empty where the prefix was asked for without a slash behind it.
    """

    def __init__(self, app: ASGIApp, proxies: Proxies) -> None:
        """Stand before an application."""
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, as it would look without proxies."""
        await self._app(self._seen(scope) if scope["type"] == "http" else scope, receive, send)

    def _seen(self, scope: Scope) -> Scope:
        headers, proxies = Headers(scope=scope), self._proxies
        peer, port = scope.get("client") or ("", 0)
        trusted = proxies.trusts(parsed(peer))
        visitor = proxies.visitor(peer, ",".join(headers.getlist("x-forwarded-for")))
        host, scheme = headers.get("host", ""), scope.get("scheme", "http")
        if trusted or proxies.any_peer:
            host = first(headers, "x-forwarded-host") or host
            scheme = "https" if first(headers, "x-forwarded-proto") == "https" else scheme
        whole = urlsplit(proxies.root_path)
        root, origin = whole.path, f"{scheme}://{host}"
        if whole.netloc:
            origin = f"{whole.scheme}://{whole.netloc}"
        if trusted and not root:
            said = first(headers, "x-forwarded-prefix").rstrip("/")
            root = said if ROOT_PATH.fullmatch(said) else ""
        seen = {
            **scope,
            "client": (visitor, port if visitor == peer else 0),
            "headers": [each for each in scope["headers"] if not each[0].lower().startswith(FORWARDED)],
            ORIGIN: origin,
            ROOT: root,
        }
        if root and f"{scope['path']}/".startswith(f"{root}/"):
            seen["path"] = scope["path"][len(root) :]
            seen["raw_path"] = seen["path"].encode()
        return seen


def first(headers: Headers, name: str) -> str:
    """Return what the visitor's own proxy has said in a header to which each may add."""
    return headers.get(name, "").partition(",")[0].strip()
