"""Fingerprints of files, folders and code by their content, not by their dates."""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from pipelines.settings import ROOT

CODE = (".py", ".toml", ".csv")
"""Endings of the files of a package that decide what it does."""


def of_files(paths: Iterable[Path], base: Path) -> str:
    """Return a SHA-256 that changes when a file comes, goes, moves or changes.

    Args:
        paths: files and folders, relative to `base`; what is not there counts as missing.
        base: a folder.

    Raises:
        OSError: a file cannot be read.
    """
    files = [(str(path), each) for path in paths for each in _files(base / path)]
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(_digest, (path for _, path in files)))
    names = [(name, path.relative_to(base / name).as_posix()) for name, path in files]
    return of_value([[*name, digest] for name, digest in zip(names, digests, strict=True)])


@cache
def of_code(packages: tuple[str, ...]) -> str:
    """Return a SHA-256 of the code of some of the checkout's packages, as it was at the first call."""
    files = [
        path.relative_to(ROOT)
        for package in packages
        for path in sorted((ROOT / package).rglob("*"))
        if path.suffix in CODE and "bundle" not in path.parts
    ]
    return of_files(files, ROOT)


def of_value(value: object) -> str:
    """Return a SHA-256 of what JSON can hold."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _files(path: Path) -> list[Path]:
    """Return the files of a folder; a file, or what is missing, stands for itself."""
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing"
