"""The photos that visitors upload: a folder of this process alone, swept all the time, gone when it ends.

Gradio (6.31) deletes uploads too, but knows nothing of those that broke off, forgets all when it is killed,
and its sweep ends for ever when a photo comes in at the wrong moment.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import gradio as gr

from cat_model.settings import SettingsError
from web import gradio_compat
from web.settings import UPLOADS, uploads_lie_in

PREFIX = "are-you-a-cat-"
SWEEP_S, LIFE_S = 5, 15 * 60
"""How often photos are looked through, and how old one becomes."""
MOST_BYTES = 2_000_000_000
"""Of all photos together: beyond it the oldest go first, however young."""


@contextmanager
def own_folder(parent: Path) -> Iterator[Path]:
    """Have Gradio keep uploads in a new folder until the block ends, then delete it with all that is in it.

    Args:
        parent: where it is made, beside those of other processes.

    Raises:
        SettingsError: it cannot be made.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent.resolve()))
    except OSError as error:
        raise SettingsError(
            f"Photos cannot be kept in {parent} ({error.strerror or error}), not even while they are looked "
            f"at. Set {UPLOADS} to a folder that can be written."
        ) from error
    try:
        with uploads_lie_in(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Sweeper:
    """Deletes what is old in the folder of uploads, and what processes that were killed left beside it."""

    def __init__(self, folder: Path, blocks: gr.Blocks) -> None:
        """Remember where.

        Args:
            folder: of this process, from `own_folder`.
            blocks: the page, whose own files (the examples) stay.
        """
        self._folder, self._blocks = folder, blocks

    def sweep(self) -> None:
        """Delete what is too old or too much. What comes, goes or resists waits for the next time."""
        stays = gradio_compat.files_kept(self._blocks)
        # os.walk passes over what goes meanwhile, Path.rglob ends at it.
        walked = [(Path(at), folders, files) for at, folders, files in os.walk(self._folder)]
        files = sorted((touched(at / name), at / name) for at, _, names in walked for name in names)
        files = [(at, path) for at, path in files if path not in stays]
        much = sum(map(size, (path for _, path in files))) - MOST_BYTES
        for at, path in files:
            if old(at) or much > 0:
                much -= size(path)
                with suppress(OSError):
                    path.unlink()
        for path in (at / name for at, folders, _ in reversed(walked) for name in folders):
            if old(touched(path)):
                with suppress(OSError):  # it is not empty
                    path.rmdir()
        gradio_compat.forget_uploads(self._blocks)
        self._alive()

    def _alive(self) -> None:
        """Show that this folder is in use; delete those of which nobody has shown that for long."""
        with suppress(OSError):
            os.utime(self._folder)
        for other in self._folder.parent.glob(f"{PREFIX}*"):
            if other != self._folder and old(touched(other)):
                shutil.rmtree(other, ignore_errors=True)


def old(touched_at: float) -> bool:
    """Say whether what was touched then is too old; or in the future, of a clock that has jumped back."""
    return abs(time.time() - touched_at) > LIFE_S


def touched(path: Path) -> float:
    """Return when a file was last written; now, if it is gone."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return time.time()


def size(path: Path) -> int:
    """Return the bytes of a file; 0 if it is gone."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0
