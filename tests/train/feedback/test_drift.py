"""`train drift`: its page, its exit code, and its sentences where there is nothing to compare."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from cat_model.monitoring.traffic import BLOCK, Aggregate, Traffic
from train import __main__ as line


@pytest.fixture
def bundle(tmp_path, predictor):
    folder = shutil.copytree(predictor.bundle.folder, tmp_path / "bundle")
    rng = np.random.default_rng(0)
    counted = Aggregate.of(rng.random(1000), rng.random((1000, 16)))
    (folder / "reference.json").write_text(json.dumps({"traffic": asdict(counted)}))
    return folder


def run(tmp_path, bundle):
    given = {"--traffic": tmp_path / "feedback", "--bundle": bundle, "--out": tmp_path / "drift"}
    given["--result"] = tmp_path / "result.json"
    return line.main(["drift", *(str(word) for pair in given.items() for word in pair)])


@pytest.mark.parametrize(("shift", "code"), [(0.0, 0), (1.0, 1)])
def test_the_page_and_the_exit_code_tell_of_an_alarm(tmp_path, bundle, predictor, capsys, shift, code):
    traffic = Traffic(tmp_path / "feedback", predictor.bundle.manifest["model"]["sha256"])
    rng = np.random.default_rng(1)
    for _ in range(5):
        traffic.saw(rng.random(BLOCK), rng.random((BLOCK, 16)) + shift)
    assert run(tmp_path, bundle) == code
    page = (tmp_path / "drift" / "drift.html").read_text("utf-8")
    assert page.count("data:image/png") == 3
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["alarm"] is bool(code)
    assert result["photos"] == 5 * BLOCK
    assert any(test["found"] > test["limit"] for test in result["tests"].values()) == bool(code)
    assert ("ALARM" in page) == ("ALARM" in capsys.readouterr().out) == bool(code)


def test_without_traffic_or_reference_it_says_so(tmp_path, bundle, predictor, capsys):
    assert run(tmp_path, bundle) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "result.json").exists()
    (tmp_path / "feedback").mkdir()
    assert run(tmp_path, bundle) == 1
    said = capsys.readouterr().err
    assert json.loads((tmp_path / "result.json").read_text()) == {"alarm": None, "why": said.strip()}
    traffic = Traffic(tmp_path / "feedback", predictor.bundle.manifest["model"]["sha256"])
    traffic.saw(np.ones(BLOCK), np.ones((BLOCK, 16)))
    (bundle / "reference.json").write_text("{}")
    assert run(tmp_path, bundle) == 1
    assert "older form" in capsys.readouterr().err
