"""The engine for browsers as it is served: the files that `python -m web.build` made, and a bundle for it."""

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cat_model.bundle import MANIFEST, Bundle
from web.build import BUILT, COMPRESSED, ENGINE


@dataclass(frozen=True)
class Engine:
    """What was built.

    Attributes:
        folder: where it lies.
        version: 16 hexadecimal digits that change with any of its files.
    """

    folder: Path
    version: str

    @classmethod
    def find(cls, folder: Path = BUILT) -> Self | None:
        """Return what was built into a folder; None where nothing was."""
        if not (folder / ENGINE).exists():
            return None
        found = hashlib.sha256()
        for path in sorted(folder.iterdir()):
            # LiteRT's files, most of the bytes, have a hash in their names.
            content = path.read_bytes() if path.name.count(".") == 1 else b""
            found.update(f"{path.name}\0{len(content)}\0".encode() + content)
        return cls(folder, found.hexdigest()[:16])


def packed(bundle: Bundle) -> dict[str, bytes]:
    """Return what a browser loads of a bundle, by name: the manifest, and the model that it names.

    The model is compressed, and its name holds its hash.
    """
    name = f"model.{bundle.manifest['model']['sha256'][:16]}.tflite{COMPRESSED}"
    manifest = {**bundle.manifest, "model": {**bundle.manifest["model"], "file": name}}
    return {
        name: gzip.compress(bundle.model, 9, mtime=0),
        MANIFEST: json.dumps(manifest, separators=(",", ":")).encode(),
    }
