"""A bundle in MLflow's model registry, by the REST API of MLflow's server.

mlflow-skinny would do too, but takes three times as long to import as the HTTP client that the page has
anyway (docs/registry.md), and does not go on with a download that broke off.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

import httpx

from cat_model import bundle
from cat_model.origin import transfer
from cat_model.origin.address import Address
from cat_model.origin.base import OriginError, Revision
from cat_model.settings import RegistrySettings

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
INSIDE = "artifacts/bundle"
"""Where a registered model holds its bundle: that of MLflow's pyfunc artifacts."""
CONNECT_S, READ_S = 5.0, 15.0
NOT_THERE = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


class RegistryOrigin:
    """A version of a registered model, by its alias or number."""

    def __init__(self, address: Address, settings: RegistrySettings) -> None:
        """Name a registered model; nothing is asked yet.

        Args:
            address: of the model's version.
            settings: where the server is, and what it asks for.
        """
        self.name = address.text
        self._address, self._settings = address, settings
        self._sources: dict[str, str] = {}

    def newest(self) -> Revision:
        """Return the version that the alias is on; see `Origin.newest`."""
        name = self._address.name
        with self._client() as client:
            if self._address.version:
                number = self._address.version
            else:
                asked = {"name": name, "alias": self._address.alias}
                found = self._ask(client, "registered-models/alias", asked)
                number = str(found["model_version"]["version"])
            told = self._ask(client, "model-versions/get-download-uri", {"name": name, "version": number})
        source = str(told["artifact_uri"])
        # A model that was deleted and made anew counts its versions anew, from other artifacts.
        revision = Revision(f"{number} {source}", f"Version {number}")
        self._sources[revision.name] = source
        return revision

    def download(self, revision: Revision, folder: Path) -> Path:
        """Download a bundle's files; see `Origin.download`."""
        source = self._sources[revision.name]
        folder.mkdir(parents=True, exist_ok=True)
        parts = urlsplit(source)
        if parts.scheme in ("", "file"):
            self._copy(Path(url2pathname(parts.path)) / INSIDE, folder)
        elif parts.scheme == "mlflow-artifacts":
            place = f"{parts.path.strip('/')}/{INSIDE}"
            with self._client() as client:
                for name, size in self._listed(client, place).items():
                    ask = partial(self._open, client, f"{place}/{name}")
                    transfer.fetch(ask, folder / name, size, httpx.TransportError)
        else:
            raise OriginError(
                f"{self.name}: its files are at {parts.scheme}://, which is not read from here; "
                "MLflow's server hands them out if it is started with --serve-artifacts."
            )
        if not (folder / bundle.MANIFEST).exists():
            raise OriginError(f"{self.name}: {revision.words} holds no bundle ({INSIDE}/{bundle.MANIFEST}).")
        return folder

    def _copy(self, source: Path, folder: Path) -> None:
        """Copy from a folder that this machine and MLflow's server share."""
        if not source.is_dir():
            raise OriginError(
                f"{self.name}: its files are in a folder of MLflow's server, which hands out those of models "
                "that were registered while it ran with --serve-artifacts."
            )
        for name in bundle.FILES:
            if (source / name).exists():
                shutil.copy(source / name, folder / name)

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        """A connection to the server; what goes wrong on it is told in a sentence."""
        settings = self._settings
        headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
        try:
            with httpx.Client(
                base_url=settings.uri.rstrip("/"),
                headers=headers,
                auth=None if settings.token else settings.login,
                timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
                follow_redirects=False,  # with a password to nobody else
            ) as client:
                yield client
        except transfer.TransferError as error:
            raise OriginError(f"{self.name}: {error}.") from error
        except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError, KeyError, TypeError) as error:
            said = (str(error).splitlines() or [""])[0][:200] or type(error).__name__
            raise OriginError(
                f"{self.name}: MLflow's server {settings.shown} cannot be asked ({said})."
            ) from error

    def _ask(self, client: httpx.Client, method: str, parameters: Mapping[str, str]) -> Any:  # noqa: ANN401
        answer = client.get(API + method, params=dict(parameters))
        if answer.status_code == httpx.codes.OK:
            return answer.json()
        code = _error_code(answer)
        if code in NOT_THERE:
            raise OriginError(
                f"{self.name}: MLflow's server {self._settings.shown} has no such model, version or alias."
            )
        raise self._refusal(answer)

    def _refusal(self, answer: httpx.Response) -> OriginError:
        code = answer.status_code
        if code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return OriginError(
                f"{self.name}: MLflow's server {self._settings.shown} wants to know who asks ({code}): "
                "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            )
        return OriginError(f"{self.name}: MLflow's server {self._settings.shown} answers {code}.")

    def _listed(self, client: httpx.Client, place: str) -> dict[str, int]:
        """Return the bytes of each of a bundle's files that are there, by its name."""
        answer = client.get(ARTIFACTS, params={"path": place})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return {}
        if answer.status_code != httpx.codes.OK:
            raise self._refusal(answer)
        found = {}
        for each in answer.json().get("files", ()):
            name = PurePosixPath(each["path"]).name
            if name in bundle.FILES and not each.get("is_dir"):
                found[name] = int(each.get("file_size", 0))
        return found

    @contextmanager
    def _open(self, client: httpx.Client, place: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        with client.stream("GET", f"{ARTIFACTS}/{quote(place)}", headers=dict(headers)) as answer:
            if answer.status_code not in (transfer.OK, transfer.PARTIAL_CONTENT):
                raise self._refusal(answer)
            yield answer


def _error_code(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("error_code", ""))
    except (ValueError, AttributeError):
        return ""
