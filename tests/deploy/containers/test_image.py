"""The image in podman: what it holds, and that each of its arguments does what it says."""

import json
import shutil
import urllib.request
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from cat_model import __version__
from cat_model.settings import SHIPPED_BUNDLE
from tests import containers
from tests.containers import EngineError

CHELSEA = Path(__file__).parents[3] / "examples" / "chelsea.jpg"
MB = 1_000_000
COMPILERS = ("cc", "gcc", "g++", "clang", "make", "ld")


def posted(url: str, body: bytes, **headers: str) -> dict:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with urllib.request.urlopen(urllib.request.Request(url, body, named), timeout=60) as answer:
        return json.load(answer)


def once(image: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    """Run to the end in a container without a network and with a read-only root; return what it printed."""
    return containers.podman("run", "--rm", "--read-only", "--network=none", *options, image, *arguments)


def inspected(name: str) -> dict:
    return json.loads(containers.podman("inspect", name))[0]


def test_without_extras_it_is_small(slim):
    assert inspected(slim)["Size"] < 450 * MB


def test_with_shap_it_is_not_much_bigger_than_shap(full):
    assert inspected(full)["Size"] < 900 * MB


def test_it_says_what_it_is_and_how_its_health_is_asked(slim):
    image = inspected(slim)
    config = image["Config"]
    labels = {
        name.rpartition(".")[2]: value for name, value in config["Labels"].items() if "opencontainers" in name
    }
    assert labels["title"] == "Are you a cat?"
    assert labels["version"] == __version__
    assert labels["revision"] == containers.run(["git", "rev-parse", "HEAD"])
    assert labels["licenses"] == "Apache-2.0"
    assert config["User"] == "10001:10001"
    assert image["Healthcheck"]["Test"] == ["CMD", "entrypoint", "health"]


def test_it_holds_no_compiler_and_nothing_of_this_machine(slim):
    names = " ".join(COMPILERS)
    found = f"for name in {names}; do command -v $name; done; true"
    assert once(slim, "-c", found, options=("--entrypoint=sh",)) == ""
    history = containers.podman("history", "--no-trunc", "--format", "{{.CreatedBy}}", slim)
    assert not [each for each in ("/etc/pip.conf", str(containers.ROOT)) if each in history]
    files = once(
        slim, "-c", "ls /etc/pip.conf /build /root/.cache 2>/dev/null; true", options=("--entrypoint=sh",)
    )
    assert files == ""


def test_the_page_answers_people_and_programs_and_ends_when_told(slim, published):
    with published(slim) as (name, address):
        assert containers.podman("exec", name, "id", "-u") == "10001"
        with pytest.raises(EngineError, match="Read-only file system"):
            containers.podman("exec", name, "touch", "/opt/venv/new")
        assert b"Are you a cat?" in containers.answered(address)
        health = json.loads(containers.answered(f"{address}/health"))
        assert health["ready"]
        assert health["feedback"]["off"] is None  # /feedback can be written to
        assert Client(address, verbose=False).predict(handle_file(CHELSEA), api_name="/predict")["is_cat"]
        assert posted(f"{address}/v1/predict", CHELSEA.read_bytes())["label"] == "cat"
        assert json.loads(containers.answered(f"{address}/v2/health/ready")) is not None
        containers.podman("healthcheck", "run", name)
        containers.podman("stop", "--time=30", name)
        state = inspected(name)["State"]
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False)


def test_an_explanation_needs_no_shap_but_by_many_evaluations(slim, published):
    with published(slim) as (_, address):
        told = posted(f"{address}/v1/predict?explain=true", CHELSEA.read_bytes())
        assert len(told["values"]) > 1
        with pytest.raises(Exception, match="shap"):
            Client(address, verbose=False).predict(handle_file(CHELSEA), 100, api_name="/explain")


def test_an_explanation_by_many_evaluations_works_with_a_read_only_root(full, published):
    with published(full) as (_, address):
        told = Client(address, verbose=False).predict(handle_file(CHELSEA), 100, api_name="/explain")
        assert "values" in json.dumps(told)


def test_serve_is_what_sagemaker_starts(slim, published, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(SHIPPED_BUNDLE, model)
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["version"] = "from-sagemaker"
    (model / "manifest.json").write_text(json.dumps(manifest))
    mount = f"--volume={model}:/opt/ml/model:ro"
    with published(slim, "serve", port=8080, options=(mount,)) as (name, address):
        with urllib.request.urlopen(f"{address}/ping") as ping:
            assert ping.status == 200
        answer = posted(f"{address}/invocations", CHELSEA.read_bytes(), Content_Type="image/jpeg")
        assert answer["model_version"] == "from-sagemaker"
        containers.podman("healthcheck", "run", name)


def test_sagemaker_may_choose_the_port(slim, published):
    with published(slim, "serve", port=9001, options=("--env=SAGEMAKER_BIND_TO_PORT=9001",)) as (_, address):
        assert containers.answered(f"{address}/ping") is not None


def test_the_terminal_command_is_there(slim):
    assert once(slim, "--version") == f"are-you-a-cat {__version__}"
    mount = f"--volume={CHELSEA}:/photos/chelsea.jpg:ro"
    assert once(slim, "--json", "/photos", options=(mount,)).count('"label": "cat"') == 1


def test_many_photos_are_scored(scoring, tmp_path):
    from pyarrow import parquet

    (tmp_path / "out").mkdir(mode=0o777)
    (tmp_path / "out").chmod(0o777)  # the container's user is nobody here
    mounts = (f"--volume={CHELSEA.parent}:/photos:ro", f"--volume={tmp_path / 'out'}:/out")
    once(scoring, "score", "/photos", "/out", "--workers", "1", options=mounts)
    rows = [
        row for file in (tmp_path / "out").rglob("*.parquet") for row in parquet.read_table(file).to_pylist()
    ]
    assert {row["key"]: row["label"] for row in rows}["chelsea.jpg"] == "cat"
    assert len(rows) == len(list(CHELSEA.parent.glob("*.jpg")))


def test_what_cannot_be_done_is_said_in_a_sentence(slim):
    with pytest.raises(EngineError) as scored:
        once(slim, "score", "/photos", "/out")
    with pytest.raises(EngineError) as trained:
        once(slim, "train")
    with pytest.raises(EngineError) as set_wrong:
        once(slim, options=("--env=CAT_PORT=none",))
    said = [str(each.value).partition(containers.FAILED)[2] for each in (scored, trained, set_wrong)]
    assert said[0].endswith("This image was built without scoring: build it with score among the EXTRAS.\n")
    assert said[1].endswith("This image was built without training: build it with train among the EXTRAS.\n")
    assert said[2].endswith("CAT_PORT is 'none'; it must be a whole number from 1 to 65535.\n")
    assert "Traceback" not in "".join(said)


def test_an_unknown_extra_ends_the_build_with_its_name():
    containers.make_base()
    with pytest.raises(EngineError, match="There are no packages called 'cuda', only page, shap"):
        containers.build("localhost/are-you-a-cat:wrong", "cuda")


def test_no_health_where_nothing_answers(slim, started):
    with (
        started(slim, "-c", "sleep 60", options=("--entrypoint=sh",)) as name,
        pytest.raises(EngineError, match="unhealthy"),
    ):
        containers.podman("healthcheck", "run", name)
