"""The owner's part: only with the password, not by guessing, and it says how delivery and photos are."""

import json
import shutil
from dataclasses import asdict

import httpx
import numpy as np
import pytest

from cat_model.delivery import open_outbox
from cat_model.settings import Settings
from cat_model.traffic import BLOCK, Aggregate, Traffic
from tests.app.conftest import running
from tests.flags import flag
from web.owner import ATTEMPTS, PAUSE_S, Office

PASSWORD = "a good password: čau"


@pytest.fixture
def place(tmp_path):
    """A bundle with a reference, counts of traffic like it, and the clock's time."""
    lot = np.random.default_rng(0)
    counted = Aggregate.of(lot.random(1000), lot.random((1000, 16)))
    (tmp_path / "reference.json").write_text(json.dumps({"traffic": asdict(counted)}))
    return tmp_path


def office(place, seed=1, shift=0.0, now=lambda: 0.0):
    traffic = Traffic(place / "feedback", "a" * 64)
    lot = np.random.default_rng(seed)
    for _ in range(5):
        traffic.saw(lot.random(BLOCK), lot.random((BLOCK, 16)) + shift)
    outbox, delivery = open_outbox(Settings(feedback_dir=place / "feedback", s3_bucket="cats"))
    outbox.add(flag())
    return Office(PASSWORD, place, lambda: traffic.blocks, delivery, now)


def test_the_password_opens_it_and_is_not_kept_in_the_box(place):
    shown, box = office(place).enter(PASSWORD)
    assert box == ""
    for words in ("S3 bucket cats", "waits to be delivered</th><td>1<", "No alarm.", "500 photos", "<svg"):
        assert words in shown


def test_drift_is_shown_as_an_alarm(place):
    shown, _ = office(place, shift=1.0).enter(PASSWORD)
    assert "ALARM" in shown


def test_a_wrong_password_shows_nothing_and_guessing_is_stopped(place):
    time = [0.0]
    door = office(place, now=lambda: time[0])
    for guess in ("", "A good password", PASSWORD + " ", "x" * 100_000, "č"):
        assert "not the password" in door.enter(guess)[0]
    assert "wait" in door.enter(PASSWORD)[0]
    assert "Feedback" not in door.enter(PASSWORD)[0]
    time[0] = PAUSE_S
    assert "Feedback" in door.enter(PASSWORD)[0]
    for _ in range(ATTEMPTS - 1):
        door.enter("wrong")
    assert "Feedback" in door.enter(PASSWORD)[0]


def test_a_bundle_without_statistics_is_told_in_words(place):
    (place / "reference.json").write_text("{}")
    shown, _ = office(place).enter(PASSWORD)
    assert "older form" in shown
    assert "S3 bucket cats" in shown


def test_without_a_password_there_is_no_such_part(server):
    assert "For the owner" not in httpx.get(f"{server.address}/config").text


def test_it_opens_in_the_browser(browser, tmp_path, predictor):
    bundle = shutil.copytree(predictor.bundle.folder, tmp_path / "bundle")
    with running(tmp_path, CAT_OWNER_PASSWORD="sesame", CAT_BUNDLE=bundle) as page:
        assert "sesame" not in httpx.get(f"{page.address}/config").text
        assert httpx.get(f"{page.address}/gradio_api/info").json()["unnamed_endpoints"] == {}
        visit = browser.new_page()
        visit.goto(page.address)
        visit.get_by_text("For the owner of this page").click()
        visit.get_by_label("Password").fill("open")
        visit.get_by_role("button", name="Show").click()
        visit.get_by_text("That is not the password.").wait_for()
        visit.get_by_label("Password").fill("sesame")
        visit.keyboard.press("Enter")
        visit.get_by_text("stays here").wait_for()
        visit.close()
