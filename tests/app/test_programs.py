"""Programs at the real page: KServe's own client, the page beside them, the counts, and the end of it all."""

import json
import signal
import subprocess
import threading
import time

import httpx
import pytest

from tests import engines
from tests.app.conftest import ROOT, running

KEY = {"Authorization": "Bearer s3cret"}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with running(tmp_path_factory.mktemp("programs"), CAT_API_KEY="s3cret", CAT_WORKERS=2) as opened:
        yield opened


@pytest.fixture(scope="module")
def cat(examples):
    return (examples / "chelsea.jpg").read_bytes()


@pytest.mark.engines
def test_kserves_own_client_is_answered(page, examples, predictor):
    python = engines.require("kserve")
    photo = examples / "chelsea.jpg"
    command = [python, ROOT / "tests" / "kserve_client.py", page.address, photo, "s3cret"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said.pop("live") is said.pop("ready") is said.pop("model ready") is True
    assert "not a photo" in said.pop("refused")
    verdict = predictor.predict(photo)
    expected = {"probability": [verdict.probability], "is_cat": [True], "label": ["cat"], "id": "q1"}
    images = {key: said.pop(key) for key in list(said) if key.startswith("image")}
    assert len(images) == 4 and all(each == expected for each in images.values())
    assert len(said) == 2 and all(each["is_cat"] == [False, False] for each in said.values())


def test_all_are_counted_by_what_they_asked(page, cat):
    address = page.address
    for path in ("/v1/predict", "/invocations"):
        assert httpx.post(f"{address}{path}", content=cat, headers=KEY).json()["label"] == "cat"
        assert httpx.post(f"{address}{path}", content=cat).status_code == 401
    infer = f"{address}/v2/models/are-you-a-cat/infer"
    given = {"name": "image", "datatype": "UINT8", "shape": [len(cat)], "data": list(cat)}
    assert httpx.post(infer, json={"inputs": [given]}, headers=KEY).status_code == 200
    assert httpx.get(f"{address}/ping").status_code == 200
    counted = httpx.get(f"{address}/metrics").text
    for route in ("v1_predict", "invocations", "v2_infer", "ping"):
        assert f'cat_requests_total{{route="{route}",status="200"}}' in counted
    assert 'cat_requests_total{route="v1_predict",status="401"}' in counted


@pytest.mark.slow
def test_the_page_answers_while_programs_ask_without_a_pause(page, examples):
    """Its visitors' photos go through the same queue, and pages open meanwhile."""
    photo, stop, counts = (examples / "coffee.jpg").read_bytes(), threading.Event(), []

    def ask_on():
        with httpx.Client(base_url=page.address, headers=KEY, timeout=60) as client:
            while not stop.is_set():
                counts.append(client.post("/v1/predict", content=photo).status_code)

    programs = [threading.Thread(target=ask_on) for _ in range(8)]
    for each in programs:
        each.start()
    try:
        while len(counts) < 8:
            time.sleep(0.05)
        for _ in range(3):
            assert httpx.get(page.address, timeout=60).status_code == 200
            assert '"label": "cat"' in predicted_by_the_page(page.address, examples / "chelsea.jpg")
    finally:
        stop.set()
        for each in programs:
            each.join()
    assert set(counts) == {200}


def predicted_by_the_page(address, photo):
    api = f"{address}/gradio_api"
    (path,) = httpx.post(f"{api}/upload", files={"files": ("cat.jpg", photo.read_bytes())}, timeout=60).json()
    question = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    event = httpx.post(f"{api}/call/predict", json=question, timeout=60).json()["event_id"]
    return httpx.get(f"{api}/call/predict/{event}", timeout=60).text


@pytest.mark.slow
def test_who_hangs_up_while_waiting_costs_nothing(tmp_path, cat):
    with running(tmp_path / "page", CAT_WORKERS=1, CAT_RATE=0) as page:
        impatient = [threading.Thread(target=give_up, args=(page.address, cat)) for _ in range(20)]
        for each in impatient:
            each.start()
        for each in impatient:
            each.join()
        assert httpx.post(f"{page.address}/v1/predict", content=cat, timeout=60).status_code == 200
        counted = httpx.get(f"{page.address}/metrics").text
    assert 'cat_requests_total{route="v1_predict",status="499"}' in counted
    verdicts = sum(float(line.split()[-1]) for line in counted.splitlines() if "cat_verdicts_total{" in line)
    assert verdicts < 21


def give_up(address, photo):
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{address}/v1/predict", content=photo, timeout=httpx.Timeout(30, read=0.001))


@pytest.mark.slow
def test_what_waits_is_answered_before_the_end(tmp_path, cat):
    with running(tmp_path / "page", CAT_WORKERS=1, CAT_RATE=0) as page:
        statuses = []

        def ask():
            statuses.append(httpx.post(f"{page.address}/v1/predict", content=cat, timeout=60).status_code)

        asking = [threading.Thread(target=ask) for _ in range(8)]
        for each in asking:
            each.start()
        while not statuses:
            time.sleep(0.005)
        page.process.send_signal(signal.SIGTERM)
        for each in asking:
            each.join()
        assert page.process.wait(30) == 0
    assert len(statuses) == 8 and set(statuses) <= {200, 503} and statuses.count(200) > 1


@pytest.mark.slow
def test_without_the_api_the_page_has_no_such_addresses(tmp_path, cat):
    with running(tmp_path / "page", CAT_API=0) as page:
        for path in ("/v1/predict", "/invocations", "/v2/models/are-you-a-cat/infer"):
            assert httpx.post(f"{page.address}{path}", content=cat).status_code == 404
        assert httpx.get(f"{page.address}/ping").status_code == 404
        assert httpx.get(page.address).status_code == 200
