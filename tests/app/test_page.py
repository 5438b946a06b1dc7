"""The page in a real browser, as a visitor uses it: by mouse, by keyboard, on a phone, in the dark."""

import json
import re
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.app.conftest import WITHOUT_ENGINE
from tests.app.visiting import CAT, OTHER, REFUSED, SCHEMES, answered, ended, example, show, switch

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def thanks(page):
    page.locator("#thanks p:not(:empty)").wait_for()
    return page.inner_text("#thanks")


def test_an_uploaded_cat_is_called_a_cat_with_its_percentage(visit, predictor, examples):
    page = visit()
    show(page, examples / "chelsea.jpg")
    page.locator(CAT).wait_for()
    percent = min(99, round(100 * predictor.predict(examples / "chelsea.jpg").probability))
    assert page.inner_text("#answer").strip() == f"It's a cat — {percent}\u00a0%"
    bars = f"cat {percent}% not a cat {100 - percent}%"
    expect(page.locator("#bars")).to_have_text(bars, use_inner_text=True)


@pytest.mark.parametrize(
    "name",
    [
        "text.jpg",
        pytest.param("drawing.svg", marks=pytest.mark.slow),
        pytest.param("truncated.jpg", marks=pytest.mark.slow),
        pytest.param("huge.png", marks=pytest.mark.slow),
        pytest.param("empty.jpg", marks=pytest.mark.slow),
    ],
)
def test_a_bad_photo_shows_its_sentence_and_not_the_old_verdict(visit, bad, predictor, name):
    from cat_model import PhotoError

    page = visit()
    example(page, "A cat")
    page.locator(CAT).wait_for()
    show(page, bad[name])
    answered(page, REFUSED)
    with pytest.raises(PhotoError) as refusal:
        predictor.predict(bad[name])
    expect(page.locator("#answer")).to_contain_text(str(refusal.value))
    expect(page.locator("#bars")).to_be_hidden()
    expect(page.locator("#right")).to_be_disabled()
    expect(page.locator("#wrong")).to_be_disabled()


def test_no_photo_no_verdict(visit):
    page = visit()
    assert page.locator("#right").is_disabled()
    example(page, "A cat")
    page.locator("#right:enabled").wait_for()
    page.get_by_label("Remove Image").click()
    page.get_by_text("Your answer appears here").wait_for()
    page.locator("#right:disabled").wait_for()
    expect(page.locator("#bars")).to_be_hidden()


@pytest.mark.parametrize(
    ("name", "button", "says_cat"),
    [("A cat", "#right", True), ("A cat", "#wrong", False), ("An astronaut", "#wrong", True)],
)
def test_a_flag_leaves_one_record_and_no_photo(visit, server, name, button, says_cat):
    records, photos = set(server.records()), set(server.photos())
    page = visit()
    example(page, name)
    answered(page, CAT if name == "A cat" else OTHER)
    page.locator(button).dblclick()
    assert "Thank you" in thanks(page)
    expect(page.locator("#right")).to_be_disabled()
    (record,) = set(server.records()) - records
    told = json.loads(record.read_text("utf-8"))
    assert (told["person_says_cat"], told["photo"]) == (says_cat, None)
    assert set(server.photos()) == photos


def test_a_ticked_box_keeps_the_photo_that_was_judged_and_is_unticked_for_the_next(visit, server, examples):
    records = set(server.records())
    page = visit()
    show(page, examples / "coffee.jpg")
    answered(page, OTHER)
    page.get_by_label("Keep my photo").check()
    page.click("#right")
    assert "your photo are kept" in thanks(page)
    (record,) = set(server.records()) - records
    told = json.loads(record.read_text("utf-8"))
    with Image.open(server.feedback / "photos" / f"{record.stem}-{told['photo']}.jpg") as kept:
        assert kept.size == (600, 400)  # coffee.jpg
    example(page, "A cat")
    answered(page, CAT)
    expect(page.get_by_label("Keep my photo")).not_to_be_checked()
    expect(page.locator("#thanks p")).to_have_text("")


def test_undo_deletes_what_was_just_told_and_another_answer_may_be_given(visit, server):
    before = {*server.records(), *server.photos()}
    page = visit()
    example(page, "A cat")
    answered(page, CAT)
    page.get_by_label("Keep my photo").check()
    page.get_by_label("A word of comment").fill("a tabby")
    page.click("#right")
    assert "receipt code" in thanks(page)
    page.locator("#wrong:disabled").wait_for()
    (record,) = set(server.records()) - before
    assert json.loads(record.read_text("utf-8"))["comment"] == "a tabby"
    page.click("#undo")
    page.get_by_text("Your feedback is deleted.").wait_for()
    assert {*server.records(), *server.photos()} == before
    expect(page.locator("#undo")).to_be_hidden()
    page.locator("#wrong:enabled").click()
    page.locator("#thanks code").wait_for()
    assert len(set(server.records()) - before) == 1


def test_earlier_feedback_is_deleted_by_its_receipt_code(visit, server):
    before = set(server.records())
    page = visit()
    example(page, "A cat")
    answered(page, CAT)
    page.click("#right")
    code = page.locator("#thanks code").inner_text()
    later = visit()
    later.get_by_text("What is kept, why").click()
    later.get_by_text("365 days at most").wait_for()
    later.get_by_label("Receipt code").fill("nonsense")
    later.click("#delete")
    later.locator("#deleted .failed").wait_for()
    ended(later, "#deleted")
    later.get_by_label("Receipt code").fill(code)
    later.click("#delete")
    later.locator("#deleted .thanks").wait_for()
    assert set(server.records()) == before


@pytest.mark.slow
def test_what_comes_again_after_the_page_was_loaded_has_its_names_again(visit):
    page = visit()
    page.get_by_role("button", name="A cat", exact=True).wait_for()
    page.evaluate("""() => document.querySelectorAll("#examples button").forEach(button => {
        const anew = button.cloneNode(true);
        anew.removeAttribute("aria-label");
        button.replaceWith(anew);
    })""")
    page.get_by_role("button", name="A cat", exact=True).wait_for(timeout=5000)


@pytest.mark.slow
def test_an_answer_that_cannot_be_stored_is_not_thanked_for(visit, server):
    records = server.feedback / "records"
    away = records.with_name("records-away")
    records.mkdir(parents=True, exist_ok=True)
    records.rename(away)
    records.write_text("in the way")
    try:
        page = visit()
        example(page, "A cat")
        answered(page, CAT)
        page.click("#right")
        page.locator("#thanks .failed").wait_for()
        ended(page, "#thanks")
        assert "could not be saved" in page.inner_text("#thanks")
        expect(page.locator("#right")).to_be_enabled()
    finally:
        records.unlink()
        away.rename(records)
    page.click("#right")
    page.locator("#thanks .thanks:not(:empty)").wait_for()


def test_the_keyboard_is_enough(visit, server):
    records = set(server.records())
    page = visit()
    page.get_by_role("button", name="A cat", exact=True).wait_for()
    _tab_to(page, "A cat")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    answered(page, CAT)
    _tab_to(page, "Right")
    page.keyboard.press("Enter")
    assert "Thank you" in thanks(page)
    assert len(set(server.records()) - records) == 1


def _tab_to(page, name):
    for _ in range(20):
        page.keyboard.press("Tab")
        here = "document.activeElement.ariaLabel || document.activeElement.innerText.trim()"
        if page.evaluate(here) == name:
            return
    pytest.fail(f"Twenty times Tab did not lead to {name!r}.")


def test_a_verdict_is_told_to_screen_readers(visit):
    page = visit()
    example(page, "A cat")
    page.locator(CAT).wait_for()
    assert re.match("It's a cat", page.get_by_role("status").filter(visible=True).first.inner_text().strip())


def test_a_phone_needs_no_sideways_scrolling(visit, bad):
    page = visit(**PHONE)
    example_given, bad_given = (lambda: example(page, "A cat")), (lambda: show(page, bad["text.jpg"]))
    for step, verdict in ((lambda: None, ".idle"), (example_given, CAT), (bad_given, REFUSED)):
        step()
        answered(page, verdict)
        for scheme in SCHEMES:
            switch(page, scheme)
            assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.slow
def test_on_a_phone_the_answer_is_seen_without_scrolling(visit, examples):
    page = visit(
        **PHONE | {"viewport": {"width": 375, "height": 553}}
    )  # a small one, with the browser's bars
    show(page, examples / "coffee.jpg")
    page.locator(OTHER).wait_for()
    expect(page.locator(OTHER)).to_be_in_viewport(ratio=1)
    page.locator("#examples").scroll_into_view_if_needed()
    page.get_by_role("button", name="A cat", exact=True).tap()
    page.locator(CAT).wait_for()
    expect(page.locator(CAT)).to_be_in_viewport(ratio=1)
    expect(page.locator("#stage")).to_be_in_viewport(ratio=0.9)


@pytest.mark.slow
def test_on_a_wide_screen_photo_and_answer_stand_side_by_side_and_nothing_is_empty_below_the_examples(visit):
    page = visit(viewport={"width": 1100, "height": 900})
    example(page, "A cat")
    answered(page, CAT)
    box = {name: page.locator(name).bounding_box() for name in ("#photo", "#answer", "#examples", "#flags")}
    assert box["#photo"]["x"] + box["#photo"]["width"] <= box["#answer"]["x"]
    assert abs(box["#photo"]["y"] - box["#answer"]["y"]) < 5
    ends = [box[name]["y"] + box[name]["height"] for name in ("#examples", "#flags")]
    assert abs(ends[0] - ends[1]) < 60


@pytest.mark.slow
def test_a_file_that_cannot_be_drawn_shows_no_broken_picture(visit, bad):
    page = visit()
    show(page, bad["text.jpg"])
    page.locator(REFUSED).wait_for()
    page.wait_for_function("getComputedStyle(document.querySelector('#photo img')).visibility == 'hidden'")


def test_words_stand_out_from_what_is_behind_them(visit, bad):
    page = visit()
    for name, verdict in (("A cat", CAT), ("An astronaut", OTHER), (None, REFUSED)):
        example(page, name) if name else show(page, bad["text.jpg"])
        answered(page, verdict)
        places = [f"{verdict} p.headline", "#privacy p", "#flags h3", "#examples .label", "footer button"]
        if name:
            places += [
                "#right",
                "#wrong",
                "#keep .label-text",
                "#numbers .label-text",
                "#comment label > span",
            ]
            places += ["#about > button", "#bars .text"]
        for scheme in SCHEMES:
            switch(page, scheme)
            assert (luminance(colours(page, "body")[1]) < 0.2) is (scheme == "dark")
            for place in places:
                front, back = (luminance(colour) for colour in colours(page, place))
                contrast = (max(front, back) + 0.05) / (min(front, back) + 0.05)
                assert contrast >= 4.5, (scheme, place, contrast)


def colours(page, selector):
    """The colour of the words, and the first colour behind them that can be seen."""
    return page.locator(selector).first.evaluate(
        """element => {
            const rgba = text => text.match(/[\\d.]+/g).map(Number);
            const front = rgba(getComputedStyle(element).color);
            let back = [0, 0, 0, 0];
            for (let e = element; e && (back[3] ?? 1) < 1; e = e.parentElement)
                back = rgba(getComputedStyle(e).backgroundColor);
            return [front, back];
        }"""
    )


def luminance(colour):
    """Relative luminance as WCAG 2 defines it."""
    assert len(colour) == 3, colour  # nothing half transparent
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_nothing_is_fetched_from_elsewhere_and_nothing_is_kept_in_the_browser(browser, server, examples):
    context = browser.new_context()
    asked = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.add_init_script(WITHOUT_ENGINE)
    page.goto(server.address)
    show(page, examples / "chelsea.jpg")
    page.locator("#right:enabled").click()
    thanks(page)
    page.wait_for_timeout(500)
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(server.address).netloc}
    assert "chelsea" not in page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    context.close()
