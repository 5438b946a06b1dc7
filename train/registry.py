"""MLflow's model registry: a version for each bundle that passed its gate, and aliases that say which serves.

The alias `champion` is on the version whose bundle is in place, `challenger` on the newest that passed the
gate. The registered model is a pyfunc (models from code): pyfunc.py, the package `cat_model`, and the bundle.
"""

import base64
import io
import json
import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import save_model
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType, Array

import cat_model
from cat_model import bundle
from cat_model.bundle import Bundle, sha256
from cat_model.photo import decode
from train import pyfunc, store
from train.config import TrainError

NAME, CHALLENGER, CHAMPION = "are-you-a-cat", "challenger", "champion"
DIGEST, PASSED_AT = "bundle_sha256", "passed_at"
"""Tags: which files a version holds, and when they passed the gate, in milliseconds since 1970."""
PACKAGES = ("mlflow", "pandas", "ai-edge-litert", "backports-strenum", "numpy", "pi-heif", "pillow")
"""What the registered model needs, at the versions installed here."""
EXAMPLE = Path(__file__).parents[1] / "examples" / "chelsea.jpg"
EXAMPLE_SIDE = 256
"""Pixels of the longer side of the photo in the input example."""


def digest(folder: Path) -> str:
    """Return the SHA-256 of a bundle's files and their names.

    Raises:
        OSError: it cannot be read.
    """
    found = {name: sha256((folder / name).read_bytes()) for name in _files(folder)}
    return sha256(json.dumps(found, sort_keys=True).encode())


def find(client: MlflowClient, folder: Path) -> ModelVersion | None:
    """Return the version that holds a bundle, or None."""
    return _tagged(client, digest(folder))


def register(client: MlflowClient, folder: Path, run_id: str, passed_at: int) -> ModelVersion:
    """Return the version that holds a bundle; it is made unless it exists.

    Args:
        client: of the store.
        folder: of the bundle.
        run_id: of the run that trained it.
        passed_at: when it passed the gate, in milliseconds since 1970; 0 where nobody knows.

    Raises:
        MlflowException: the store refuses, or is away.
        BundleError: the bundle is damaged.
    """
    if found := find(client, folder):
        return found
    held = Bundle.read(folder)
    try:
        client.create_registered_model(NAME, description="Says whether a photo shows a cat.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    experiment = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment, NAME, source_run_id=run_id, model_type="pyfunc")
    with tempfile.TemporaryDirectory() as place:
        model = Path(place) / "model"
        _save(folder, Path(place), model, Model(run_id=run_id, model_id=logged.model_id))
        client.log_model_artifacts(logged.model_id, str(model))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return client.create_model_version(
        NAME,
        source=logged.artifact_location,  # models:/ would be looked up in this process's default store
        run_id=run_id,
        model_id=logged.model_id,
        tags=_tags(held, digest(folder), passed_at),
        description=f"{held.version}, threshold {held.threshold:.3f}",
    )


def challenge(client: MlflowClient, version: ModelVersion) -> bool:
    """Put the alias `challenger` on a version, unless a newer one has it; return whether it has it now."""
    holder = _holder(client, CHALLENGER)
    is_newest = holder is None or int(holder.tags.get(PASSED_AT, 0)) <= int(version.tags.get(PASSED_AT, 0))
    if is_newest:
        client.set_registered_model_alias(NAME, CHALLENGER, version.version)
    return is_newest


def crown(client: MlflowClient, version: ModelVersion, target: Path) -> bool:
    """Put the alias `champion` on a version if its bundle is the one in place; return whether it is.

    Args:
        client: of the store.
        version: which one.
        target: the folder that is served.
    """
    try:
        in_place = digest(target) == version.tags.get(DIGEST)
    except OSError:
        in_place = False
    if in_place:
        client.set_registered_model_alias(NAME, CHAMPION, version.version)
    return in_place


def follow(client: MlflowClient, uri: str, target: Path, *, begin: bool) -> str:
    """Have the champion be the bundle that is in place; return a sentence, empty where there is no registry.

    Args:
        client: of the store.
        uri: of the store.
        target: the folder that is served.
        begin: whether to go on where nothing was registered before.

    Raises:
        MlflowException: the store refuses, or is away.
        BundleError: the bundle is damaged.
    """
    if not begin and _holder(client, CHAMPION) is None:
        return ""
    version, aliases = find(client, target), [CHAMPION]
    if version is None:
        version = register(client, target, _origin(client, uri, Bundle.read(target)), 0)
        if version.tags["gate"] == "passed" and challenge(client, version):
            aliases.insert(0, CHALLENGER)
    crown(client, version, target)
    return sentence(version, aliases)


def _origin(client: MlflowClient, uri: str, held: Bundle) -> str:
    """Return the id of the run that trained a bundle, or of one that stands for it in another store."""
    noted = held.manifest.get("training", {}).get("mlflow_run", "")
    try:
        return client.get_run(noted).info.run_id
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
    made = client.create_run(store.experiment(client, uri), run_name=held.version, tags={"trained_as": noted})
    client.set_terminated(made.info.run_id)
    return made.info.run_id


def sentence(version: ModelVersion, aliases: list[str]) -> str:
    """Return what is to be said of a version and of the aliases that it has got."""
    also = f", {' and '.join(aliases)}" if aliases else ""
    return f"MLflow's registry has {version.tags['version']} as version {version.version} of {NAME}{also}."


def _tagged(client: MlflowClient, value: str) -> ModelVersion | None:
    found = client.search_model_versions(f"name = '{NAME}' and tags.{DIGEST} = '{value}'", max_results=1)
    return found[0] if found else None


def _holder(client: MlflowClient, alias: str) -> ModelVersion | None:
    """Return the version that has an alias, or None."""
    try:
        return client.get_model_version_by_alias(NAME, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _files(folder: Path) -> list[str]:
    return [name for name in bundle.FILES if (folder / name).exists()]


def _tags(held: Bundle, files: str, passed_at: int) -> dict[str, str]:
    gate, training = held.manifest.get("gate", {}), held.manifest.get("training", {})
    return {
        DIGEST: files,
        PASSED_AT: str(passed_at),
        "version": held.version,
        "gate": "passed" if gate.get("passed") else "forced",
        "data_fingerprint": str(training.get("data_fingerprint", "")),
        "code_commit": str(training.get("code_commit", "")),
    }


def _save(folder: Path, place: Path, model: Path, info: Model) -> None:
    """Write the pyfunc that holds a bundle; only the bundle's own files, and those once."""
    held = place / pyfunc.BUNDLE
    held.mkdir()
    for name in _files(folder):
        shutil.copy(folder / name, held / name)
    package = Path(cat_model.__file__).parent
    code = shutil.copytree(
        package, place / package.name, ignore=shutil.ignore_patterns("bundle", "__pycache__", "*.pyc")
    )
    save_model(
        model,
        python_model=pyfunc.__file__,
        artifacts={pyfunc.BUNDLE: str(held)},
        code_paths=[str(code)],
        signature=signature(),
        input_example=(example(), {pyfunc.EXPLAIN: False}),
        pip_requirements=[f"{name}=={metadata.version(name)}" for name in PACKAGES],
        mlflow_model=info,
    )


def signature() -> ModelSignature:
    """Return what the model takes and gives."""
    # Of any type: what MLflow casts itself fails for the whole batch because of one row.
    inputs = Schema([ColSpec(AnyType(), pyfunc.IMAGE)])
    types: dict[str, Any] = dict(
        zip(pyfunc.VERDICT, (DataType.double, *[DataType.boolean] * 2, *[DataType.string] * 2), strict=True)
    )
    types |= {"explanation": Array(Array(DataType.double)), "sentence": DataType.string}
    types[pyfunc.ERROR] = DataType.string
    outputs = Schema([ColSpec(each, name, required=False) for name, each in types.items()])
    return ModelSignature(inputs, outputs, ParamSchema([ParamSpec(pyfunc.EXPLAIN, DataType.boolean, False)]))


def example() -> pd.DataFrame:
    """Return the input example: one small photo in base64.

    Raises:
        TrainError: the example photo of the checkout is missing.
    """
    if not EXAMPLE.exists():
        raise TrainError(f"{EXAMPLE} is missing: the registered model's input example is made from it.")
    photo, file = decode(EXAMPLE), io.BytesIO()
    photo.thumbnail((EXAMPLE_SIDE, EXAMPLE_SIDE))
    photo.save(file, "JPEG")
    return pd.DataFrame({pyfunc.IMAGE: [base64.b64encode(file.getvalue()).decode()]})
