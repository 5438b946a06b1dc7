"""The photos that a file name, a folder or a glob stands for; training looks through its folders here too.

Passed over is what cameras, file managers and network drives leave beside photos: names that begin with a
dot, Synology's `@eaDir`, `Thumbs.db` and their like, and folders that are named like photos, which hold
thumbnails. Links are followed, and each real file is found once, whatever loops the links make.
"""

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cat_model.photo import SUFFIXES

NOT_READ = frozenset(
    {
        *(".tif", ".tiff", ".jxl", ".jp2", ".j2k", ".jpf", ".jpx", ".heics", ".avifs", ".psd"),
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf"),
        *(".pef", ".srw", ".x3f", ".3fr", ".iiq", ".erf", ".kdc", ".dcr", ".mrw", ".rwl", ".raw"),
    }
)
"""Suffixes of photos whose formats are not read: they are found as well, so that each can be named."""
JUNK_FOLDERS = frozenset(
    {
        *("@eadir", "#recycle", "#snapshot"),  # Synology
        *("__macosx", "$recycle.bin", "system volume information", "lost+found"),
    }
)
JUNK_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
DEEP = re.compile(r"((?:.*?/)??)\*\*(?:/+(.*))?", re.DOTALL)
"""A glob: what stands before its first `**`, and what behind it."""

OnError = Callable[[OSError], None]
"""Is told of each folder that cannot be listed; `filename` of the error is that folder."""


def photos(name: str, on_error: OnError) -> Iterator[Path]:
    """Yield the photos that a name stands for, each real file once.

    Args:
        name: a file, which need not exist; a folder, which is searched to the bottom; or a glob.
        on_error: see OnError.
    """
    if os.path.lexists(name):
        named: Iterable[Path] = [Path(name)]
    elif glob.has_magic(name):
        named = matches(name, on_error)
    else:
        yield Path(name)
        return
    seen: set[str] = set()
    for each in named:
        for path in filter(like_a_photo, files(each, on_error)) if each.is_dir() else [each]:
            real = os.path.realpath(path)
            if real not in seen:
                seen.add(real)
                yield path


def files(folder: Path, on_error: OnError) -> Iterator[Path]:
    """Yield all files of a folder and of the folders in it but junk, sorted, each real file once.

    Args:
        folder: where to look.
        on_error: see OnError.
    """
    return (path for path, is_folder in _walk(folder, on_error) if not is_folder)


def folders(folder: Path, on_error: OnError) -> Iterator[Path]:
    """Yield a folder and the folders in it but junk, sorted, each real folder once; see `files`."""
    return (path for path, is_folder in _walk(folder, on_error) if is_folder)


def matches(pattern: str, on_error: OnError) -> list[Path]:
    """Return the files and folders that a glob stands for, sorted, but no junk.

    `**` stands for a folder and those below it, each real one once: `glob.glob` would follow loops of links.

    Args:
        pattern: as for `glob.glob` with `recursive=True`.
        on_error: see OnError.
    """
    pattern = pattern.replace(os.sep, "/")
    deep = DEEP.fullmatch(pattern)
    if not deep:
        asked = set(pattern.split("/"))
        found = map(Path, sorted(glob.glob(pattern)))
        return [path for path in found if not _through_junk(path, asked)]
    before, after = deep[1], deep[2]
    bases = matches(before, on_error) if before else [Path()]
    if not after:  # whoever asks for all that lies in a folder may as well be given the folder
        return bases
    below = [folder for base in bases for folder in folders(base, on_error)]
    wanted = [path for each in below for path in matches(f"{glob.escape(str(each))}/{after}", on_error)]
    return list(dict.fromkeys(wanted))


def is_junk(name: str, is_folder: bool) -> bool:
    """Return whether a name, found among photos, is of something that nobody put there as a photo."""
    low = name.lower()
    if is_folder:
        return low.startswith(".") or low in JUNK_FOLDERS or like_a_photo(Path(low))
    return low.startswith(".") or low in JUNK_FILES


def like_a_photo(path: Path) -> bool:
    """Return whether something is named like a photo, whether such photos are read or not."""
    return path.suffix.lower() in SUFFIXES | NOT_READ


def _walk(folder: Path, on_error: OnError) -> Iterator[tuple[Path, bool]]:
    """Yield a folder and what lies in it at any depth, sorted by path, and whether each is a folder."""
    seen: set[str] = set()
    waiting = [(folder, os.path.realpath(folder), True)]
    while waiting:
        path, real, is_folder = waiting.pop()
        if real not in seen:
            seen.add(real)
            yield path, is_folder
            if is_folder:
                waiting += reversed(_listed(path, real, on_error))


def _listed(folder: Path, real: str, on_error: OnError) -> list[tuple[Path, str, bool]]:
    """Return path, real path and whether it is a folder of what lies in a folder, but junk, sorted."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                is_folder = _leads_to_folder(entry)
                if not is_junk(entry.name, is_folder):
                    path = folder / entry.name
                    # Asking for the real path of each file would take as long as all the rest.
                    known = None if entry.is_symlink() else f"{real}{os.sep}{entry.name}"
                    found.append((path, known or os.path.realpath(path), is_folder))
    except OSError as error:
        on_error(error)
    return found


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _through_junk(path: Path, asked: set[str]) -> bool:
    """Return whether a part of a path is junk, but for those that were asked for by name."""
    parts = [(path.name, path.is_dir()), *((parent.name, True) for parent in path.parents)]
    return any(name not in asked and is_junk(name, is_folder) for name, is_folder in parts)
