"""What an origin of bundles is, and what it says when it gives none."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class OriginError(Exception):
    """An origin does not give what was asked for just now; the message names it and says why."""


@dataclass(frozen=True)
class Revision:
    """One state of an origin.

    Attributes:
        name: the same name is always the same files.
        words: how it is called in a sentence, such as "version 3".
    """

    name: str
    words: str


class Origin(Protocol):
    """A place that bundles come from."""

    name: str

    def newest(self) -> Revision:
        """Return what the address means now.

        Raises:
            OriginError: it could not be told.
        """
        ...

    def download(self, revision: Revision, folder: Path) -> Path:
        """Download a bundle's files, and go on with files that an earlier call left incomplete.

        Args:
            revision: that `newest` gave.
            folder: to write to; nothing else writes there.

        Returns:
            The folder that holds the bundle's files, and no incomplete ones.

        Raises:
            OriginError: they are not all there; what is there already stays for the next call.
        """
        ...
