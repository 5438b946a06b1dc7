"""What the page and its web server read from environment variables."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from cat_model.settings import Settings, SettingsError, whole_number

Network = IPv4Network | IPv6Network
UPLOADS = "GRADIO_TEMP_DIR"
ROOT_PATH = re.compile(r"(/[\w.~%+-]+)*", re.ASCII)
"""A path that can stand before the page's own; no part of it is empty: it never names another host."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
BODY_OVERHEAD = 1_000_000
"""Bytes of a request beside the photo."""
PROXIES = {"http_proxy", "https_proxy", "all_proxy"}


@dataclass(frozen=True)
class ServerSettings:
    """How the page is served.

    Attributes:
        model: what the model package needs.
        host: address the page listens on.
        port: TCP port the page listens on, 1 to 65535.
        root_path: path under which a reverse proxy shows the page, such as "/cats", or its whole address
            there; empty for none.
        trusted_proxies: whose `X-Forwarded-…` headers count.
        queue: how many visitors may wait before the page says it is busy, at least 1.
        rate: questions that one visitor may ask in a minute; 0 for any number.
        upload_mb: largest photo file accepted, in megabytes (10⁶ bytes), at least 1.
        uploads_dir: where the folder of the photos that are being looked at is made.
        on_space: whether this runs as a Hugging Face Space.
        open_browser: whether to open the page in a browser, because there is a screen.
        login: name and password that the page asks for, as one text with a colon between; None for no login.
        owner_password: opens the owner's part of the page; empty for none.
        api: whether programs may ask at /v1, /v2 and /invocations.
        api_key: what programs send as a bearer token; empty for none.
    """

    model: Settings = field(default_factory=Settings)
    host: str = "127.0.0.1"
    port: int = 7860
    root_path: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    queue: int = 64
    rate: int = 300
    upload_mb: int = 20
    uploads_dir: Path = Path(tempfile.gettempdir()) / "gradio"
    on_space: bool = False
    open_browser: bool = False
    login: str | None = field(default=None, repr=False)
    owner_password: str = field(default="", repr=False)
    api: bool = True
    api_key: str = field(default="", repr=False)

    @property
    def upload_bytes(self) -> int:
        """Bytes of the largest photo file."""
        return self.upload_mb * 1_000_000

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest request: a photo in base64, or as it is, and what goes with it."""
        return 4 * self.upload_bytes // 3 + BODY_OVERHEAD

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "ServerSettings":
        """Read CAT_HOST, CAT_PORT and so on; docs/configuration.md has the table of them all.

        A Space (SPACE_ID is set) listens on every address unless CAT_HOST says otherwise.

        Raises:
            SettingsError: a number is not a number or out of its range, or a value is of no use.
        """
        on_space = bool(environ.get("SPACE_ID"))
        screen = (
            sys.platform in ("win32", "darwin") or environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
        )
        port = "CAT_PORT" if environ.get("CAT_PORT") else "GRADIO_SERVER_PORT"
        root_path = "CAT_ROOT_PATH" if environ.get("CAT_ROOT_PATH") else "GRADIO_ROOT_PATH"
        return cls(
            model=Settings.from_env(environ),
            host=environ.get("CAT_HOST")
            or environ.get("GRADIO_SERVER_NAME")
            or ("0.0.0.0" if on_space else cls.host),
            port=whole_number(environ, port, cls.port, (1, 65_535)),
            root_path=_root_path(environ, root_path),
            trusted_proxies=_networks(environ, "CAT_TRUSTED_PROXIES"),
            queue=whole_number(environ, "CAT_QUEUE", cls.queue, (1, 100_000)),
            rate=whole_number(environ, "CAT_RATE", cls.rate, (0, 1_000_000)),
            upload_mb=whole_number(environ, "CAT_UPLOAD_MB", cls.upload_mb, (1, 1_000)),
            uploads_dir=Path(environ.get(UPLOADS) or cls.uploads_dir),
            on_space=on_space,
            open_browser=bool(screen) and not on_space,
            login=_login(environ),
            owner_password=environ.get("CAT_OWNER_PASSWORD") or "",
            api=bool(whole_number(environ, "CAT_API", int(cls.api), (0, 1))),
            api_key=_api_key(environ),
        )


def ignore_gradio_variables(environ: MutableMapping[str, str] = os.environ) -> None:
    """Remove Gradio's own variables before Gradio reads them; the settings have read what counts of them.

    They could share the page with the world, serve files, print debugging output or send statistics. Its web
    server, uvicorn, would believe X-Forwarded-For of whoever is on this machine; CAT_TRUSTED_PROXIES decides.
    """
    for name in [name for name in environ if name.startswith("GRADIO_") and name != UPLOADS]:
        del environ[name]
    environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    environ["FORWARDED_ALLOW_IPS"] = "none"


def reach_this_machine_directly(environ: MutableMapping[str, str] = os.environ) -> None:
    """Exempt this machine from proxies, for whatever runs beside the page, such as a store for feedback."""
    exempt = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    listed = [each.strip() for each in exempt.split(",") if each.strip()]
    listed += [name for name in LOOPBACK if name not in listed]
    environ["no_proxy"] = environ["NO_PROXY"] = ",".join(listed)


@contextmanager
def without_proxies(environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Take the proxies out of the environment until the block ends.

    Gradio asks its own page whether it is there, and its HTTP client goes through a proxy even to this
    machine, or refuses a SOCKS proxy outright. Feedback that is delivered later goes through the proxies.
    """
    found = {name: value for name, value in environ.items() if name.lower() in PROXIES}
    for name in found:
        del environ[name]
    try:
        yield
    finally:
        environ.update(found)


@contextmanager
def uploads_lie_in(folder: Path) -> Iterator[None]:
    """Have Gradio keep uploads in a folder until the block ends; it reads that from the environment alone."""
    before = os.environ.get(UPLOADS)
    os.environ[UPLOADS] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[UPLOADS]
        else:
            os.environ[UPLOADS] = before


def _login(environ: Mapping[str, str]) -> str | None:
    login = environ.get("CAT_LOGIN") or None
    if login is not None and not all(login.partition(":")):
        raise SettingsError("CAT_LOGIN must be a name, a colon and a password.")
    return login


def _api_key(environ: Mapping[str, str]) -> str:
    key = environ.get("CAT_API_KEY") or ""
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise SettingsError("CAT_API_KEY must be letters, digits and signs of ASCII, without spaces.")
    return key


def _root_path(environ: Mapping[str, str], name: str) -> str:
    given = environ.get(name) or ""
    try:
        address = urlsplit(given)
    except ValueError:
        address = urlsplit("")
    root_path = given.rstrip("/")
    whole = address.scheme in ("http", "https") and address.netloc and not address.query + address.fragment
    if not (ROOT_PATH.fullmatch(root_path) or (whole and ROOT_PATH.fullmatch(address.path.rstrip("/")))):
        raise SettingsError(
            f"{name} is {given!r}; it must be a path such as /cats, or an address such as https://example.org/cats."
        )
    return root_path


def _networks(environ: Mapping[str, str], name: str) -> tuple[Network, ...]:
    given = [each.strip() for each in (environ.get(name) or "").split(",")]
    try:
        return tuple(ip_network(each, strict=False) for each in given if each)
    except ValueError as error:
        raise SettingsError(
            f"{name} is {environ[name]!r}; it must be addresses or networks with commas between them, "
            "such as 127.0.0.1, 10.0.0.0/8."
        ) from error
