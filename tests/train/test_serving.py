"""`mlflow models serve` answers over HTTP with the registry's champion."""

import base64
import json
import os
import shutil
import sys
from pathlib import Path

import httpx
import pytest

from cat_model.settings import SHIPPED_BUNDLE
from export import __main__ as export_line
from tests.train.conftest import mlflow_server

pytestmark = pytest.mark.slow

CHELSEA = Path(__file__).parents[2] / "examples" / "chelsea.jpg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """MLflow's store, and its server's log."""
    return tmp_path_factory.mktemp("serving")


@pytest.fixture
def kept(folder):
    """The input example that lies with the registered model."""
    (path,) = folder.rglob("serving_input_example.json")
    return path


@pytest.fixture(scope="module")
def address(folder):
    """MLflow's own server of the champion."""
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    shutil.copytree(SHIPPED_BUNDLE, folder / "bundle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*store.popitem())
        assert export_line.main(["register", "--bundle", str(folder / "bundle")]) == 0
        commands = Path(sys.executable).parent  # MLflow starts uvicorn by its name
        patch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
        words = ("models", "serve", "-m", "models:/are-you-a-cat@champion", "--env-manager", "local")
        with mlflow_server(folder, "/ping", *words) as served:
            yield served


def ask(address, images, **more):
    table = {"columns": ["image"], "data": [[image] for image in images]}
    answer = httpx.post(f"{address}/invocations", json={"dataframe_split": table} | more, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def test_photos_in_base64_get_what_the_package_answers_and_a_bad_one_its_own_error(address, predictor):
    text = base64.b64encode(CHELSEA.read_bytes()).decode()
    good, refused, again = ask(address, [text, "%%%", text])
    assert good == again == predictor.predict(CHELSEA).as_dict() | {"error": None}
    assert refused["error"] == "What the column 'image' holds here is no valid base64."
    assert refused["label"] is None


def test_explanations_are_given_where_they_are_asked_for(address, predictor):
    text = base64.b64encode(CHELSEA.read_bytes()).decode()
    (explained,) = ask(address, [text], params={"explain": True})
    assert explained["sentence"] == predictor.explain(CHELSEA, 0).sentence
    assert len(explained["explanation"]) == len(explained["explanation"][0]) == 14
    assert "sentence" not in ask(address, [text])[0]


def test_the_example_that_is_kept_with_the_model_is_what_it_takes(address, kept):
    example = json.loads(kept.read_text())
    answer = httpx.post(f"{address}/invocations", json=example, timeout=60)
    assert answer.json()["predictions"][0]["label"] == "cat"
