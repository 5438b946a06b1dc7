"""A repository of the Hugging Face Hub gets exactly some files: one commit, one tag, each refusal in words.

`huggingface_hub` does the asking: it has the token (HF_TOKEN or a login), the address (HF_ENDPOINT), the
upload of large files, and it repeats what a busy Hub turned away.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from deploy.mark import MARK

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

MADE_BY_THE_HUB = {".gitattributes", "README.md"}
"""What the Hub itself, or a click on it, puts into a new repository."""
KEPT = ".gitattributes"
"""The Hub's own list of what is stored as large files; it stays as it is."""


class HubError(Exception):
    """The Hub has not taken something; the message says why, and what to do."""


@dataclass(frozen=True)
class Content:
    """What a repository is to hold.

    Attributes:
        files: content of each file by its path. MARK is among them: a repository without it holds something
            else.
        tag: name for the commit; None for none.
        sdk: what runs a Space, "gradio" or "static"; None for a model.
        secrets: values by name, hidden by the Hub; only for a Space.
        variables: values by name, readable by everybody; only for a Space.
        unset: names of variables that a Space is not to have.
    """

    files: Mapping[str, bytes]
    tag: str | None = None
    sdk: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """What a push changed.

    Attributes:
        url: of the repository, for a browser.
        added: paths that are new or have new content.
        removed: paths that were there and are no longer.
        tagged: whether the tag was set or moved.
        settings: names of the secrets and variables that were set or removed.
    """

    url: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    tagged: bool
    settings: tuple[str, ...]


class _Place(TypedDict):
    """Where on the Hub, as its functions call it."""

    repo_id: str
    repo_type: str


def push(name: str, content: Content, private: bool = False, api: "HfApi | None" = None) -> Change:
    """Have a repository hold exactly some files; it is made if it is not there.

    What is on the Hub already is not sent again, and where all of it is, no request writes anything but
    secrets, whose values cannot be compared. The commit is made upon the state that was compared: if somebody
    else commits in the meantime, nothing is committed.

    Args:
        name: "OWNER/NAME".
        content: what it is to hold.
        private: whether a repository that is made here is for its owner alone.
        api: `HfApi()` unless given.

    Raises:
        HubError: the Hub refuses, cannot be reached, or the repository holds something else.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api = api or HfApi()
    place = _Place(repo_id=name, repo_type="space" if content.sdk else "model")
    with _in_words(name):
        _may_write(api, name)
        try:
            head = api.repo_info(**place).sha
        except RepositoryNotFoundError:
            _create(api, place, content.sdk, private)
            head = api.repo_info(**place).sha
        there = _there(api, place, head)
        if strangers := set(there) - MADE_BY_THE_HUB if MARK not in there else ():
            raise HubError(
                f"{name} is taken: it holds something else, {min(strangers)} among it, and is left as it is. "
                "Choose another name, or delete that repository first."
            )
        settings = _set(api, name, content)
        added = tuple(path for path, data in content.files.items() if not _same(there.get(path), data))
        removed = tuple(sorted(set(there) - set(content.files) - {KEPT}))
        if added or removed:
            head = _commit(api, place, content, (added, removed), head)
        tagged = content.tag is not None and _tag(api, place, content.tag, head)
    kind = "spaces/" if content.sdk else ""
    return Change(f"{api.endpoint}/{kind}{name}", added, removed, tagged, settings)


def _may_write(api: "HfApi", name: str) -> None:
    """Ask the Hub whose token this is: it answers a wrong one as if there were no such repository."""
    user = api.whoami()
    owner = name.partition("/")[0]
    names = [user["name"], *(each["name"] for each in user.get("orgs", []))]
    if owner.lower() not in map(str.lower, names):
        raise HubError(f"{user['name']} may not write to {owner}. The token is for: {', '.join(names)}.")
    if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise HubError("The token may only read. Make one with the right to write, and set HF_TOKEN to it.")


def _create(api: "HfApi", place: _Place, sdk: str | None, private: bool) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        api.create_repo(**place, space_sdk=sdk, private=private or None)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
        raise HubError(f"{place['repo_id']} is taken. Choose another name.") from error


def _there(api: "HfApi", place: _Place, revision: str | None) -> dict[str, "RepoFile"]:
    """Return the files of a repository by their paths; a repository without a commit has none."""
    from huggingface_hub.hf_api import RepoFile

    if revision is None:
        return {}
    listed = api.list_repo_tree(**place, recursive=True, revision=revision)
    return {each.path: each for each in listed if isinstance(each, RepoFile)}


def _same(there: "RepoFile | None", data: bytes) -> bool:
    """Whether the Hub's own hash of a file is that of some bytes: SHA-256 of a large file, or else Git's."""
    if there is None:
        return False
    if there.lfs:
        return there.lfs.sha256 == hashlib.sha256(data).hexdigest()
    return there.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _set(api: "HfApi", name: str, content: Content) -> tuple[str, ...]:
    """Set secrets, and the variables that differ, of a Space; return their names."""
    for key, value in content.secrets.items():
        api.add_space_secret(name, key, value)
    there = api.get_space_variables(name) if content.variables or content.unset else {}
    held = {key: variable.value for key, variable in there.items()}
    changed = [key for key, value in content.variables.items() if held.get(key) != value]
    for key in changed:
        api.add_space_variable(name, key, content.variables[key])
    removed = [key for key in content.unset if key in held]
    for key in removed:
        api.delete_space_variable(name, key)
    return (*content.secrets, *changed, *removed)


def _commit(
    api: "HfApi",
    place: _Place,
    content: Content,
    change: tuple[tuple[str, ...], tuple[str, ...]],
    parent: str | None,
) -> str:
    """Make one commit; return its id."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    added, removed = change
    return api.create_commit(
        **place,
        operations=[
            *(CommitOperationAdd(path_in_repo=path, path_or_fileobj=content.files[path]) for path in added),
            *(CommitOperationDelete(path_in_repo=path) for path in removed),
        ],
        commit_message=content.tag or "The app",
        parent_commit=parent,
    ).oid


def _tag(api: "HfApi", place: _Place, tag: str, commit: str | None) -> bool:
    """See to it that a tag names a commit; return whether anything was to do."""
    for each in api.list_repo_refs(**place).tags:
        if each.name == tag:
            if each.target_commit == commit:
                return False
            api.delete_tag(**place, tag=tag)
    api.create_tag(**place, tag=tag, revision=commit)
    return True


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into a HubError."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise HubError(
            "There is no token for the Hub. Set HF_TOKEN to one with the right to write, "
            "or run `hf auth login`."
        ) from error
    except OfflineModeIsEnabled as error:
        raise HubError("HF_HUB_OFFLINE forbids huggingface_hub to use the network; unset it.") from error
    except HTTPError as error:
        raise HubError(_sentence(name, error)) from error
    except ValueError as error:  # what the Hub says of the YAML of a README.md
        raise HubError(f"{name}: {' '.join(str(error).split())}") from error
    except (
        RuntimeError
    ) as error:  # of a large file, whose upload has an error of its own as its cause, or none
        cause = error.__cause__
        why = _sentence(name, cause) if isinstance(cause, HTTPError) else f"The reason: {error}"
        raise HubError(f"The upload broke off and nothing was committed. {why}") from error


def _sentence(name: str, error: Exception) -> str:
    """Return the sentence for an answer of the Hub that is no success, or for no answer."""
    from huggingface_hub.errors import HfHubHTTPError

    if not isinstance(error, HfHubHTTPError):
        said = str(error) or type(error).__name__
        return f"The Hub cannot be reached ({said}). Try again when the network is there."
    status, wait = error.response.status_code, error.response.headers.get("Retry-After", "")
    said = f" It says: {error.server_message.rstrip('.')}." if error.server_message else ""
    again = f"in {wait} seconds" if wait.isdecimal() else "later"
    changed = f"{name} was changed by somebody else in the meantime. Run this again."
    sentences = {
        401: "The Hub does not accept the token. Set HF_TOKEN to a valid one, or run `hf auth login`.",
        403: f"The token has no right to write to {name}.{said}",
        404: f"{name} is not on the Hub, or the token may not see it.",
        409: changed,
        412: changed,
        429: f"The Hub has had too many requests with this token. Run this again {again}.",
    }
    failing = f"The Hub fails at the moment (status {status}). Run this again {again}."
    refusing = f"The Hub refuses (status {status}).{said}"
    return sentences.get(status, failing if status >= 500 else refusing)
