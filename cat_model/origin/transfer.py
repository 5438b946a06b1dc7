"""Downloads of single files over HTTP that go on where they broke off, in this process or in the next."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

OK, PARTIAL_CONTENT = 200, 206
ATTEMPTS = 5
"""How often a file is gone on with after it broke off, in one call."""
LARGEST = 200_000_000
"""Bytes of a file of a bundle, at most."""


class TransferError(Exception):
    """A server sends other bytes than it promised; the message names the file."""


class Answer(Protocol):
    """What httpx and its successors give of an answer whose body is still to come."""

    @property
    def status_code(self) -> int:
        """The status: 200 for the whole file, 206 for a part of it."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""
        ...

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the body as it comes."""
        ...


Ask = Callable[[Mapping[str, str]], AbstractContextManager[Answer]]
"""Asks for a file with these headers; raises what is to be said of a status that is neither 200 nor 206."""


def fetch(ask: Ask, path: Path, size: int, broken: type[Exception]) -> None:
    """Download a file to its name, by way of a partial one beside it that is gone on with.

    Args:
        ask: for the file.
        path: to write; where it exists, nothing is asked.
        size: bytes that the file must have.
        broken: raised where the connection breaks; it is tried again as long as more and more is there.

    Raises:
        TransferError: the server sends other bytes.
        OSError: the file cannot be written.
    """
    if path.exists():
        return
    if size > LARGEST:
        raise TransferError(f"{path.name} has {size} bytes; {LARGEST} are the most")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    for left in reversed(range(ATTEMPTS)):
        before = _size(part)
        try:
            _go_on(ask, part, size)
            break
        except broken:
            if not left or _size(part) <= before:
                raise
    part.rename(path)


def _go_on(ask: Ask, part: Path, size: int) -> None:
    have = _size(part)
    if have == size and part.exists():
        return
    headers = {"Accept-Encoding": "identity"}  # parts of a compressed file would not fit together
    if have:
        headers["Range"] = f"bytes={have}-"
    with ask(headers) as answer:
        if answer.status_code == PARTIAL_CONTENT:
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise TransferError(f"another part of {part.stem} comes than was asked for")
        else:
            have = 0  # a server that knows no parts sends all of it
        with part.open("ab" if have else "wb") as file:
            for chunk in answer.iter_bytes():
                have += len(chunk)
                if have > size:
                    break
                file.write(chunk)
    if have != size:
        part.unlink()
        raise TransferError(f"{part.stem} has not the {size} bytes that it should have")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
