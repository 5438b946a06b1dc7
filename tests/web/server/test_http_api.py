"""What programs get by plain HTTP, from the shipped model, without Gradio around it."""

import asyncio
import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware

from web import text
from web.server import http_api, queue
from web.server.http_api import LENGTH, HttpApi
from web.server.metrics import Metrics
from web.server.middleware import Rate, SecurityMiddleware
from web.server.queue import ModelQueue
from web.server.reload import ReloadingPredictor
from web.settings import ServerSettings

INFER = "/v2/models/are-you-a-cat/infer"
ANSWERED = {"/v1/predict", "/invocations", INFER}


class NobodyWaits:
    """Gradio's queue, of a page that has so many visitors."""

    def __init__(self, waiting=0, requests=()):
        self.number, self.requests, self.checks, self.closed = waiting, list(requests), [], False

    def __len__(self):
        return self.number

    def waiting(self, _):
        return self.number, 0

    def open(self):
        return iter(self.requests)

    def before_each(self, check):
        self.checks.append(check)

    def close(self, *_):
        self.closed = True


class Service:
    """The endpoints behind the page's own middleware, asked in this process."""

    def __init__(self, predictor, gradio=None, **settings):
        self.settings = replace(ServerSettings(rate=0), **settings)
        self.predictor = ReloadingPredictor(lambda: predictor, predictor.bundle.folder)
        self.gradio, self.metrics = NobodyWaits() if gradio is None else gradio, Metrics()
        self.rate = Rate(self.settings.rate)
        self.queue = ModelQueue(self.gradio, self.settings.queue, 2, self.settings.most_bytes)
        api = HttpApi(self.predictor, self.queue, self.rate, self.metrics, self.settings)
        security = Middleware(
            SecurityMiddleware,
            metrics=self.metrics,
            rate=self.rate,
            most_bytes=self.settings.most_bytes,
            on_space=False,
            api=self.settings.api,
        )
        self.app = Starlette(routes=api.routes() if self.settings.api else [], middleware=[security])

    def ask(self, method, path, **options):
        (answer,) = self.ask_at_once([(method, path, options)])
        return answer

    def post(self, path, content=b"", **options):
        return self.ask("POST", path, content=content, **options)

    def ask_at_once(self, questions):
        async def all_of_them():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://cat") as client:
                asking = [client.request(method, path, **options) for method, path, options in questions]
                return await asyncio.gather(*asking)

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, all_of_them()).result()


@pytest.fixture(scope="module")
def service(predictor):
    return Service(predictor)


@pytest.fixture(scope="module")
def cat(examples):
    return (examples / "chelsea.jpg").read_bytes()


@pytest.fixture(scope="module")
def verdict(predictor, cat):
    return predictor.predict(cat).as_dict()


def error(answer, status):
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    return answer.json()["error"]


def in_base64(photo, **more):
    return json.dumps({"image": base64.b64encode(photo).decode(), **more})


@pytest.mark.parametrize("kind", [None, "image/jpeg", "application/x-www-form-urlencoded", "nonsense"])
def test_the_body_is_the_photo_whatever_type_it_is_said_to_be(service, cat, verdict, kind):
    answer = service.post("/v1/predict", cat, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 200
    assert answer.json() == {**verdict, "error": None}


def test_the_photo_may_come_in_a_form(service, cat, verdict):
    sent = service.ask("POST", "/v1/predict", files={"anything": ("my cat.jpg", cat)}, data={"note": "x"})
    assert sent.json() == {**verdict, "error": None}
    assert "curl -F" in error(service.ask("POST", "/v1/predict", files={"a": (None, "text")}), 400)
    broken = service.post("/v1/predict", cat, headers={"Content-Type": "multipart/form-data"})
    assert "boundary" in error(broken, 400)


def test_the_answer_may_hold_the_attributions(service, predictor, cat, verdict):
    answer = service.post("/v1/predict?explain=true", cat).json()
    explained = predictor.explain(cat, budget=0)
    assert answer["values"] == explained.values.tolist()
    assert answer["logit"] == pytest.approx(answer["base"] + np.sum(answer["values"]), abs=1e-3)
    assert answer["probability"] == verdict["probability"] and answer["sentence"]
    assert "overlay" not in answer


def test_a_thorough_search_is_what_the_package_does(service, predictor, examples):
    photo = (examples / "coffee.jpg").read_bytes()
    quick, thorough = predictor.predict(photo), predictor.predict(photo, thorough=True)
    assert quick.probability != thorough.probability
    assert service.post("/v1/predict?thorough=true", photo).json()["probability"] == thorough.probability
    assert service.post("/v1/predict?thorough=false", photo).json()["probability"] == quick.probability


@pytest.mark.parametrize(
    ("query", "says"), [("explain=1", "explain is true or false"), ("loud=true", "no option 'loud'")]
)
def test_options_that_there_are_not_are_refused(service, cat, query, says):
    assert says in error(service.post(f"/v1/predict?{query}", cat), 400)


def test_what_is_no_photo_is_refused_with_the_packages_sentence(service, cat):
    for path in ("/v1/predict", "/invocations"):
        assert "PDF" in error(service.post(path, b"%PDF-1.7 and so on"), 415)
        assert "empty" in error(service.post(path), 415)
        assert "cut short" in error(service.post(path, cat[: len(cat) // 2]), 400)
    tiny = Image.new("RGB", (4, 4)).tobytes()
    asked = {"name": "pixels", "datatype": "UINT8", "shape": [1, 4, 4, 3], "data": list(tiny)}
    assert "16 pixels" in error(service.post(INFER, json.dumps({"inputs": [asked]}).encode()), 400)


def test_a_photo_too_big_is_refused_however_it_comes(predictor, cat):
    small = Service(predictor, upload_mb=1)
    big = bytes(1_000_001)
    assert "up to 1 MB" in error(small.post("/v1/predict", big), 413)
    assert "up to 1 MB" in error(small.ask("POST", "/v1/predict", files={"photo": big}), 413)
    as_json = {"headers": {"Content-Type": "application/json"}}
    assert "up to 1 MB" in error(small.post("/invocations", in_base64(big).encode(), **as_json), 413)
    most = small.settings.most_bytes
    assert "smaller" in error(small.post(INFER, bytes(most + 1)), 413)
    assert b'cat_refusals_total{cause="size"} 4.0' in small.metrics.text()
    assert small.post("/v1/predict", cat).status_code == 200


def test_a_body_that_grows_without_an_end_is_refused(predictor):
    async def endless():
        for _ in range(12):  # of 6 MB; 1 MB may come, or 2.3 MB in base64
            yield bytes(500_000)

    small = Service(predictor, upload_mb=1)
    for path in (INFER, "/invocations", "/v1/predict"):
        assert "photo" in error(small.ask("POST", path, content=endless()), 413)


def test_who_sends_nothing_more_is_told(predictor, monkeypatch):
    monkeypatch.setattr(http_api, "PATIENCE_S", 0.05)

    async def stalls():
        yield b"beginning"
        await asyncio.sleep(1)

    answer = Service(predictor).ask("POST", "/v1/predict", content=stalls())
    assert "in time" in error(answer, 408)
    assert answer.headers["connection"] == "close"


def test_who_sends_slowly_but_steadily_is_answered(predictor, cat, monkeypatch):
    monkeypatch.setattr(http_api, "PATIENCE_S", 2)

    async def trickles():
        for begin in range(0, len(cat), len(cat) // 5):
            yield cat[begin : begin + len(cat) // 5]
            await asyncio.sleep(0.5)

    answer = Service(predictor).ask("POST", "/v1/predict", content=trickles())
    assert answer.json().get("label") == "cat", answer.text


def test_sagemakers_contract(service, cat, verdict):
    assert service.ask("GET", "/ping").status_code == 200
    for kind in ("image/jpeg", "image/png", "application/octet-stream", None):
        sent = service.post("/invocations", cat, headers={"Content-Type": kind} if kind else {})
        assert sent.json() == {**verdict, "error": None}
    as_json = {"headers": {"Content-Type": "application/json; charset=utf-8"}}
    assert service.post("/invocations", in_base64(cat).encode(), **as_json).json()["label"] == "cat"
    for wrong in (b"{", b"[]", b"{}", b'{"image": 7}', b'{"image": "*"}', b'{"image": "\xc3\xa4"}'):
        assert "base64" in error(service.post("/invocations", wrong, **as_json), 400)
    said = error(service.post("/invocations", cat, headers={"Content-Type": "text/csv"}), 415)
    assert "not text/csv" in said


def test_the_protocols_facts(service, predictor):
    version = predictor.bundle.version
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert service.ask("GET", path).status_code == 200
    assert service.ask("GET", "/v2").json()["extensions"] == ["binary_tensor_data"]
    for model in ("/v2/models/are-you-a-cat", f"/v2/models/are-you-a-cat/versions/{version}"):
        told = service.ask("GET", model).json()
        assert told["versions"] == [version]
        assert {each["name"]: each["datatype"] for each in told["outputs"]} == {
            "probability": "FP32",
            "is_cat": "BOOL",
            "label": "BYTES",
        }
        assert service.ask("GET", f"{model}/ready").json()["ready"] is True
    for path in ("/v2/models/dog", "/v2/models/dog/ready", "/v2/models/are-you-a-cat/versions/9"):
        assert "There is no" in error(service.ask("GET", path), 404)
    assert "no model 'dog'" in error(service.post("/v2/models/dog/infer", b"{}"), 404)
    for method in ("GET", "POST"):
        assert "docs/api.md" in error(service.ask(method, "/v2/health"), 404)


def test_infer_answers_in_json_and_in_binary(service, predictor, cat, verdict):
    image = {"name": "image", "datatype": "UINT8", "shape": [len(cat)]}
    told = service.post(INFER, json.dumps({"inputs": [image | {"data": list(cat)}]}).encode()).json()
    assert [each["data"] for each in told["outputs"]] == [[verdict["probability"]], [True], ["cat"]]
    assert told["model_version"] == predictor.bundle.version
    size = {"parameters": {"binary_data_size": len(cat)}}
    head = json.dumps({"inputs": [image | size], "parameters": {"binary_data_output": True}}).encode()
    answer = service.post(INFER, head + cat, headers={LENGTH: str(len(head))})
    json_bytes = int(answer.headers[LENGTH])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content[json_bytes:][:4] == np.float32(verdict["probability"]).tobytes()
    assert "whole number" in error(service.post(INFER, head + cat, headers={LENGTH: "-5"}), 400)


def test_infer_looks_at_pixels_as_the_package_does(service, predictor, examples):
    pictures = [Image.open(examples / name).resize((300, 200)) for name in ("chelsea.jpg", "coffee.jpg")]
    pixels = np.stack([np.asarray(each) for each in pictures])
    given = {"name": "pixels", "datatype": "UINT8", "shape": list(pixels.shape)}
    given["parameters"] = {"binary_data_size": pixels.nbytes}
    head = json.dumps({"inputs": [given], "outputs": [{"name": "probability"}]}).encode()
    told = service.post(INFER, head + pixels.tobytes(), headers={LENGTH: str(len(head))}).json()
    assert told["outputs"][0]["data"] == [predictor.predict(each).probability for each in pixels]


def test_one_bad_photo_of_several_is_named(service, cat):
    photos = [base64.b64encode(each).decode() for each in (cat, b"%PDF-1.7")]
    given = {"name": "image", "datatype": "BYTES", "shape": [2], "data": photos}
    said = error(service.post(INFER, json.dumps({"inputs": [given]}).encode()), 415)
    assert said.startswith("Photo 2: ") and "PDF" in said


def test_another_method_is_answered_with_a_sentence(service):
    for path in ANSWERED:
        answer = service.ask("GET", path)
        assert "with POST" in error(answer, 405)
        assert answer.headers["allow"] == "POST"
    assert service.ask("HEAD", "/v1/predict").status_code == 405
    assert service.ask("HEAD", "/v2/health/live").status_code == 200
    assert "with GET" in error(service.post("/v2", b"x"), 405)


def test_an_encoded_body_is_refused(service, cat):
    said = error(service.post("/v1/predict", cat, headers={"Content-Encoding": "gzip"}), 415)
    assert "Content-Encoding" in said


def test_without_the_api_there_is_nothing(predictor, cat):
    off = Service(predictor, api=False)
    for path in (*ANSWERED, "/v2", "/ping", "/v2/health/live"):
        assert off.post(path, cat).status_code == off.ask("GET", path).status_code == 404


def test_with_a_key_only_who_sends_it_is_answered(predictor, cat):
    closed = Service(predictor, api_key="s3cret")
    for path in ANSWERED:
        for wrong in ({}, {"Authorization": "Bearer s3cre"}, {"Authorization": "Basic s3cret"}):
            answer = closed.post(path, cat, headers=wrong)
            assert "key" in error(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
    for right in ("Bearer s3cret", "bearer  s3cret"):
        assert closed.post("/v1/predict", cat, headers={"Authorization": right}).status_code == 200
    for path in ("/ping", "/v2/health/ready", "/v2/models/are-you-a-cat"):  # probes have no key
        assert closed.ask("GET", path).status_code == 200


def test_keys_are_compared_in_constant_time(predictor, cat, monkeypatch):
    compared = []
    monkeypatch.setattr(http_api.secrets, "compare_digest", lambda *both: compared.append(both) or False)
    given = {"Authorization": "Bearer x"}
    assert Service(predictor, api_key="k").post("/v1/predict", cat, headers=given).status_code == 401
    assert (b"bearer x", b"bearer k") in compared


def test_a_page_with_a_login_asks_programs_for_it(predictor, cat):
    closed = Service(predictor, login="me:pass:word")
    answer = closed.post("/v1/predict", cat)
    assert "name and password" in error(answer, 401)
    assert answer.headers["www-authenticate"] == "Basic"
    assert closed.ask("POST", "/v1/predict", content=cat, auth=("me", "pass:word")).status_code == 200
    assert closed.ask("POST", "/v1/predict", content=cat, auth=("me", "pass")).status_code == 401


def test_who_asks_too_fast_is_told_when_to_go_on(predictor, cat):
    slow = Service(predictor, rate=2)
    assert [slow.post("/v1/predict", cat).status_code for _ in range(2)] == [200, 200]
    for path in ANSWERED:
        answer = slow.post(path, cat)
        assert "quicker" in error(answer, 429)
        assert 1 <= int(answer.headers["retry-after"]) <= 31
    assert b'cat_refusals_total{cause="rate"} 3.0' in slow.metrics.text()


def test_every_photo_of_a_request_counts(predictor):
    pixels = {"name": "pixels", "datatype": "UINT8", "shape": [3, 16, 16, 3], "data": [0] * 3 * 16 * 16 * 3}
    slow = Service(predictor, rate=3)
    assert slow.post(INFER, json.dumps({"inputs": [pixels]}).encode()).status_code == 200
    assert slow.post("/v1/predict").status_code == 429


def test_the_key_lifts_the_rate_and_guesses_do_not(predictor, cat):
    closed = Service(predictor, api_key="k", rate=2)
    right, wrong = ({"Authorization": f"Bearer {each}"} for each in ("k", "x"))
    assert {closed.post("/v1/predict", cat, headers=right).status_code for _ in range(4)} == {200}
    said = [closed.post("/v1/predict", cat, headers=wrong).status_code for _ in range(3)]
    assert said == [401, 401, 429]


def test_a_full_queue_sends_programs_away_before_they_send(predictor, cat):
    full = Service(predictor, NobodyWaits(waiting=3), queue=3)
    for path in ANSWERED:
        answer = full.post(path, cat)
        assert "3 visitors are before you" in error(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
    assert full.ask("GET", "/ping").status_code == 200
    full.gradio.number = 2
    assert full.post("/v1/predict", cat).status_code == 200
    assert b'cat_refusals_total{cause="busy"} 3.0' in full.metrics.text()


def test_programs_count_for_the_pages_visitors(predictor, cat, monkeypatch):
    """While as many programs wait as may, visitors are turned away; and all programs are answered."""
    shared = Service(predictor, queue=3)
    check, held, seen = shared.gradio.checks[0], threading.Event(), []
    answer = type(predictor).predict

    def slow(self, *given):
        held.wait(30)
        return answer(self, *given)

    def watch():
        ends = time.monotonic() + 20
        while len(shared.queue) < 3 and time.monotonic() < ends:
            held.wait(0.01)
        seen.extend((check("session", {}), shared.queue.before()))
        held.set()

    monkeypatch.setattr(type(predictor), "predict", slow)
    watching = threading.Thread(target=watch)
    watching.start()
    count = 3 + 2 * queue.AT_ONCE  # so many wait, and so many are taken up
    answers = shared.ask_at_once([("POST", "/v1/predict", {"content": cat})] * (count + 2))
    watching.join()
    statuses = [each.status_code for each in answers]
    assert statuses.count(200) == count and statuses.count(503) == 2
    assert seen == [text.busy(count), count]
    assert check("session", {}) is None and len(shared.queue) == 0


def test_one_visitor_does_not_take_every_place(predictor, cat):
    scope = {"client": ("127.0.0.1", 123)}  # as httpx says of itself
    crowded = Service(predictor, NobodyWaits(requests=[scope] * queue.MOST_OPEN), rate=100)
    assert "still busy" in error(crowded.post("/v1/predict", cat), 429)
    crowded.gradio.requests.pop()
    assert crowded.post("/v1/predict", cat).status_code == 200


def test_requests_fill_only_so_much_memory(predictor, cat, monkeypatch):
    monkeypatch.setattr(queue, "HELD_BYTES", 0)
    small = Service(predictor, upload_mb=1)
    with small.queue.memory() as take:
        take(2 * small.settings.most_bytes - len(cat) + 1)
        assert small.post("/v1/predict", cat).status_code == 503
    assert small.post("/v1/predict", cat).status_code == 200


def test_a_page_that_ends_takes_no_more(predictor, cat):
    ending = Service(predictor)
    probes = ("/ping", "/v2/health/ready", "/v2/models/are-you-a-cat/ready")
    assert {ending.ask("GET", path).status_code for path in probes} == {200}
    ending.queue.finish()
    assert {ending.ask("GET", path).status_code for path in probes} == {503}
    assert ending.ask("GET", "/v2/health/live").status_code == 200
    assert ending.gradio.closed
    assert "about to end" in error(ending.post("/v1/predict", cat), 503)
