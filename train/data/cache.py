"""A cache on disk: what was computed from photos, under keys made from the photos and the code."""

import hashlib
import inspect
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from types import ModuleType

FILE = "memo.db"
"""The name that caches have had since 0.1.0."""


class Cache:
    """A table of values by key in one file of the cache folder; without a folder nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        """Use the file in a folder; both are made at the first `put`."""
        self._folder = folder

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the values of those keys that are known."""
        if self._folder is None or not (self._folder / FILE).exists():
            return {}
        found = {}
        with closing(sqlite3.connect(self._folder / FILE)) as table:
            for key in keys:
                row = table.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
                if row:
                    found[key] = row[0]
        return found

    def put(self, values: Mapping[str, bytes]) -> None:
        """Keep values under their keys, all of them or (after a power cut) none."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._folder / FILE)) as table, table:
            table.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB NOT NULL)")
            table.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", values.items())


def key(*parts: object) -> str:
    """Return a key made from everything that decides a value; a module stands for its source code."""
    digest = hashlib.sha256()
    for part in parts:
        text = inspect.getsource(part) if isinstance(part, ModuleType) else str(part)
        digest.update(f"{len(text)} {text}".encode())
    return digest.hexdigest()
