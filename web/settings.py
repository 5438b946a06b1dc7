"""What the page and its web server read from environment variables."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cat_model.settings import Settings, SettingsError, whole_number

UPLOADS = "GRADIO_TEMP_DIR"


@dataclass(frozen=True)
class ServerSettings:
    """How the page is served.

    Attributes:
        model: what the model package needs.
        host: address the page listens on.
        port: TCP port the page listens on, 1 to 65535.
        queue: how many visitors may wait before the page says it is busy, at least 1.
        rate: questions that one visitor may ask in a minute; 0 for any number.
        upload_mb: largest photo file accepted, in megabytes (10⁶ bytes), at least 1.
        uploads_dir: where the folder of the photos that are being looked at is made.
        on_space: whether this runs as a Hugging Face Space.
        open_browser: whether to open the page in a browser, because there is a screen.
        login: name and password that the page asks for, as one text with a colon between; None for no login.
        owner_password: opens the owner's part of the page; empty for none.
    """

    model: Settings = field(default_factory=Settings)
    host: str = "127.0.0.1"
    port: int = 7860
    queue: int = 64
    rate: int = 300
    upload_mb: int = 20
    uploads_dir: Path = Path(tempfile.gettempdir()) / "gradio"
    on_space: bool = False
    open_browser: bool = False
    login: str | None = field(default=None, repr=False)
    owner_password: str = field(default="", repr=False)

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
        return cls(
            model=Settings.from_env(environ),
            host=environ.get("CAT_HOST") or ("0.0.0.0" if on_space else cls.host),
            port=whole_number(environ, "CAT_PORT", cls.port, (1, 65_535)),
            queue=whole_number(environ, "CAT_QUEUE", cls.queue, (1, 100_000)),
            rate=whole_number(environ, "CAT_RATE", cls.rate, (0, 1_000_000)),
            upload_mb=whole_number(environ, "CAT_UPLOAD_MB", cls.upload_mb, (1, 1_000)),
            uploads_dir=Path(environ.get(UPLOADS) or cls.uploads_dir),
            on_space=on_space,
            open_browser=bool(screen) and not on_space,
            login=_login(environ),
            owner_password=environ.get("CAT_OWNER_PASSWORD") or "",
        )


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
