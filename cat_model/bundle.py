"""A bundle is the folder that crosses to run time: reading it verifies it, writing replaces it whole."""

import ctypes
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cat_model import signature
from cat_model.atomic import flush_folder, write_durably
from cat_model.cascade import CascadeError, Tiles, Zooms
from cat_model.selftest import Recorded
from cat_model.settings import SHIPPED_BUNDLE
from cat_model.verdict import Threshold

SCHEMA, WITHOUT_SELF_TEST = 2, 1
"""The schema that is written, and the one before it, whose bundles have no self-test and are served as they
are; a bundle of the present schema without one is refused."""
MANIFEST = "manifest.json"
MODEL = "model.tflite"
CARD, PLOT, REFERENCE = "MODEL_CARD.md", "calibration.svg", "reference.json"
FILES = (MANIFEST, MODEL, signature.SIGNATURE, CARD, PLOT, REFERENCE)
"""All files that a bundle may have; it needs the first two."""


class BundleError(ValueError):
    """A bundle cannot be used; the message names what is missing or differs."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle in memory.

    Attributes:
        folder: where it was read from.
        model: bytes of the TFLite file.
        manifest: everything known about the model, as manifest.json holds it.
        version: name of the model, unique to its bytes.
        side: pixels of each side of the model's square input.
        threshold: probability from which a photo counts as a cat, 0 to 1.
        unsure: lower and upper end of the band around the threshold that is called "not sure".
        plan: which passes follow the first one; None for none.
        recorded: what the model answered in its self-test when it was exported.
    """

    folder: Path
    model: bytes
    manifest: Mapping[str, Any]
    version: str
    side: int
    threshold: float
    unsure: tuple[float, float]
    plan: Tiles | Zooms | None = None
    recorded: tuple[Recorded, ...] = ()

    @property
    def decision(self) -> Threshold:
        """Where the answer changes."""
        return Threshold(self.threshold, self.unsure)

    @classmethod
    def read(cls, folder: str | os.PathLike[str] = SHIPPED_BUNDLE, public_key: str | None = None) -> "Bundle":
        """Read and verify a bundle folder: schema, size and sha256 of the model, threshold and band.

        Args:
            folder: of the bundle.
            public_key: 32 bytes in base64, whose owner must have signed the bundle; None to ask for nothing.

        Raises:
            BundleError: a file is missing, damaged or of another schema, or the signature is not there.
        """
        folder = Path(folder)
        while True:
            before = _identity(folder)
            try:
                return cls._read(folder, public_key)
            except BundleError:
                # One file of the old bundle and one of the new fit as little as a damaged one: look again.
                if _identity(folder) == before:
                    raise

    @classmethod
    def _read(cls, folder: Path, public_key: str | None) -> "Bundle":
        try:
            text = (folder / MANIFEST).read_bytes()
            if public_key is not None:
                signature.check(text, _content(folder / signature.SIGNATURE), public_key)
            manifest = json.loads(text.decode("utf-8"))
            model = (folder / MODEL).read_bytes()
        except OSError as error:
            raise BundleError(f"No model in {folder}: {error.strerror} ({error.filename}).") from error
        except signature.SignatureError as error:
            raise BundleError(f"The model in {folder} is not used. {error}") from error
        except ValueError as error:
            raise BundleError(f"{folder / MANIFEST} is not valid JSON: {error}.") from error
        try:
            return cls._verified(folder, model, manifest)
        except KeyError as error:
            raise BundleError(f"{folder / MANIFEST} lacks {error}.") from error
        except TypeError as error:
            raise BundleError(f"{folder / MANIFEST} holds a value of the wrong kind: {error}.") from error

    @classmethod
    def _verified(cls, folder: Path, model: bytes, manifest: Mapping[str, Any]) -> "Bundle":
        if manifest["schema"] not in (SCHEMA, WITHOUT_SELF_TEST):
            raise BundleError(
                f"{folder} has schema {manifest['schema']}; this program reads schemas "
                f"{WITHOUT_SELF_TEST} and {SCHEMA}."
            )
        described = manifest["model"]
        if len(model) != described["bytes"]:
            raise BundleError(
                f"{folder / MODEL} has {len(model)} bytes; its manifest says {described['bytes']}."
            )
        digest = sha256(model)
        if digest != described["sha256"]:
            raise BundleError(
                f"{folder / MODEL} has sha256 {digest}; its manifest says {described['sha256']}."
            )
        band, threshold = tuple(manifest["unsure"]), manifest["threshold"]
        if len(band) != 2:
            raise BundleError(f'{folder}: the band "unsure" has {len(band)} ends; it must have 2.')
        low, high = band
        if not 0 <= low <= threshold <= high <= 1:
            raise BundleError(f"{folder}: threshold {threshold} and band {low} to {high} are out of order.")
        plan: Tiles | Zooms | None = None
        try:
            if manifest.get("cascade"):
                plan = Zooms.from_manifest(manifest["cascade"])
            elif manifest.get("second_look"):
                plan = Tiles.from_manifest(manifest["second_look"])
        except CascadeError as error:
            raise BundleError(f"{folder}: {error}.") from error
        recorded: tuple[Recorded, ...] = ()
        if manifest["schema"] == SCHEMA:
            recorded = tuple(
                Recorded(each["picture"], each["probability"], tuple(each["embedding"]))
                for each in manifest["golden"]
            )
            if not recorded:
                raise BundleError(f"{folder / MANIFEST} has no recorded answers for the self-test.")
        version, side = manifest["version"], manifest["input"]["side"]
        return cls(folder, model, manifest, version, side, threshold, band, plan, recorded)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _identity(folder: Path) -> tuple[int, ...] | None:
    """Return what changes whenever another folder takes this one's place; None when there is no folder."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def sha256(data: bytes) -> str:
    """Return the SHA-256 of some bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def write(folder: str | os.PathLike[str], files: Mapping[str, bytes]) -> Bundle:
    """Replace a bundle folder by these files in one step: a reader sees the old bundle or the new one.

    The new folder is written beside the old one, flushed to disk and verified before they change places. The
    old one stays beside it, for `roll_back`.

    Args:
        folder: the bundle to replace, or to make.
        files: content of each file by its name; needs manifest.json and model.tflite.

    Returns:
        The bundle now in place.

    Raises:
        BundleError: the files do not make a valid bundle; the old one is untouched.
        OSError: they cannot be written; the old one is untouched.
    """
    folder = Path(folder).resolve()  # a link goes on pointing to the place whose content is replaced
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        staging.chmod(0o755)
        for name, content in files.items():
            write_durably(staging / name, content, mode=0o644)
        Bundle.read(staging)
        _swap(staging, folder)
        if staging.exists():  # now the old one
            shutil.rmtree(previous(folder), ignore_errors=True)
            staging.rename(previous(folder))
        flush_folder(folder.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Bundle.read(folder)


def previous(folder: Path) -> Path:
    """Return where the bundle is kept that another one replaced in this folder."""
    return folder.with_name(f"{folder.name}.previous")


def roll_back(folder: str | os.PathLike[str]) -> Bundle:
    """Let a bundle and the one it replaced change places, in one step; twice is as before.

    Returns:
        The bundle now in place.

    Raises:
        BundleError: there is no previous bundle, or it is damaged; nothing has changed.
        OSError: they cannot be moved; nothing has changed.
    """
    folder = Path(folder).resolve()
    Bundle.read(previous(folder))
    _swap(previous(folder), folder)
    flush_folder(folder.parent)
    return Bundle.read(folder)


def _swap(new: Path, old: Path) -> None:
    """Let two folders change places: atomically where the system can (Linux), else by two renames."""
    if not old.exists():
        new.rename(old)
        return
    if _exchange(new, old):
        return
    aside = new.with_name(f"{new.name}-old")
    old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        aside.rename(old)
        raise
    aside.rename(new)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two paths with Linux's renameat2(2); False where there is no such call."""
    at_fdcwd, rename_exchange = -100, 2
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return renameat2(at_fdcwd, os.fsencode(first), at_fdcwd, os.fsencode(second), rename_exchange) == 0
