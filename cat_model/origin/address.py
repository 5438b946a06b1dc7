"""The addresses that CAT_BUNDLE may hold beside a folder: `models:/NAME@ALIAS` and `hf://OWNER/REPO`."""

import hashlib
import re
from dataclasses import dataclass

MLFLOW, HUB = "models", "hf"
_SCHEME = re.compile(r"(models|hf):/|[A-Za-z][A-Za-z0-9+.-]+://")
_MODEL = re.compile(r"models:/(?P<name>[^/@:\s]+)(@(?P<alias>[^/@:\s]+)|/(?P<version>[0-9]+))")
_REPOSITORY = re.compile(r"hf://(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)


class AddressError(ValueError):
    """An address has another form; the message says which forms there are."""


@dataclass(frozen=True)
class Address:
    """Where a bundle comes from.

    Attributes:
        text: as it was written.
        scheme: "models" or "hf".
        name: of the registered model, or OWNER/REPO.
        alias: of the model's version, or the repository's branch, tag or commit; empty where a version is
            named.
        version: number of the model's version; empty where an alias is named.
    """

    text: str
    scheme: str
    name: str
    alias: str = ""
    version: str = ""

    def folder_name(self, server: str = "") -> str:
        """Return a name for the folder that a copy is kept in, another one for each address.

        Args:
            server: whose models they are; the same address means another model there.
        """
        readable = re.sub(r"[^\w.-]+", "-", self.text, flags=re.ASCII)
        return f"{readable}-{hashlib.sha256(f'{server} {self.text}'.encode()).hexdigest()[:8]}"


def parse(text: str) -> Address | None:
    """Return the address that a text is, or None if it is the path of a folder.

    Raises:
        AddressError: it begins like an address, and is none.
    """
    if found := _MODEL.fullmatch(text):
        return Address(text, MLFLOW, found["name"], found["alias"] or "", found["version"] or "")
    if found := _REPOSITORY.fullmatch(text):
        return Address(text, HUB, found["name"], found["revision"] or "main")
    if _SCHEME.match(text):
        raise AddressError(
            "it must be a folder, models:/NAME@ALIAS, models:/NAME/VERSION or hf://OWNER/REPO[@REVISION]"
        )
    return None
