"""What the model, its terminal command and the delivery of feedback read from CAT_* environment variables."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cat_model.origin import address
from cat_model.origin.address import Address

SSE = ("", "AES256", "aws:kms")
SHIPPED_BUNDLE = Path(__file__).parent / "bundle"


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message says which and why."""


@dataclass(frozen=True)
class RegistrySettings:
    """How MLflow's server is asked for a registered model; by the variables of MLflow itself.

    Attributes:
        uri: its address, http:// or https://, with name and password where it needs them.
        token: bearer token; empty for none.
        login: name and password; None for none.
    """

    uri: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The address without a password."""
        return re.sub(r"//[^/@]*@", "//", self.uri)


@dataclass(frozen=True)
class Settings:
    """How the model is served and where feedback goes.

    Attributes:
        bundle: folder of the model to serve.
        origin: where that folder's content comes from; None where it is just a folder.
        registry: MLflow's server, for an origin there.
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
    origin: Address | None = None
    registry: RegistrySettings = field(default_factory=RegistrySettings)
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
            SettingsError: a number is not a number or out of its range, there is no such encryption, or a
                bundle's address cannot be used.
        """
        sse = environ.get("CAT_S3_SSE") or cls.s3_sse
        if sse not in SSE:
            raise SettingsError(f"CAT_S3_SSE is {sse!r}; it must be one of {', '.join(filter(None, SSE))}.")
        bundle, origin, registry = _bundle(environ)
        return cls(
            bundle=bundle,
            origin=origin,
            registry=registry,
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


def _bundle(environ: Mapping[str, str]) -> tuple[Path, Address | None, RegistrySettings]:
    """Return the bundle's folder, where its content comes from, and MLflow's server.

    Raises:
        SettingsError: the bundle's address cannot be used.
    """
    text, registry = environ.get("CAT_BUNDLE") or "", RegistrySettings()
    try:
        origin = address.parse(text)
    except address.AddressError as error:
        raise SettingsError(f"CAT_BUNDLE is {text!r}; {error}.") from None
    if origin is None:
        return Path(text or SHIPPED_BUNDLE), None, registry
    if origin.scheme == address.MLFLOW:
        registry = _registry(environ)
        if not registry.uri.startswith(("http://", "https://")):
            raise SettingsError(
                f"CAT_BUNDLE is {text!r}, so MLFLOW_TRACKING_URI must be the http:// or https:// address of "
                f"MLflow's server; it is {registry.shown!r}."
            )
    copies = environ.get("CAT_BUNDLE_CACHE")
    if not copies:
        above = environ.get("XDG_CACHE_HOME") or "~/.cache"
        try:
            copies = Path(above).expanduser() / "are-you-a-cat"
        except RuntimeError:
            raise SettingsError(
                f"CAT_BUNDLE is {text!r}, and there is no home folder for its copy: set CAT_BUNDLE_CACHE."
            ) from None
    return Path(copies) / origin.folder_name(registry.shown) / "bundle", origin, registry


def _registry(environ: Mapping[str, str]) -> RegistrySettings:
    name, password = (environ.get(f"MLFLOW_TRACKING_{each}") or "" for each in ("USERNAME", "PASSWORD"))
    return RegistrySettings(
        uri=environ.get("MLFLOW_REGISTRY_URI") or environ.get("MLFLOW_TRACKING_URI") or "",
        token=environ.get("MLFLOW_TRACKING_TOKEN") or "",
        login=(name, password) if name else None,
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
