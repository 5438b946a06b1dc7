"""The tab for several photos, in a real browser: tiles, filters, the list and the zip, limits and rates."""

import base64
import csv
import io
import shutil
import zipfile
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from playwright.sync_api import expect

from cat_model import PhotoError
from tests.app.conftest import running
from web import text
from web.server.uploads import PREFIX
from web.ui.gallery import MOST

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DONE = "I have looked at"


@pytest.fixture
def several(visit):
    """Open the tab: `several(**options)` gives a Playwright page."""

    def opened(*address, **options):
        page = visit(*address, **options)
        page.get_by_role("tab", name=text.SEVERAL).click()
        return page

    return opened


def choose(page, paths):
    """Choose photos and wait for their tiles."""
    page.set_input_files("#gallery-files", paths)
    page.wait_for_function(
        """count => document.querySelectorAll(
            ".tile:is(.cat, .other, .unsure, .wrong)").length == count""",
        arg=len(paths),
        timeout=60_000,
    )


def tiles(page):
    """The kind and the name of each tile that is seen."""
    seen = page.locator(".tile:visible").all()
    return [(each.get_attribute("class").split()[1], each.locator(".name").inner_text()) for each in seen]


def saved(page, button):
    with page.expect_download() as download:
        page.click(button)
    return download.value


def posts(page):
    """The paths of what the page posts from now on."""
    paths = []
    page.on("request", lambda sent: sent.method == "POST" and paths.append(urlsplit(sent.url).path))
    return paths


@pytest.fixture
def mixed(examples, bad, tmp_path):
    """A cat, two others, and a file that is no photo."""
    return [examples / "chelsea.jpg", examples / "coffee.jpg", examples / "astronaut.jpg", bad["text.jpg"]]


def test_each_photo_has_a_tile_with_its_verdict_and_a_bad_file_its_sentence(several, predictor, mixed):
    page = several()
    choose(page, mixed)
    assert tiles(page) == [
        ("cat", "chelsea.jpg"),
        ("other", "coffee.jpg"),
        ("other", "astronaut.jpg"),
        ("wrong", "text.jpg"),
    ]
    percent = min(99, round(100 * predictor.predict(mixed[0]).probability))
    assert page.locator(".tile.cat .headline").inner_text() == f"It's a cat — {percent}\u00a0%"
    with pytest.raises(PhotoError) as refusal:
        predictor.predict(mixed[3])
    assert page.locator(".tile.wrong .detail").inner_text() == str(refusal.value)
    picture = page.locator(".tile.cat img").get_attribute("src")
    shown = Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2])))
    with Image.open(mixed[0]) as photo:
        assert shown.size == (320, round(320 * photo.height / photo.width))
    assert f"{DONE} all 4 photos." in page.inner_text("#gallery-line")


def test_filters_leave_the_tiles_of_a_kind_and_say_how_many_there_are(several, mixed):
    page = several()
    choose(page, mixed)
    counts = {kind: page.inner_text(f"#gallery-{kind}") for kind in ("all", "cat", "unsure", "other")}
    assert counts == {"all": "4", "cat": "1", "unsure": "0", "other": "2"}
    for name, kinds in (
        (text.CATS, ["cat"]),
        (text.NOT_SURE, []),
        (text.OTHERS, ["other", "other"]),
        (text.ALL, ["cat", "other", "other", "wrong"]),
    ):
        page.get_by_role("radio", name=name).check()
        assert [kind for kind, _ in tiles(page)] == kinds


def test_the_list_has_a_row_for_each_photo(several, predictor, mixed, examples, tmp_path):
    formula = tmp_path / '=1+1,"a".jpg'
    formula.write_bytes((examples / "chelsea.jpg").read_bytes())
    page = several()
    choose(page, [*mixed, formula])
    content = saved(page, "#gallery-csv").path().read_text("utf-8-sig")
    head, cat, coffee, _, refused, last = csv.reader(io.StringIO(content))
    assert head == text.GALLERY["columns"]
    verdict = predictor.predict(mixed[0])
    assert cat[:2] == ["chelsea.jpg", "cat"]
    assert float(cat[2]) == pytest.approx(verdict.probability, abs=1e-4)
    assert coffee[:2] == ["coffee.jpg", "not a cat"]
    assert refused[:3] == ["text.jpg", "", ""]
    assert "not a photo" in refused[3]
    assert last[0] == f"'{formula.name}"  # else a spreadsheet computes it


def test_the_zip_holds_the_cats_own_files_under_names_of_their_own(several, mixed, examples, tmp_path):
    big = tmp_path / "Kätzchen.jpg"  # which the browser makes smaller before it is sent
    Image.open(examples / "chelsea.jpg").resize((3000, 2000)).save(big)
    twin = tmp_path / "album" / "chelsea.jpg"
    twin.parent.mkdir()
    Image.open(examples / "chelsea.jpg").save(twin, quality=80)
    page = several()
    choose(page, [*mixed, big, twin])
    download = saved(page, "#gallery-zip")
    assert download.suggested_filename.endswith(".zip")
    with zipfile.ZipFile(download.path()) as packed:
        assert packed.testzip() is None
        found = {name: packed.read(name) for name in packed.namelist()}
    assert found == {
        "chelsea.jpg": mixed[0].read_bytes(),
        "Kätzchen.jpg": big.read_bytes(),
        "chelsea (2).jpg": twin.read_bytes(),
    }


@pytest.mark.slow
def test_without_cats_there_is_no_zip(several, examples):
    page = several()
    choose(page, [examples / "coffee.jpg"])
    assert page.locator("#gallery-zip").is_disabled()
    assert page.inner_text("#gallery-line") == "I have looked at your photo."


@pytest.mark.slow
def test_of_more_than_fifty_the_first_are_taken_and_the_page_says_so(several, tmp_path):
    paths = [tmp_path / f"{number:02}.png" for number in range(MOST + 2)]
    for number, path in enumerate(paths):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(path)
    page = several()
    page.set_input_files("#gallery-files", paths)
    page.get_by_text(f"{DONE} all {MOST} photos. 2 more were left out.").wait_for(timeout=60_000)
    assert [name for _, name in tiles(page)] == [path.name for path in paths[:MOST]]


def test_each_photo_is_uploaded_and_asked_about_by_itself(several, mixed):
    page = several()
    sent = posts(page)
    choose(page, mixed)
    assert sum(path.endswith("/upload") for path in sent) == len(mixed)
    assert sum(path.endswith("/queue/join") for path in sent) == len(mixed)


def uploaded(server):
    return {path for path in server.uploads.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_names_stay_in_the_browser_and_nothing_is_kept(several, server, mixed, examples, tmp_path):
    secret = tmp_path / "Erika Mustermann.jpg"
    secret.write_bytes((examples / "chelsea.jpg").read_bytes())
    before = {*server.records(), *server.photos()}
    others = uploaded(server)
    page = several()
    bodies = []
    page.on("request", lambda sent: sent.method == "POST" and bodies.append(sent.post_data_buffer or b""))
    choose(page, [*mixed, secret])
    saved(page, "#gallery-csv")
    saved(page, "#gallery-zip")
    assert not any(b"Mustermann" in body for body in bodies)
    names = {path.name for path in uploaded(server) - others}
    assert not [name for name in names if "Mustermann" in name or name.endswith((".csv", ".zip"))]
    assert {*server.records(), *server.photos()} == before


@pytest.mark.slow
def test_a_name_is_shown_as_text(several, examples, tmp_path):
    odd = tmp_path / "<img src=x onerror=document.title=1>.jpg"
    odd.write_bytes((examples / "chelsea.jpg").read_bytes())
    page = several()
    choose(page, [odd])
    assert tiles(page) == [("cat", odd.name)]
    assert page.title() == text.TITLE


@pytest.mark.slow
def test_dropped_photos_are_looked_at(several, examples):
    page = several()
    page.evaluate(
        """bytes => {
            const data = new DataTransfer();
            const raw = Uint8Array.from(atob(bytes), letter => letter.charCodeAt(0));
            data.items.add(new File([raw], "one.jpg"));
            data.items.add(new File([raw], "two.jpg", {type: "image/jpeg"}));
            document.querySelector("#gallery .choose").dispatchEvent(
                new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        base64.b64encode((examples / "chelsea.jpg").read_bytes()).decode(),
    )
    page.get_by_text(f"{DONE} all 2 photos.").wait_for()
    assert tiles(page) == [("cat", "one.jpg"), ("cat", "two.jpg")]


@pytest.mark.slow
def test_the_photos_stay_while_another_tab_is_open_and_go_with_clear(several, mixed):
    page = several()
    choose(page, mixed)
    page.get_by_role("tab", name="Photo", exact=True).click()
    page.get_by_role("tab", name=text.SEVERAL).click()
    expect(page.locator(".tile:visible")).to_have_count(len(mixed))
    page.click("#gallery-clear")
    expect(page.locator(".tile:visible")).to_have_count(0)
    expect(page.locator("#gallery .results")).to_be_hidden()
    choose(page, mixed[:1])
    assert tiles(page) == [("cat", "chelsea.jpg")]


@pytest.mark.slow
def test_new_photos_take_the_place_of_those_that_still_wait(several, mixed, examples):
    page = several()
    page.set_input_files("#gallery-files", mixed * 5)
    choose(page, [examples / "coffee.jpg"])
    assert tiles(page) == [("other", "coffee.jpg")]
    assert page.inner_text("#gallery-line") == "I have looked at your photo."


@pytest.mark.slow
def test_photos_that_cannot_be_sent_say_so(several, mixed):
    page = several()
    page.context.set_offline(True)
    choose(page, mixed[:2])
    assert page.locator(".tile.wrong .detail").all_inner_texts() == [text.NOT_REACHED] * 2


@pytest.mark.slow
def test_a_file_over_the_limit_is_one_tile(several, examples, tmp_path):
    big = tmp_path / "big.png"
    big.write_bytes(bytes(20_000_001))
    page = several()
    choose(page, [big, examples / "chelsea.jpg"])
    assert tiles(page) == [("wrong", "big.png"), ("cat", "chelsea.jpg")]
    said = page.locator(".tile.wrong .detail").inner_text()
    assert said == "This file has 20.1 MB. I take up to 20 MB."


@pytest.mark.slow
def test_a_server_without_place_for_photos_says_so_in_the_tile(tmp_path, several, examples):
    with running(tmp_path) as full:
        (own,) = full.uploads.glob(f"{PREFIX}*")
        page = several(full.address)
        shutil.rmtree(own)
        own.touch()  # nothing can be written below a file
        choose(page, [examples / "chelsea.jpg"])
        assert page.locator(".tile.wrong .detail").inner_text() == text.NO_PLACE


@pytest.mark.slow
def test_who_is_too_quick_waits_and_is_answered(tmp_path, several, examples):
    with running(tmp_path, CAT_RATE=60) as slow:
        page = several(slow.address)
        statuses = []
        page.on("response", lambda got: statuses.append(got.status))
        while httpx.post(f"{slow.address}/gradio_api/upload").status_code != 429:
            pass
        page.set_input_files("#gallery-files", examples / "chelsea.jpg")
        page.get_by_text("You are quicker than I am").first.wait_for()
        page.locator(".tile.cat").wait_for(timeout=60_000)
        assert 429 in statuses


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_nothing_is_wider_than_the_screen(several, mixed, options):
    page = several(**options)
    choose(page, mixed)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
