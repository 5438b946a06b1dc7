"""What the model, its terminal command and the delivery of feedback read from CAT_* environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SSE = ("", "AES256", "aws:kms")
SHIPPED_BUNDLE = Path(__file__).parent / "bundle"


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Settings:
    """How the model is served and where feedback goes.

    Attributes:
        bundle: folder of the model to serve.
        bundle_public_key: whose signature the model must bear, 32 bytes in base64; None for nobody's.
        workers: how many photos may be looked at at once, at least 1.
        feedback_dir: where feedback is kept until it is delivered.
        feedback_mb: megabytes (10⁶ bytes) of feedback that are kept in feedback_dir at most, at least 1.
        feedback_days: days after which feedback is deleted, here and where it was delivered to, at least 1.
        s3_bucket: S3 bucket that feedback is delivered to; empty for none.
        s3_prefix: what the keys there begin with: a lifecycle rule of the bucket can go by it.
        s3_sse: server-side encryption asked for: "AES256", "aws:kms" or empty for the bucket's default.
        s3_kms_key: id of the key for "aws:kms"; empty for the bucket's default.
        hf_dataset: Hugging Face dataset repository that feedback is delivered to; empty for none.
    """

    bundle: Path = SHIPPED_BUNDLE
    bundle_public_key: str | None = None
    workers: int = 2
    feedback_dir: Path = Path("feedback")
    feedback_mb: int = 500
    feedback_days: int = 365
    s3_bucket: str = ""
    s3_prefix: str = "feedback"
    s3_sse: str = ""
    s3_kms_key: str = ""
    hf_dataset: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read CAT_BUNDLE, CAT_WORKERS and so on; docs/configuration.md has the table of them all.

        Raises:
            SettingsError: a number is not a number or out of its range, or there is no such encryption.
        """
        sse = environ.get("CAT_S3_SSE") or cls.s3_sse
        if sse not in SSE:
            raise SettingsError(f"CAT_S3_SSE is {sse!r}; it must be one of {', '.join(filter(None, SSE))}.")
        return cls(
            bundle=Path(environ.get("CAT_BUNDLE") or cls.bundle),
            bundle_public_key=environ.get("CAT_BUNDLE_PUBLIC_KEY") or None,
            workers=whole_number(environ, "CAT_WORKERS", min(os.cpu_count() or 1, 4), (1, 64)),
            feedback_dir=Path(environ.get("CAT_FEEDBACK_DIR") or cls.feedback_dir),
            feedback_mb=whole_number(environ, "CAT_FEEDBACK_MB", cls.feedback_mb, (1, 1_000_000)),
            feedback_days=whole_number(environ, "CAT_FEEDBACK_DAYS", cls.feedback_days, (1, 36_500)),
            s3_bucket=environ.get("CAT_S3_BUCKET") or cls.s3_bucket,
            s3_prefix=(environ.get("CAT_S3_PREFIX") or cls.s3_prefix).strip("/"),
            s3_sse=sse,
            s3_kms_key=environ.get("CAT_S3_KMS_KEY") or cls.s3_kms_key,
            hf_dataset=environ.get("CAT_HF_DATASET") or cls.hf_dataset,
        )


def whole_number(environ: Mapping[str, str], name: str, default: int, limits: tuple[int, int]) -> int:
    """Return a variable as a whole number within limits.

    Raises:
        SettingsError: it is none, or lies outside.
    """
    low, high = limits
    text = environ.get(name) or str(default)
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise SettingsError(f"{name} is {text!r}; it must be a whole number from {low} to {high}.")
    return number
