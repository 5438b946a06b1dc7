"""The JSON schema of an InferenceService, as KServe's Python package describes it.

`kserve-python tests/kserve_schema.py`, where the Python is that of KServe's packages, as for
`kserve_client.py`, prints `data/kserve/inferenceservice.json`. KServe generates its package's classes and its
custom resource definition from the same Go types. The definition is a megabyte with nearly all of Kubernetes'
pods in it, so only the classes of `KEPT` are taken. Every object is closed: a field that a class lacks, or
whose class is not kept, is refused.
"""

import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

KEPT = {
    "kserve.models": (
        "V1beta1InferenceService",
        "V1beta1InferenceServiceSpec",
        "V1beta1PredictorSpec",
        "V1beta1CanarySpec",
        "V1beta1StorageUri",
    ),
    "kubernetes.client": (
        "V1Capabilities",
        "V1ConfigMapEnvSource",
        "V1ConfigMapKeySelector",
        "V1Container",
        "V1ContainerPort",
        "V1EmptyDirVolumeSource",
        "V1EnvFromSource",
        "V1EnvVar",
        "V1EnvVarSource",
        "V1HTTPGetAction",
        "V1HTTPHeader",
        "V1LocalObjectReference",
        "V1ObjectMeta",
        "V1PodSecurityContext",
        "V1Probe",
        "V1ResourceRequirements",
        "V1SeccompProfile",
        "V1SecretEnvSource",
        "V1SecretKeySelector",
        "V1SecurityContext",
        "V1Toleration",
        "V1Volume",
        "V1VolumeMount",
    ),
}
PLAIN = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "datetime": {"type": "string"},
    # Of the kept classes only the port of a probe is one: a number or a port's name.
    "object": {"type": ["integer", "string"]},
}
REQUIRED = re.compile(r"Invalid value for `(\w+)`, must not be `None`")


def schema() -> dict[str, Any]:
    """Return the schema, whose definitions are named as the classes."""
    classes = {name: _class(package, name) for package, names in KEPT.items() for name in names}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Made by tests/kserve_schema.py from the Python packages "
        f"{' and '.join(f'{name} {version(name)}' for name in ('kserve', 'kubernetes'))}, "
        "both under the Apache License 2.0.",
        "$ref": "#/$defs/V1beta1InferenceService",
        "$defs": {name: _object(each, set(classes)) for name, each in sorted(classes.items())},
    }


def _class(package: str, name: str) -> Any:
    if package == "kserve.models":
        # Some of its classes are in no __init__; the modules are named as the classes.
        package += "." + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return getattr(importlib.import_module(package), name)


def _object(described: Any, kept: set[str]) -> dict[str, Any]:
    names = described.attribute_map
    fields = {names[field]: _kind(kind, kept) for field, kind in described.openapi_types.items()}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: kind for name, kind in sorted(fields.items()) if kind is not None},
        "required": sorted(names[field] for field in _required(described)),
    }


def _required(described: Any) -> Iterable[str]:
    if hasattr(described, "model_fields"):
        return [field for field, facts in described.model_fields.items() if facts.is_required()]
    # KServe's classes are plain: only the code of their setters says it.
    return REQUIRED.findall(inspect.getsource(described))


def _kind(kind: str, kept: set[str]) -> dict[str, Any] | None:
    """Return the schema of a field's type, such as `list[V1EnvVar]`; None where its class is not kept."""
    if kind in PLAIN:
        return PLAIN[kind]
    if items := re.fullmatch(r"[Ll]ist\[(.+)]", kind):
        inner = _kind(items[1], kept)
        return inner and {"type": "array", "items": inner}
    if values := re.fullmatch(r"(?:dict\(str, (.+)\)|Dict\[str, (.+)])", kind):
        inner = _kind(values[1] or values[2], kept)
        return inner and {"type": "object", "additionalProperties": inner}
    return {"$ref": f"#/$defs/{kind}"} if kind in kept else None


if __name__ == "__main__":
    json.dump(schema(), sys.stdout, indent=1)
    print()
