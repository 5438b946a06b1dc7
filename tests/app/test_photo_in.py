"""How a photo comes to the page: by example, drag, paste or webcam, and smaller than a phone took it."""

import base64
import io
import re

import pytest
from PIL import ExifTags, Image

from tests.app.conftest import QUIET
from tests.app.visiting import CAT, OTHER, REFUSED, example, show
from web import words

BYTES = "Uint8Array.from(atob(bytes), letter => letter.charCodeAt(0))"


@pytest.mark.parametrize("name", ["An astronaut", "A cup of coffee"])
def test_an_example_gives_its_verdict_on_one_click(visit, name):
    page = visit()
    example(page, name)
    page.locator(OTHER).wait_for()
    assert re.fullmatch(r"Not a cat — \d\d\u00a0%", page.inner_text("#answer").strip())


def test_a_dropped_picture_gets_a_verdict(visit, examples):
    page = visit()
    page.evaluate(
        f"""bytes => {{
            const data = new DataTransfer();
            data.items.add(new File([{BYTES}], "cat.jpg", {{type: "image/jpeg"}}));
            document.querySelector("#photo button[aria-dropeffect]").dispatchEvent(
                new DragEvent("drop", {{dataTransfer: data, bubbles: true, cancelable: true}}));
        }}""",
        base64.b64encode((examples / "chelsea.jpg").read_bytes()).decode(),
    )
    page.locator(CAT).wait_for()


def phone_photo(path, side=(3000, 2000)):
    """Save a cat as a phone would: lying on its side, with the place where it was."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 12.0, 30.0)
    cat = Image.open("examples/chelsea.jpg").resize(side).transpose(Image.Transpose.ROTATE_90)
    cat.save(path, quality=90, exif=exif)
    return path


def sent(page):
    """Return the file that the server has of the photo on the page."""
    address = page.locator("#photo img").get_attribute("src")
    return Image.open(io.BytesIO(page.request.get(address).body()))


def test_a_phones_photo_is_made_smaller_and_leaves_the_place_in_the_browser(visit, predictor, tmp_path):
    page, photo = visit(), phone_photo(tmp_path / "IMG_1.jpg")
    show(page, photo)
    page.locator(CAT).wait_for()
    picture = sent(page)
    assert (picture.format, picture.size) == ("JPEG", (1536, 1024))
    assert not picture.getexif()
    (percent,) = re.findall(r"\d+", page.inner_text("#answer"))
    assert abs(int(percent) - 100 * predictor.predict(photo).probability) <= 2


@pytest.mark.parametrize("hides", [False, True])
def test_a_photo_goes_as_it_is_where_it_is_small_or_the_browser_hides_what_it_draws(visit, tmp_path, hides):
    page = visit()
    if hides:  # as Firefox does where it resists fingerprinting
        page.evaluate(
            "OffscreenCanvasRenderingContext2D.prototype.getImageData = () => ({ data: [7, 7, 7] })"
        )
    side = (3000, 2000) if hides else (1500, 1000)
    photo = phone_photo(tmp_path / "IMG_1.jpg", side)
    show(page, photo)
    page.locator(CAT).wait_for()
    assert sent(page).getexif()[ExifTags.Base.Orientation] == 6


def test_a_big_photo_that_is_cut_short_is_called_so(visit, tmp_path):
    page, photo = visit(), phone_photo(tmp_path / "IMG_1.jpg")
    photo.write_bytes(photo.read_bytes()[:200_000])
    show(page, photo)
    page.locator(REFUSED).wait_for()
    assert "cut short" in page.inner_text("#answer")


def test_a_photo_that_cannot_be_sent_is_said_in_words_and_can_be_sent_again(visit, examples):
    page = visit()
    page.context.set_offline(True)
    show(page, examples / "chelsea.jpg")
    page.get_by_text(words.NOT_REACHED).wait_for()
    page.context.set_offline(False)
    show(page, examples / "chelsea.jpg")
    page.locator(CAT).wait_for()


def test_a_heic_that_the_browser_can_draw_is_sent_as_a_jpeg(visit, tmp_path):
    """Chromium cannot draw any; it goes by what is in the file, and so here is a JPEG of that name."""
    page, photo = visit(), phone_photo(tmp_path / "IMG_1.jpg", (900, 600))
    heic = {"name": "IMG_1.HEIC", "mimeType": "image/heic", "buffer": photo.read_bytes()}
    page.set_input_files("#photo input[type=file]", heic)
    page.locator(CAT).wait_for()
    assert page.locator("#photo img").get_attribute("src").endswith("IMG_1.jpg")
    assert not sent(page).getexif()


def test_a_pasted_picture_gets_a_verdict(visit, examples, tmp_path):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    Image.open(examples / "chelsea.jpg").save(tmp_path / "cat.png")
    page.evaluate(
        f"""bytes => navigator.clipboard.write(
            [new ClipboardItem({{"image/png": new Blob([{BYTES}], {{type: "image/png"}})}})])""",
        base64.b64encode((tmp_path / "cat.png").read_bytes()).decode(),
    )
    page.get_by_label("Paste from clipboard").click()
    page.locator(CAT).wait_for()


@pytest.mark.parametrize(("name", "verdict"), [("chelsea.jpg", CAT), ("astronaut.jpg", OTHER)])
def test_the_webcam_gives_a_verdict(playwright, chromium, server, examples, tmp_path, name, verdict):
    video = tmp_path / "camera.mjpeg"
    video.write_bytes(_as_camera_frame(examples / name) * 30)
    page, browser = _with_camera(playwright, chromium, server, video)
    page.locator(verdict).wait_for()
    browser.close()


def test_the_webcam_picture_is_not_mirrored(playwright, chromium, server, tmp_path):
    frame = Image.new("RGB", (640, 480), "blue")
    frame.paste("red", (0, 0, 320, 480))
    encoded = io.BytesIO()
    frame.save(encoded, "JPEG")
    video = tmp_path / "camera.mjpeg"
    video.write_bytes(encoded.getvalue() * 30)
    page, browser = _with_camera(playwright, chromium, server, video)
    page.locator("#right:enabled").wait_for()
    picture = page.request.get(page.locator("#photo img").get_attribute("src")).body()
    red, _, blue = Image.open(io.BytesIO(picture)).convert("RGB").getpixel((100, 200))
    assert red > 200 > blue
    browser.close()


def _as_camera_frame(path):
    encoded = io.BytesIO()
    Image.open(path).resize((640, 480)).save(encoded, "JPEG", quality=95)
    return encoded.getvalue()


def _with_camera(playwright, chromium, server, video):
    camera = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
    )
    browser = playwright.chromium.launch(executable_path=chromium, args=(*QUIET, *camera))
    page = browser.new_context(permissions=["camera"]).new_page()
    page.goto(server.address)
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.get_by_label("capture photo").click()
    return page, browser
