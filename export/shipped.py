"""Operations on a bundle that is there: sign it, register it, record its self-test, roll it back."""

import dataclasses
import json
from pathlib import Path

from cat_model import bundle, selftest, signature
from cat_model.bundle import MANIFEST, MODEL, SCHEMA, Bundle
from cat_model.predictor import Predictor
from train import store
from train.config import TrainError


def roll_back(target: Path) -> str:
    """Bring back the bundle that the present one replaced; return a sentence for the person who asked.

    Raises:
        BundleError: there is none, or it cannot be served; nothing has changed.
    """
    Predictor(Bundle.read(bundle.previous(target.resolve())))
    return f"{target} holds {bundle.roll_back(target).version} again."


def register(target: Path, uri: str, *, begin: bool = True) -> str:
    """Have MLflow's registry call the bundle that is there its champion; return a sentence.

    Args:
        target: the bundle.
        uri: MLflow's store.
        begin: whether to begin where nothing was registered yet; else the sentence is empty there.

    Raises:
        TrainError: the store cannot be used, or refuses.
        BundleError: it is no valid bundle.
    """
    database = store.database_of(uri)
    if not begin and database and not database.exists():
        return ""
    store.require_store(uri)
    from mlflow import MlflowClient

    from train import registry
    from train.tracking import FAULTS, quiet

    try:
        with quiet():
            return registry.follow(MlflowClient(uri), uri, target, begin=begin)
    except FAULTS as error:
        raise TrainError(store.unusable(uri, store.first_line(error))) from error


def sign(target: Path, key: Path) -> str:
    """Sign a bundle; return a sentence with the public key.

    Raises:
        BundleError: it is no valid bundle.
        SignatureError: the key cannot be used.
        OSError: the key cannot be read or the bundle not be written.
    """
    files = _files(Bundle.read(target))
    files[signature.SIGNATURE], public = signature.sign(files[MANIFEST], key.read_bytes())
    version = bundle.write(target, files).version
    return f"{target} ({version}) is signed. Ask for it: CAT_BUNDLE_PUBLIC_KEY={public}"


def record_self_test(target: Path) -> str:
    """Record what a bundle's model answers in its self-test; a signature, which no longer fits, goes.

    Raises:
        BundleError: it is no valid bundle.
        ModelError: its model cannot be served.
    """
    old = Bundle.read(target)
    recorded = [dataclasses.asdict(each) for each in selftest.record(old.model)]
    manifest = dict(old.manifest) | {"schema": SCHEMA, "golden": recorded}
    files = _files(old) | {MANIFEST: json.dumps(manifest, indent=1).encode() + b"\n"}
    files.pop(signature.SIGNATURE, None)
    return f"{target} ({bundle.write(target, files).version}) has a self-test of {len(recorded)} pictures."


def _files(old: Bundle) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in old.folder.iterdir() if path.is_file()}
    return files | {MODEL: old.model}
