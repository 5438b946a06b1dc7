"""Packages that an installation may lack: each belongs to an extra of pyproject.toml."""

from importlib import metadata, util

DISTRIBUTION = "are-you-a-cat"


class MissingExtraError(ImportError):
    """A package is missing; the message says what needs it and how to install it."""


def require(package: str, extra: str, purpose: str) -> None:
    """See to it that a package can be imported; it is not imported yet.

    Args:
        package: name of the module that will be imported.
        extra: which extra brings it.
        purpose: what needs it: the sentence begins with that.

    Raises:
        MissingExtraError: it is missing.
    """
    if not installed(package):
        sentence = f"{purpose} needs the package {package}, which is not installed: {command(extra)}"
        raise MissingExtraError(sentence, name=package)


def installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return util.find_spec(package) is not None


def command(extra: str) -> str:
    """Return the command that installs an extra: of an installed package, or else in a checkout."""
    try:
        metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return f"pip install '.[{extra}]'"
    return f"pip install '{DISTRIBUTION}[{extra}]'"
