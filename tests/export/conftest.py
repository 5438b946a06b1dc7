"""A run folder of generated photos that was never trained: all that measuring and comparing need."""

import dataclasses

import pytest

from cat_model.bundle import Bundle
from tests import generated_photos
from train.config import TrainConfig
from train.data import manifest
from train.data.manifest import PEOPLE, TEST, TRAIN, VALIDATION, WILD
from train.run import Run


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Of each group's 12 photos, 4 are for training, 3 for validation and 5 for the test; 2 are people's."""
    folder = tmp_path_factory.mktemp("untrained")
    splits = [TRAIN] * 4 + [VALIDATION] * 3 + [TEST] * 5
    photos, people = (
        generated_photos.write(folder / name, count, seed=count)
        for name, count in (("photos", len(splits)), (PEOPLE, 2))
    )
    records = manifest.scan(photos)[0]
    placed = [dataclasses.replace(r, split=splits[i % len(splits)]) for i, r in enumerate(records)]
    manifest.write_manifest(folder / "manifest.csv", placed)
    theirs = [dataclasses.replace(record, split=PEOPLE) for record in manifest.scan(people)[0]]
    manifest.write_manifest(folder / f"{PEOPLE}.csv", theirs)
    manifest.write_manifest(folder / f"{WILD}.csv", [])
    return Run(
        folder=folder,
        config=TrainConfig(backbone="tiny", side=Bundle.read().side),
        command="python -m train run",
        photos=photos,
        wild=None,
        people=people,
        boxes=None,
        cache=folder / "cache",
        data="0" * 64,
        code_commit="unknown",
        weights="by name",
        tracking_uri=f"sqlite:///{folder / 'mlflow.db'}",
        mlflow_run="",
    )
