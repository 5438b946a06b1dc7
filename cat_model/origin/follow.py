"""Keeps a folder as its origin is: asks, downloads what is new, tries it, and then replaces the bundle."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cat_model import bundle, extras
from cat_model.atomic import write_durably
from cat_model.bundle import Bundle, BundleError
from cat_model.origin.address import MLFLOW
from cat_model.origin.base import Origin, OriginError, Revision
from cat_model.predictor import Predictor
from cat_model.settings import Settings, SettingsError

LOG = logging.getLogger(__name__)
EVERY_S = 20.0
"""Seconds between two questions whether there is another bundle."""
REFUSED_AGAIN_S = 600.0
"""Seconds until a revision is tried again that could not be served."""
REVISION, DOWNLOAD = "revision.txt", "download"


class Follower:
    """A folder that holds the newest bundle of an origin which could be served."""

    def __init__(self, origin: Origin, folder: Path, public_key: str | None = None) -> None:
        """Name an origin; nothing is asked yet.

        Args:
            origin: to follow.
            folder: of the bundle here; what it needs beside lies in the same folder as this one.
            public_key: whose signature a bundle must bear, 32 bytes in base64; None for nobody's.
        """
        self._origin, self._folder, self._public_key = origin, folder, public_key
        self._problem: str | None = None
        self._refused: tuple[str, float] | None = None

    @property
    def problem(self) -> str | None:
        """Why the bundle here may not be the origin's newest; None if it is."""
        return self._problem

    def refresh(self) -> bool:
        """Ask the origin, and replace the bundle if there is another that can be served; return whether.

        Whatever goes wrong leaves the bundle as it is, and is told in `problem`.
        """
        before = self._problem
        replaced = self._try()
        if self._problem and self._problem != before:
            LOG.warning("%s", self._problem)
        return replaced

    def bring(self) -> None:
        """Ask the origin once, at a start: with a bundle from before it need not answer.

        Raises:
            BundleError: it gives none, and there is none from before.
        """
        self._try()
        if not self._problem:
            return
        if not (self._folder / bundle.MANIFEST).exists():
            raise BundleError(f"{self._problem} There is no copy from before.")
        LOG.warning("%s The copy from before answers.", self._problem)

    def _try(self) -> bool:
        try:
            replaced = self._refresh()
        except (OriginError, BundleError, OSError) as error:
            self._problem = str(error)
            return False
        if self._refused is None:
            self._problem = None
        return replaced

    def _refresh(self) -> bool:
        newest = self._origin.newest()
        refused, since = self._refused or ("", 0.0)
        if refused == newest.name and time.monotonic() - since < REFUSED_AGAIN_S:
            return False
        self._refused = None
        place = self._folder.parent
        place.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            if self._is_here(newest):
                return False
            self._replace(newest, place / DOWNLOAD)
        return True

    def _is_here(self, revision: Revision) -> bool:
        noted = self._folder.parent / REVISION
        whole = (self._folder / bundle.MANIFEST).exists()
        return whole and noted.exists() and noted.read_text("utf-8") == revision.name

    def _replace(self, revision: Revision, download: Path) -> None:
        begun = download / REVISION
        if not begun.exists() or begun.read_text("utf-8") != revision.name:
            shutil.rmtree(download, ignore_errors=True)
            write_durably(begun, revision.name.encode())
        files = self._origin.download(revision, download / "files")
        try:
            # On its own files: once it took the old one's place, the next start would have none to answer.
            Predictor(Bundle.read(files, self._public_key))
            found = {name: files / name for name in bundle.FILES if (files / name).exists()}
            bundle.write(self._folder, {name: path.read_bytes() for name, path in found.items()})
        except BundleError as error:
            shutil.rmtree(download, ignore_errors=True)
            self._refused = revision.name, time.monotonic()
            said = str(error).replace(str(files), self._origin.name)
            raise BundleError(f"{revision.words} of {self._origin.name} is not used: {said}") from error
        write_durably(self._folder.parent / REVISION, revision.name.encode())
        shutil.rmtree(download, ignore_errors=True)


def follower(settings: Settings) -> Follower | None:
    """Return what keeps the settings' bundle as its origin is; None where the bundle is just a folder.

    Raises:
        SettingsError: a package is missing that the origin needs.
    """
    address = settings.origin
    if address is None:
        return None
    asks = f"CAT_BUNDLE={address.text}"
    try:
        extras.require(
            *(("httpx", "mlflow") if address.scheme == MLFLOW else ("huggingface_hub", "hub")), asks
        )
    except extras.MissingExtraError as error:
        raise SettingsError(str(error)) from None
    if address.scheme == MLFLOW:
        from cat_model.origin.mlflow_registry import RegistryOrigin

        origin: Origin = RegistryOrigin(address, settings.registry)
    else:
        from cat_model.origin.hub import HubOrigin

        origin = HubOrigin(address)
    return Follower(origin, settings.bundle, settings.bundle_public_key)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Keep other processes from downloading to the same place at the same time."""
    try:
        import fcntl
    except ImportError:  # Windows: there each page has a folder of its own
        yield
        return
    with (place / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
