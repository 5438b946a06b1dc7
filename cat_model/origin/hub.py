"""A bundle in a model repository of the Hugging Face hub."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

from cat_model import bundle
from cat_model.origin import transfer
from cat_model.origin.address import Address
from cat_model.origin.base import OriginError, Revision

ASK_S, READ_S = 10.0, 15.0
"""Seconds that the hub may take to answer a question, and that a file may stand still."""


class HubOrigin:
    """A branch, tag or commit; the token is HF_TOKEN, or that of a login."""

    def __init__(self, address: Address) -> None:
        """Name a repository; nothing is asked yet."""
        self.name = address.text
        self._repository, self._revision = address.name, address.alias

    def newest(self) -> Revision:
        """Return the commit that the branch or tag is at; see `Origin.newest`."""
        from huggingface_hub import HfApi

        with self._in_words():
            info = HfApi().model_info(self._repository, revision=self._revision, timeout=ASK_S)
        if not info.sha:
            raise OriginError(f"{self.name}: the hub names no commit.")
        return Revision(info.sha, f"Commit {info.sha[:8]}")

    def download(self, revision: Revision, folder: Path) -> Path:
        """Download a bundle's files; see `Origin.download`.

        The hub's library would begin each file anew in each process, and within one go on only after 10 MB.
        """
        from huggingface_hub import HfApi

        with self._in_words():
            info = HfApi().model_info(
                self._repository, revision=revision.name, files_metadata=True, timeout=ASK_S
            )
            sizes = {PurePosixPath(each.rfilename): each.size or 0 for each in info.siblings or ()}
            manifests = [path for path in sizes if path.name == bundle.MANIFEST]
            if not manifests:
                raise OriginError(f"{self.name} holds no bundle: it has no {bundle.MANIFEST}.")
            inside = min(manifests, key=lambda path: len(path.parts)).parent
            for name in bundle.FILES:
                if (path := inside / name) in sizes:
                    ask = partial(_open, self._repository, str(path), revision.name)
                    transfer.fetch(ask, folder / name, sizes[path], _broken())
        return folder

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turn what the hub and the way to it may raise into a sentence."""
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        try:
            yield
        except GatedRepoError as error:
            raise OriginError(
                f"{self.name}: the hub asks for a token that may read it (HF_TOKEN)."
            ) from error
        except RepositoryNotFoundError as error:
            raise OriginError(
                f"{self.name}: the hub has no such repository, or shows it only to a token that may read it "
                "(HF_TOKEN)."
            ) from error
        except RevisionNotFoundError as error:
            raise OriginError(
                f"{self.name}: there is no branch, tag or commit {self._revision!r}."
            ) from error
        except HfHubHTTPError as error:
            raise OriginError(f"{self.name}: the hub answers {error.response.status_code}.") from error
        except transfer.TransferError as error:
            raise OriginError(f"{self.name}: {error}.") from error
        except (HFValidationError, OSError) as error:
            raise OriginError(f"{self.name}: {_first_line(error)}") from error
        except OriginError:
            raise
        except Exception as error:
            # The hub's library hands on whatever its HTTP client raises, and that client has changed before.
            raise OriginError(f"{self.name}: the hub cannot be reached ({_first_line(error)}).") from error


@contextmanager
def _open(repository: str, name: str, commit: str, headers: Mapping[str, str]) -> "Iterator[transfer.Answer]":
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    url = hf_hub_url(repository, name, revision=commit)
    headers = build_hf_headers() | dict(headers)
    with get_session().stream("GET", url, headers=headers, timeout=READ_S, follow_redirects=True) as answer:
        hf_raise_for_status(answer)
        yield answer


def _broken() -> type[Exception]:
    """Return what the HTTP client of the hub's library raises where the connection breaks."""
    from huggingface_hub.utils import httpx

    return httpx.TransportError


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
