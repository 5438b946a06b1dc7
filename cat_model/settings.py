"""Every knob of the app, read from CAT_* environment variables in one place."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

UPLOADS = "GRADIO_TEMP_DIR"
SSE = ("", "AES256", "aws:kms")
SHIPPED_BUNDLE = Path(__file__).parent / "bundle"


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Settings:
    """How the app runs.

    Attributes:
        bundle: folder of the model to serve.
        feedback_dir: where feedback is kept until it is delivered.
        uploads_dir: where the folder of the photos that are being looked at is made.
        host: address the page listens on.
        port: TCP port the page listens on, 1 to 65535.
        workers: how many photos may be judged at once, at least 1.
        upload_mb: largest photo file accepted, in megabytes (10⁶ bytes), at least 1.
        queue: how many visitors may wait before the page says it is busy, at least 1.
        on_space: whether this runs as a Hugging Face Space.
        bundle_public_key: whose signature the model must bear, 32 bytes in base64; None for nobody's.
        login: name and password that the page asks for, as one text with a colon between; None for no login.
        rate: questions that one visitor may ask in a minute; 0 for any number.
        open_browser: whether to open the page in a browser, because there is a screen.
        feedback_mb: megabytes (10⁶ bytes) of feedback that are kept in feedback_dir at most, at least 1.
        feedback_days: days after which feedback is deleted, here and where it was delivered to, at least 1.
        s3_bucket: S3 bucket that feedback is delivered to; empty for none.
        s3_prefix: what the keys there begin with: a lifecycle rule of the bucket can go by it.
        s3_sse: server-side encryption asked for: "AES256", "aws:kms" or empty for the bucket's default.
        s3_kms_key: id of the key for "aws:kms"; empty for the bucket's default.
        owner_password: opens the owner's part of the page; empty for none.
        hf_dataset: Hugging Face dataset repository that feedback is delivered to; empty for none.
    """

    bundle: Path = SHIPPED_BUNDLE
    feedback_dir: Path = Path("feedback")
    uploads_dir: Path = Path(tempfile.gettempdir()) / "gradio"
    host: str = "127.0.0.1"
    port: int = 7860
    workers: int = 2
    upload_mb: int = 20
    queue: int = 64
    on_space: bool = False
    bundle_public_key: str | None = None
    login: str | None = None
    rate: int = 300
    open_browser: bool = False
    feedback_mb: int = 500
    feedback_days: int = 365
    s3_bucket: str = ""
    s3_prefix: str = "feedback"
    s3_sse: str = ""
    s3_kms_key: str = ""
    hf_dataset: str = ""
    owner_password: str = field(default="", repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the CAT_* variables: CAT_BUNDLE, CAT_PORT and so on; README.md has the table of them all.

        A Space (SPACE_ID is set) listens on every address unless CAT_HOST says otherwise.

        Raises:
            SettingsError: a number is not a number or out of its range, or there is no such encryption.
        """
        on_space = bool(environ.get("SPACE_ID"))
        screen = (
            sys.platform in ("win32", "darwin") or environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
        )
        sse = environ.get("CAT_S3_SSE") or cls.s3_sse
        if sse not in SSE:
            raise SettingsError(f"CAT_S3_SSE is {sse!r}; it must be one of {', '.join(filter(None, SSE))}.")
        return cls(
            bundle=Path(environ.get("CAT_BUNDLE") or cls.bundle),
            feedback_dir=Path(environ.get("CAT_FEEDBACK_DIR") or cls.feedback_dir),
            uploads_dir=Path(environ.get(UPLOADS) or cls.uploads_dir),
            feedback_mb=_whole_number(environ, "CAT_FEEDBACK_MB", cls.feedback_mb, 1, 1_000_000),
            feedback_days=_whole_number(environ, "CAT_FEEDBACK_DAYS", cls.feedback_days, 1, 36_500),
            s3_bucket=environ.get("CAT_S3_BUCKET") or cls.s3_bucket,
            s3_prefix=(environ.get("CAT_S3_PREFIX") or cls.s3_prefix).strip("/"),
            s3_sse=sse,
            s3_kms_key=environ.get("CAT_S3_KMS_KEY") or cls.s3_kms_key,
            hf_dataset=environ.get("CAT_HF_DATASET") or cls.hf_dataset,
            owner_password=environ.get("CAT_OWNER_PASSWORD") or "",
            host=environ.get("CAT_HOST") or ("0.0.0.0" if on_space else cls.host),
            port=_whole_number(environ, "CAT_PORT", cls.port, 1, 65_535),
            workers=_whole_number(environ, "CAT_WORKERS", min(os.cpu_count() or 1, 4), 1, 64),
            upload_mb=_whole_number(environ, "CAT_UPLOAD_MB", cls.upload_mb, 1, 1_000),
            queue=_whole_number(environ, "CAT_QUEUE", cls.queue, 1, 100_000),
            on_space=on_space,
            bundle_public_key=environ.get("CAT_BUNDLE_PUBLIC_KEY") or None,
            login=_login(environ),
            rate=_whole_number(environ, "CAT_RATE", cls.rate, 0, 1_000_000),
            open_browser=bool(screen) and not on_space,
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


def _whole_number(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(name) or str(default)
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise SettingsError(f"{name} is {text!r}; it must be a whole number from {low} to {high}.")
    return number
