"""MLflow's own server: what export registers there is what a page takes from there, and a rollback is too."""

import json
import shutil

import pytest

from cat_model import bundle
from cat_model.bundle import MANIFEST, MODEL, Bundle
from cat_model.origin.follow import follower
from cat_model.settings import SHIPPED_BUNDLE, Settings
from export import __main__ as export_line
from tests.train.conftest import mlflow_server
from train.tracking import Tracker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    store, artifacts = f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts")
    options = ("--workers", "1", "--backend-store-uri", store, "--artifacts-destination", artifacts)
    with mlflow_server(folder, "/health", "server", *options) as served:
        yield served


def test_what_is_registered_is_followed_and_so_is_a_rollback(address, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    (tmp_path / "run").mkdir()
    tracker = Tracker.start(address, tmp_path / "run")
    manifest, served = json.loads((SHIPPED_BUNDLE / MANIFEST).read_text()), tmp_path / "served"
    settings = Settings.from_env(
        {
            "CAT_BUNDLE": "models:/are-you-a-cat@champion",
            "CAT_BUNDLE_CACHE": str(tmp_path / "cache"),
            "MLFLOW_TRACKING_URI": address,
        }
    )
    follows = follower(settings)
    for version in ("model-1", "model-2"):
        made = shutil.copytree(SHIPPED_BUNDLE, tmp_path / version)
        (made / MANIFEST).write_text(json.dumps(manifest | {"version": version}))
        bundle.write(served, {path.name: path.read_bytes() for path in made.iterdir()})
        tracker.register(made, True, served)
        assert not tracker.waits
        assert follows.refresh()
        copied = {path.name: path.read_bytes() for path in settings.bundle.iterdir()}
        assert copied == {path.name: path.read_bytes() for path in made.iterdir()}
    assert export_line.main(["rollback", "--bundle", str(served)]) == 0
    assert follows.refresh()
    assert Bundle.read(settings.bundle).version == "model-1"

    # A part that an earlier process left is gone on with: this server knows parts of files.
    part = tmp_path / "half" / f"{MODEL}.part"
    part.parent.mkdir()
    part.write_bytes(b"?" * 1000)
    origin = follows._origin
    origin.download(origin.newest(), part.parent)
    assert (part.parent / MODEL).read_bytes() == b"?" * 1000 + (SHIPPED_BUNDLE / MODEL).read_bytes()[1000:]
