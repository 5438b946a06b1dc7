"""Files that survive a power cut: whole or not at all, and flushed before anybody relies on them."""

import os
import tempfile
from pathlib import Path


def write_durably(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file, flush it to the disk, and only then give it its name; folders on the way are made.

    Args:
        path: the file to write or replace.
        content: all its bytes.
        mode: who may read it; nobody but the owner unless told.

    Raises:
        OSError: it could not be written; nothing half-written is left.
    """
    _make_folder(path.parent)
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            Path(temporary).chmod(mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder whose own name is flushed to the disk too, or a power cut takes it with its files."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, so that a rename there survives a power cut."""
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
