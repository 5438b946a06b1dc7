"""The report counts what people say, shows what they dispute, and finds planted spam and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cat_model.feedback.outbox import Outbox
from cat_model.feedback.record import NUMBERS, PHOTO, pack
from cat_model.feedback.stores import FolderStore
from tests.made_feedback import VERDICT, made_feedback, numbers
from train.feedback import dataset, report
from train.feedback.report import suspects

LABELS = {"cat": 0.9, "not a cat": 0.1, "not sure": 0.5}


def record(number, verdict="cat", says_cat=True, hour=0, embedding=None, version="model-7"):
    said = replace(
        VERDICT, label=verdict, probability=LABELS[verdict], is_cat=verdict == "cat", model_version=version
    )
    made, _ = pack(
        made_feedback(f"secret {number}", says_cat, verdict=said, consent=NUMBERS, embedding=embedding)
    )
    return replace(made, hour=f"2026-11-{23 + hour // 24:02d}T{hour % 24:02d}:00:00+00:00")


def answers(seed=0, hours=40, per_hour=4, wrong=0.1):
    """Honest answers: a few each hour, of which a tenth contradict the model."""
    rng, number = np.random.default_rng(seed), 0
    for hour in range(hours):
        for _ in range(rng.poisson(per_hour)):
            number += 1
            verdict = "cat" if rng.random() < 0.5 else "not a cat"
            says_cat = (verdict == "cat") != (rng.random() < wrong)
            yield record(number, verdict, says_cat, hour, numbers(number, 8))


def test_rates_are_counted_by_peoples_word():
    records = [
        *(record(n, "cat", True) for n in range(6)),
        *(record(10 + n, "cat", False) for n in range(2)),
        *(record(20 + n, "not a cat", True) for n in range(3)),
        *(record(30 + n, "not a cat", False) for n in range(5)),
        *(record(40 + n, "not sure", True) for n in range(1)),
    ]
    (row,) = report.summary({"all": records}, "records").to_dict("records")
    assert row["count"] == 17
    for name, counts in {
        "agree": "11 / 16",
        "precision": "6 / 8",
        "recall": "6 / 10",
        "not sure": "1 / 17",
    }.items():
        assert row[name].endswith(f"; {counts})"), (name, row[name])


@pytest.mark.parametrize("seed", range(5))
def test_honest_people_are_not_suspected(seed):
    assert suspects(list(answers(seed))) == []


@pytest.mark.parametrize("seed", range(5))
def test_people_who_sleep_at_night_are_not_suspected(seed):
    rng, number, days = np.random.default_rng(seed), 0, []
    for hour in range(14 * 24):
        for _ in range(rng.poisson(1 if hour % 24 < 18 else 20)):
            number += 1
            days.append(record(number, "cat", rng.random() > 0.1, hour % 24, numbers(number, 8)))
            days[-1] = replace(days[-1], hour=f"2026-11-{1 + hour // 24:02d}T{hour % 24:02d}:00:00+00:00")
    assert suspects(days) == []


def test_a_burst_is_suspected():
    burst = [record(1000 + n, "cat", n % 10 > 0, 5, numbers(1000 + n, 8)) for n in range(60)]
    (found,) = suspects([*answers(), *burst])
    assert found.kind == "burst"
    assert {each.id for each in burst} <= set(found.ids)


def test_who_always_contradicts_is_suspected():
    wrong = [record(1000 + n, "cat", False, 5, numbers(1000 + n, 8)) for n in range(11)]
    found = suspects([*answers(), *wrong])
    assert [each.kind for each in found] == ["always wrong"]
    assert {each.id for each in wrong} <= set(found[0].ids)


def test_one_photo_again_and_again_is_suspected():
    again = [record(1000 + n, "cat", True, n, numbers(7, 8)) for n in range(12)]
    (found,) = suspects([*answers(), *again])
    assert (found.kind, set(found.ids)) == ("again and again", {each.id for each in again})


def test_the_page_shows_disputed_photos_plots_and_tables(tmp_path):
    outbox = Outbox(tmp_path / "outbox")
    for number in range(6):
        picture = Image.effect_noise((64, 64), 50 + number).convert("RGB")
        outbox.add(
            made_feedback(
                f"s{number}",
                number > 2,
                consent=PHOTO,
                photo=picture,
                embedding=numbers(number),
                comment="<i>",
            )
        )
    outbox.add(made_feedback("without photo", True, consent=NUMBERS, embedding=numbers(99)))
    dataset.pull(FolderStore(outbox.folder), tmp_path / "set")
    told = report.write(tmp_path / "set")
    page = (tmp_path / "set" / "feedback.html").read_text("utf-8")
    assert page.count("data:image/jpeg") == 3  # of the others people agree that they are no cats
    assert page.count("data:image/png") == 2
    assert "&lt;i&gt;" in page
    assert "<i>" not in page
    assert "(no photo)" in page
    assert "model-7" in page
    assert "W48" in page or "-W" in page
    assert "7" in told
    assert (tmp_path / "set" / "suspects.csv").read_text().startswith("kind,id")


def test_what_is_said_otherwise_is_what_those_say_who_dispute_and_the_photo_may_be_of_another(tmp_path):
    outbox, picture = Outbox(tmp_path / "outbox"), Image.effect_noise((64, 64), 50).convert("RGB")
    right, wrong = VERDICT.is_cat, not VERDICT.is_cat
    given = {"embedding": numbers(1), "photo": picture}
    kept = outbox.add(made_feedback("agrees", right, consent=PHOTO, comment="indeed", **given))
    outbox.add(made_feedback("disputes", wrong, consent=NUMBERS, comment="no", **given))
    dataset.pull(FolderStore(outbox.folder), tmp_path / "set")
    report.write(tmp_path / "set")
    page = (tmp_path / "set" / "feedback.html").read_text("utf-8")
    assert f"{kept.id}: 1 of 2 say otherwise ({'cat' if wrong else 'not a cat'})" in page
    assert "indeed" not in page
    assert page.count("data:image/jpeg") == 1
