"""A bundle in a model repository of the Hugging Face hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from cat_model import bundle
from cat_model.origin.address import Address
from cat_model.origin.base import OriginError, Revision

ASK_S = 10.0
"""Seconds that the hub may take to answer a question."""


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
        """Download a bundle's files; see `Origin.download`."""
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
        with self._in_words():
            info = HfApi().model_info(self._repository, revision=revision.name, timeout=ASK_S)
            names = [each.rfilename for each in info.siblings or () if ".." not in each.rfilename]
            paths = [PurePosixPath(name) for name in names]
            manifests = [path for path in paths if path.name == bundle.MANIFEST]
            if not manifests:
                raise OriginError(f"{self.name} holds no bundle: it has no {bundle.MANIFEST}.")
            inside = min(manifests, key=lambda path: len(path.parts)).parent
            for name in bundle.FILES:
                if str(inside / name) in names:
                    # It goes on with a file that it left incomplete, and gives it its name when it is whole.
                    HfApi().hf_hub_download(
                        self._repository, str(inside / name), revision=revision.name, local_dir=folder
                    )
        return folder / inside

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turn what the hub and the way to it may raise into a sentence."""
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
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
        except LocalEntryNotFoundError as error:  # there is none here, and none to be had
            raise OriginError(f"{self.name}: the hub cannot be reached.") from error
        except (HFValidationError, OSError) as error:
            raise OriginError(f"{self.name}: {_first_line(error)}") from error
        except OriginError:
            raise
        except Exception as error:
            # The hub's library hands on whatever its HTTP client raises, and that client has changed before.
            raise OriginError(f"{self.name}: the hub cannot be reached ({_first_line(error)}).") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
