"""The owner's part: only with the password, not by guessing, and it says how delivery and photos are."""

import json
import shutil
from dataclasses import asdict

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from cat_model.feedback.delivery import open_outbox
from cat_model.monitoring.traffic import BLOCK, Aggregate, Traffic
from cat_model.settings import Settings
from tests.app.conftest import running
from tests.made_feedback import made_feedback
from web.ui.admin import ATTEMPTS, PAUSE_S, AdminPanel

PASSWORD = "a good password: čau"


@pytest.fixture
def place(tmp_path):
    """A bundle with a reference, counts of traffic like it, and the clock's time."""
    rng = np.random.default_rng(0)
    counted = Aggregate.of(rng.random(1000), rng.random((1000, 16)))
    (tmp_path / "reference.json").write_text(json.dumps({"traffic": asdict(counted)}))
    return tmp_path


def panel(place, seed=1, shift=0.0, now=lambda: 0.0):
    traffic = Traffic(place / "feedback", "a" * 64)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        traffic.saw(rng.random(BLOCK), rng.random((BLOCK, 16)) + shift)
    outbox, delivery = open_outbox(Settings(feedback_dir=place / "feedback", s3_bucket="cats"))
    outbox.add(made_feedback())
    return AdminPanel(PASSWORD, place, lambda: traffic.blocks, delivery, clock=now)


def test_the_password_opens_it(place):
    shown = panel(place).enter(PASSWORD)
    for words in ("S3 bucket cats", "waits to be delivered</th><td>1<", "No alarm.", "500 photos", "<svg"):
        assert words in shown


def test_drift_is_shown_as_an_alarm(place):
    shown = panel(place, shift=1.0).enter(PASSWORD)
    assert "ALARM" in shown


def test_a_wrong_password_shows_nothing_and_guessing_is_stopped(place):
    time = [0.0]
    door = panel(place, now=lambda: time[0])
    for guess in ("", "A good password", PASSWORD + " ", "x" * 100_000, "č"):
        assert "not the password" in door.enter(guess)
    assert "wait" in door.enter(PASSWORD)
    assert "Feedback" not in door.enter(PASSWORD)
    time[0] = PAUSE_S
    assert "Feedback" in door.enter(PASSWORD)
    for _ in range(ATTEMPTS - 1):
        door.enter("wrong")
    assert "Feedback" in door.enter(PASSWORD)


def test_a_bundle_without_statistics_is_told_in_words(place):
    (place / "reference.json").write_text("{}")
    shown = panel(place).enter(PASSWORD)
    assert "older form" in shown
    assert "S3 bucket cats" in shown


def test_without_a_password_there_is_no_such_part(server):
    assert "For the owner" not in httpx.get(f"{server.address}/config").text


@pytest.mark.slow
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
        expect(visit.get_by_label("Password")).to_have_value("")  # it is not kept in the box
        visit.get_by_label("Password").fill("sesame")
        visit.keyboard.press("Enter")
        visit.get_by_text("stays here").wait_for()
        expect(visit.get_by_label("Password")).to_have_value("")
        visit.close()
