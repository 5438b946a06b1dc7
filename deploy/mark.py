"""A file beside what the deploy commands write: it lists the rest, so that no other files are replaced."""

from collections.abc import Mapping

MARK = ".are-you-a-cat"
HEAD = "# Written by the deploy commands of Are you a cat?, which replace and delete these files:\n"


def marked(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return files, by their paths, and the one that lists them."""
    paths = sorted(set(files) - {MARK})
    return {**files, MARK: (HEAD + "".join(f"{path}\n" for path in paths)).encode()}


def listed(mark: bytes) -> set[str]:
    """Return the paths that such a file lists, and its own."""
    lines = mark.decode("utf-8", "replace").splitlines()
    return {MARK, *(line for line in lines if line and not line.startswith("#"))}
