"""KServe's manifest: against KServe's schema, the image, and a page with its settings."""

import copy
import json
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import httpx
import pytest
import yaml
from jsonschema import Draft202012Validator

from cat_model.bundle import FILES
from cat_model.settings import SHIPPED_BUNDLE
from tests import engines
from tests.app.conftest import running
from web.server.inference_protocol import MODEL

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "tests" / "data" / "kserve" / "inferenceservice.json"
MANIFEST = yaml.safe_load((ROOT / "deploy" / "kserve.yaml").read_text("utf-8"))
PREDICTOR = MANIFEST["spec"]["predictor"]
(CONTAINER,) = PREDICTOR["containers"]
SETTINGS = {each["name"]: each["value"] for each in CONTAINER["env"]}
ADDED = re.findall(
    r"^ +- name: [A-Z_]+\n +value.+$", (ROOT / "docs" / "kserve.md").read_text("utf-8"), re.MULTILINE
)
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(SCHEMA.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def wrong(validator, manifest):
    return [f"{each.json_path}: {each.message}" for each in validator.iter_errors(manifest)]


def places(value, *path):
    """The paths of all objects of a manifest, but for those whose keys anybody may choose."""
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from places(each, *path, number)
    elif isinstance(value, dict) and not {"annotations", "labels", "requests", "limits"} & set(path):
        yield path
        for key, each in value.items():
            yield from places(each, *path, key)


def changed(path, key, value):
    manifest = place = copy.deepcopy(MANIFEST)
    for step in path:
        place = place[step]
    place[key] = value
    return manifest


def test_it_is_an_inference_service_as_kserve_describes_it(validator):
    assert (MANIFEST["apiVersion"], MANIFEST["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert wrong(validator, MANIFEST) == []


@pytest.mark.parametrize("setting", ADDED)
def test_the_settings_that_the_docs_add_are_known_to_kserve(validator, setting):
    manifest = copy.deepcopy(MANIFEST)
    manifest["spec"]["predictor"]["containers"][0]["env"] += yaml.safe_load(textwrap.dedent(setting))
    assert wrong(validator, manifest) == []


def test_the_docs_add_two_settings():
    assert [re.findall(r"name: (\w+)", each)[0] for each in ADDED] == ["STORAGE_URI", "CAT_API_KEY"]


@pytest.mark.parametrize("path", list(places(MANIFEST)), ids=lambda path: "-".join(map(str, path)) or "top")
def test_a_field_that_kserve_does_not_know_is_refused(validator, path):
    (said,) = wrong(validator, changed(path, "minReplica", 0))
    assert "minReplica" in said


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("spec", "predictor"), "minReplicas", "0"),
        (("spec", "predictor"), "containers", CONTAINER),
        (("spec", "predictor", "containers", 0), "name", None),
        (("spec", "predictor", "containers", 0, "resources", "limits"), "memory", 1024),
        (("spec", "predictor", "containers", 0, "env", 0), "value", 0),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(validator, path, key, value):
    (said,) = wrong(validator, changed(path, key, value))
    assert key in said


def test_a_container_without_a_name_is_refused(validator):
    manifest = copy.deepcopy(MANIFEST)
    del manifest["spec"]["predictor"]["containers"][0]["name"]
    assert wrong(validator, manifest) == ["$.spec.predictor.containers[0]: 'name' is a required property"]


def test_it_scales_to_zero_and_a_change_gets_a_tenth_of_the_requests():
    # KServe's other mode, its default, ignores canaryTrafficPercent and keeps a pod.
    assert MANIFEST["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Knative"
    assert PREDICTOR["minReplicas"] == 0
    assert PREDICTOR["canaryTrafficPercent"] == 10
    assert PREDICTOR["scaleTarget"] < PREDICTOR["containerConcurrency"]


def test_kserve_fetches_one_version_of_the_model_and_the_page_reads_it_there():
    assert CONTAINER["name"] == "kserve-container"
    assert re.fullmatch(r"hf://[\w.-]+/[\w.-]+:[\w.-]+|s3://[\w.-]+/.+", SETTINGS["STORAGE_URI"])
    assert SETTINGS["CAT_BUNDLE"] == "/mnt/models"


def test_ports_and_writable_folders_are_those_of_the_image():
    (port,) = CONTAINER["ports"]
    (exposed,) = re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)
    assert str(port["containerPort"]) in exposed.split()
    assert "CAT_PORT" not in SETTINGS and "args" not in CONTAINER
    probes = [CONTAINER["readinessProbe"], CONTAINER["livenessProbe"]]
    assert {probe["httpGet"]["port"] for probe in probes} == {port["containerPort"]}
    (feedback,) = re.findall(r"CAT_FEEDBACK_DIR=(\S+)", DOCKERFILE)
    assert {each["mountPath"] for each in CONTAINER["volumeMounts"]} == {"/tmp", feedback}
    assert {each["name"] for each in CONTAINER["volumeMounts"]} == {
        each["name"] for each in PREDICTOR["volumes"]
    }


@pytest.mark.slow
def test_a_page_with_these_settings_answers_probes_and_requests(tmp_path, examples, predictor):
    fetched = tmp_path / "models"
    fetched.mkdir()
    for name in FILES:
        if (SHIPPED_BUNDLE / name).exists():
            shutil.copy(SHIPPED_BUNDLE / name, fetched)
    # What a download from the hub leaves beside the model's files.
    (fetched / ".cache" / "huggingface").mkdir(parents=True)
    for name in ("README.md", "example.py", ".gitattributes"):
        (fetched / name).write_text("…", "utf-8")
    photo = (examples / "chelsea.jpg").read_bytes()
    given = {"name": "image", "datatype": "UINT8", "shape": [len(photo)], "data": list(photo)}
    settings = SETTINGS | {"CAT_BUNDLE": fetched}
    with running(tmp_path / "page", port=None, **settings) as page:
        for probe in (CONTAINER["readinessProbe"], CONTAINER["livenessProbe"]):
            assert httpx.get(page.address + probe["httpGet"]["path"]).status_code == 200
        answer = httpx.post(f"{page.address}/v2/models/{MODEL}/infer", json={"inputs": [given]}, timeout=60)
    (probability,) = next(each["data"] for each in answer.json()["outputs"] if each["name"] == "probability")
    assert probability == pytest.approx(predictor.predict(photo).probability)


@pytest.mark.engines
def test_the_schema_is_that_of_kserves_package():
    python = engines.require("kserve")
    made = subprocess.run(
        [python, ROOT / "tests" / "kserve_schema.py"], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert made == SCHEMA.read_text("utf-8")
