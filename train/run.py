"""The run folder: one training's configuration, inputs and results, for going on with it and for export."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from cat_model.atomic import write_durably
from train import store
from train.config import TrainConfig, TrainError
from train.data import dataset, manifest
from train.data.dataset import Examples, Pixels
from train.data.manifest import CHOOSING, PEOPLE, TRAIN, WILD, PhotoRecord

RUN, SUMMARY, MODEL = "run.json", "summary.json", "model.keras"
PATHS = ("photos", "wild", "people", "boxes", "cache")


@dataclass(frozen=True)
class Run:
    """A run folder and what it says of itself: all that export needs.

    Attributes:
        folder: the run folder.
        config: what was done.
        command: the command line.
        photos: folder of groups it learned from.
        wild: folder of groups it was only measured on, or None.
        people: folder of groups it was chosen with, but did not learn from, or None.
        boxes: file that says where cats are, or None.
        cache: folder of what was computed from photos.
        data: fingerprint of the photos, their groups and splits.
        code_commit: of the code that trained.
        weights: name and sha256 of the pretrained weights, or how they were had.
        tracking_uri: MLflow's store.
        mlflow_run: id of the run there; empty where that store was away when it began, and still is.
    """

    folder: Path
    config: TrainConfig
    command: str
    photos: Path
    wild: Path | None
    people: Path | None
    boxes: Path | None
    cache: Path
    data: str
    code_commit: str
    weights: str
    tracking_uri: str
    mlflow_run: str

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a run folder.

        Raises:
            TrainError: it holds no run, or one that is not finished.
        """
        if not (folder / RUN).exists():
            raise TrainError(f"{folder} holds no training run.")
        if not (folder / SUMMARY).exists():
            raise TrainError(
                f"The run in {folder} is not finished; the command that began it goes on with it."
            )
        return cls.read_unfinished(folder)

    @classmethod
    def read_unfinished(cls, folder: Path) -> Self:
        """Read a run folder whether or not its run is finished."""
        stored = json.loads((folder / RUN).read_text())
        stored["config"] = TrainConfig.from_stored(stored["config"])
        for name in PATHS:
            stored[name] = Path(stored[name]) if stored[name] else None
        stored["tracking_uri"] = store_of_moved(stored["tracking_uri"], folder)
        stored["mlflow_run"] = store.run_id(stored["mlflow_run"], folder)
        return cls(folder=folder, **stored)

    def write(self) -> None:
        """Write run.json, which `read` reads."""
        stored = {name: value for name, value in dataclasses.asdict(self).items() if name != "folder"}
        for name in PATHS:
            stored[name] = str(stored[name].absolute()) if stored[name] else None
        stored["tracking_uri"] = _anywhere(self.tracking_uri)
        write_durably(self.folder / RUN, json.dumps(stored, indent=1).encode())

    def manifest(self, split: str) -> list[PhotoRecord]:
        """Return the photos of one split; "wild" and "people" are empty where none were given."""
        name = f"{split}.csv" if split in (WILD, PEOPLE) else "manifest.csv"
        return [record for record in manifest.read_manifest(self.folder / name) if record.split == split]

    def root(self, split: str) -> Path | None:
        """Return the folder of groups that the photos of a split lie in."""
        return {WILD: self.wild, PEOPLE: self.people}.get(split, self.photos)

    def need_root(self, split: str) -> Path:
        """Return the folder of groups that the photos of a split lie in.

        Raises:
            TrainError: the run was given no photos of that split.
        """
        root = self.root(split)
        if root is None:
            raise TrainError(f"{self.folder} was given no photos for {split}.")
        return root

    def pixels(self, split: str, side: int | None = None) -> Pixels:
        """Return the photos of one split, `side` pixels a side; without a side, as served.

        Raises:
            TrainError: the run was given no photos of that split, or one has changed.
        """
        root = self.need_root(split)
        return dataset.pixels(root, self.manifest(split), side or self.config.side, self.cache)

    def examples(self) -> Examples:
        """Return the photos to learn from, with the boxes of their cats where the run was given them."""
        records = self.manifest(TRAIN)
        boxes = dataset.read_boxes(self.boxes) if self.boxes else {}
        labels = manifest.labels(records).astype(bool)
        return Examples(
            self.pixels(TRAIN, dataset.LARGE), labels, dataset.boxes_of(self.photos, records, boxes)
        )

    def choosing(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the photos that choose the epoch: pixels (N, side, side, 3), uint8, and labels (N,),
        bool."""
        splits = [split for split in CHOOSING if self.manifest(split)]
        pixels = np.concatenate([self.pixels(split)[:] for split in splits])
        return pixels, np.concatenate([manifest.labels(self.manifest(split)) for split in splits]) > 0


def store_of_moved(uri: str, folder: Path) -> str:
    """Return MLflow's store as it is found after its project was moved to another folder.

    Args:
        uri: as it was noted.
        folder: where it was noted: a SQLite file that is missing is looked for in the folders above.
    """
    _, sqlite, name = uri.rpartition("sqlite:///")
    file = Path(name)
    if not sqlite or name == ":memory:" or _exists(file):
        return uri
    above = (parent / file.name for parent in folder.absolute().parents)
    there = next((each for each in above if each.is_file()), None)
    return f"{sqlite}{there.as_posix()}" if there else uri


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in the home of somebody else
        return False


def _anywhere(uri: str) -> str:
    """Return MLflow's store as it is found from any working directory: a SQLite file by its absolute path."""
    start, sqlite, file = uri.partition("sqlite:///")
    if start or not sqlite or file in ("", ":memory:"):
        return uri
    return f"{sqlite}{Path(file).absolute().as_posix()}"
