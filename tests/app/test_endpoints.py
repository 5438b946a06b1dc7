"""What programs get: by gradio_client and plain HTTP, for good photos and bad ones."""

import base64
import json

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from cat_model.feedback.record import Record
from tests.bad_photos import ANSWERED, REFUSED
from web import text

META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def client(server):
    return Client(server.address, verbose=False)


def call(server, *data, name="predict"):
    """What curl does: ask, then read the events; the kind of the last event and what it carries."""
    url = f"{server.address}/gradio_api/call/{name}"
    asked = httpx.post(url, json={"data": data}, timeout=30)
    asked.raise_for_status()
    told = httpx.get(f"{url}/{asked.json()['event_id']}", timeout=60).text.strip().splitlines()
    return told[-2].removeprefix("event: "), json.loads(told[-1].removeprefix("data: "))


def upload(server, path, name=None):
    files = {"files": (name or path.name, path.read_bytes())}
    sent = httpx.post(f"{server.address}/gradio_api/upload", files=files, timeout=30)
    sent.raise_for_status()
    return sent.json()[0]


def is_verdict(answer):
    return set(answer) == {"probability", "is_cat", "unsure", "label", "model_version"}


def test_client_gets_the_verdict_that_the_package_gives(client, predictor, examples):
    for name, label in (("chelsea.jpg", "cat"), ("astronaut.jpg", "not a cat"), ("coffee.jpg", "not a cat")):
        answer = client.predict(photo=handle_file(examples / name), api_name="/predict")
        verdict = predictor.predict(examples / name)
        assert is_verdict(answer)
        assert answer["label"] == verdict.label == label
        assert answer["probability"] == pytest.approx(verdict.probability, abs=1e-6)
        assert answer["is_cat"] is (label == "cat")
        assert answer["model_version"] == predictor.bundle.version


def test_plain_http_gets_a_verdict_in_two_steps(server, examples):
    path = upload(server, examples / "chelsea.jpg")
    event, (answer,) = call(server, {"path": path, "meta": META})
    assert (event, answer["label"]) == ("complete", "cat")


def test_plain_http_gets_a_verdict_of_a_data_address(server, examples):
    encoded = base64.b64encode((examples / "chelsea.jpg").read_bytes()).decode()
    event, (answer,) = call(server, {"url": f"data:image/jpeg;base64,{encoded}"})
    assert (event, answer["label"]) == ("complete", "cat")
    event, answer = call(server, {"url": "data:image/jpeg;base64,*"})
    assert (event, answer["error"]) == ("error", "This data: address is not valid base64.")


@pytest.mark.parametrize("name", ANSWERED)
def test_odd_photos_are_answered(client, bad, name):
    answer = client.predict(photo=handle_file(bad[name]), api_name="/predict")
    assert is_verdict(answer)
    assert answer["label"] == "cat"  # each of them shows Chelsea


@pytest.mark.parametrize("name", REFUSED)
def test_bad_photos_are_refused_with_the_sentence_of_the_package(client, predictor, bad, name, server):
    from cat_model import PhotoError

    with pytest.raises(PhotoError) as refusal:
        predictor.predict(bad[name])
    with pytest.raises(AppError) as told:
        client.predict(photo=handle_file(bad[name]), api_name="/predict")
    assert str(told.value) == str(refusal.value)
    assert server.process.poll() is None


def test_no_photo_is_refused_in_words(server):
    event, answer = call(server, None)
    assert (event, answer["error"]) == ("error", "Please send a photo.")


@pytest.mark.parametrize("meta", [{}, {"meta": META}])
def test_a_file_that_was_not_uploaded_is_not_read(server, examples, meta):
    event, answer = call(server, {"path": str(examples / "chelsea.jpg"), **meta})
    assert event == "error"
    assert "chelsea" not in str(answer)


def test_the_server_fetches_no_web_address(server, examples):
    event, answer = call(server, {"path": "http://example.com/cat.jpg", "meta": META})
    assert (event, answer["error"]) == ("error", "Please upload the photo itself, not its address.")


def test_a_file_over_the_limit_is_refused_at_the_door(server):
    files = {"files": ("big.jpg", bytes(20_000_001))}
    sent = httpx.post(f"{server.address}/gradio_api/upload", files=files, timeout=30)
    assert sent.status_code == 413


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([5], text.HOW_TO_SEND),
        (["text"], text.HOW_TO_SEND),
        ([[]], text.HOW_TO_SEND),
        ([{"path": 5}], text.HOW_TO_SEND),
        ([], text.too_few(["Your photo"], 0)),
        (["https://example.com/cat.jpg"], text.NOT_ITS_ADDRESS),
        ([{"url": "https://example.com/cat.jpg"}], text.NOT_ITS_ADDRESS),
        ([{"path": "photo.jpg"}], text.UPLOAD_FIRST),
        ([{}], text.UPLOAD_FIRST),
    ],
)
def test_a_mistake_in_a_request_is_named(server, data, said):
    event, answer = call(server, *data)
    assert (event, answer["error"]) == ("error", said)


def test_the_help_for_programs_promises_only_what_is_answered(server):
    told = httpx.get(f"{server.address}/gradio_api/info").json()["named_endpoints"]["/predict"]
    (photo,) = told["parameters"]
    described = {
        name: part["description"]
        for name, part in photo["type"]["properties"].items()
        if "description" in part
    }
    assert described["path"] == "What /gradio_api/upload answered for the photo"
    assert described["url"] == "Instead: the photo in a data: address, in base64"
    assert "publicly" not in json.dumps(told).lower()


def test_feedback_is_stored_and_the_photo_only_if_asked(client, server, examples):
    photo = handle_file(examples / "astronaut.jpg")
    before, photos = set(server.records()), set(server.photos())
    client.predict(photo=photo, it_is="cat", api_name="/feedback")
    (record,) = set(server.records()) - before
    told = json.loads(record.read_text("utf-8"))
    assert (told["verdict"], told["person_says_cat"], told["photo"]) == ("not a cat", True, None)
    assert set(server.photos()) == photos

    answer = client.predict(photo=photo, it_is="not a cat", keep_photo=True, api_name="/feedback")
    told = json.loads((server.feedback / "records" / f"{answer['id']}.json").read_text("utf-8"))
    assert told["person_says_cat"] is False
    assert (server.feedback / "photos" / f"{answer['id']}-{told['photo']}.jpg").is_file()


def test_feedback_keeps_numbers_and_a_comment_if_asked_and_is_undone_by_its_receipt(
    client, server, predictor, examples
):
    before = {*server.records(), *server.photos()}
    answer = client.predict(
        photo=handle_file(examples / "chelsea.jpg"),
        it_is="cat",
        keep_numbers=True,
        comment="a tabby",
        api_name="/feedback",
    )
    record = Record.from_json((server.feedback / "records" / f"{answer['id']}.json").read_bytes())
    assert (record.comment, record.consent, record.photo) == ("a tabby", "numbers", None)
    np.testing.assert_allclose(record.numbers, predictor.embedding(examples / "chelsea.jpg"), atol=0.01)
    with pytest.raises(AppError, match="not a receipt code"):
        client.predict(receipt="no such code", api_name="/undo")
    told = client.predict(receipt=answer["receipt"], api_name="/undo")
    assert told == {"message": "Your feedback is deleted."}
    assert {*server.records(), *server.photos()} == before
    with pytest.raises(AppError, match="no feedback with this code"):
        client.predict(receipt=answer["receipt"], api_name="/undo")


def test_feedback_without_an_answer_is_refused(client, server, examples):
    before = server.records()
    photo = handle_file(examples / "astronaut.jpg")
    for answer in (None, "dog"):
        with pytest.raises(AppError):
            client.predict(photo=photo, it_is=answer, api_name="/feedback")
    assert server.records() == before


def test_only_the_documented_endpoints_are_public(client, server):
    told = httpx.get(f"{server.address}/gradio_api/info").json()
    assert set(told["named_endpoints"]) == {"/predict", "/search", "/explain", "/feedback", "/undo"}
    assert told["unnamed_endpoints"] == {}
    assert "probability" in told["named_endpoints"]["/predict"]["description"]


def test_the_demo_defaults_are_off(server):
    config = httpx.get(f"{server.address}/config").json()
    assert not config["analytics_enabled"]
    assert config["run_history"] is False
    assert not config["pwa"]
    assert config["footer_links"] == ["api"]
    assert httpx.get(f"{server.address}/monitoring").status_code in (403, 404)


def test_client_gets_the_reasons_that_the_package_gives(client, predictor, examples):
    photo = handle_file(examples / "chelsea.jpg")
    for budget in (0, 8):
        answer = client.predict(photo=photo, budget=budget, api_name="/explain")
        expected = predictor.explain(examples / "chelsea.jpg", budget)
        assert answer["label"] == "cat"
        np.testing.assert_allclose(answer["values"], expected.values, atol=1e-6)
        assert answer["base"] + sum(map(sum, answer["values"])) == pytest.approx(answer["logit"], abs=1e-3)
        assert answer["sentence"] == expected.sentence
        assert answer["overlay"].startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("budget", [-1, 1, 513])
def test_a_budget_out_of_range_is_refused_in_words(client, examples, budget):
    with pytest.raises(AppError, match="from 8 to 512"):
        client.predict(photo=handle_file(examples / "chelsea.jpg"), budget=budget, api_name="/explain")
