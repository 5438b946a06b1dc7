"""How a photo comes to the page: by example, drag, paste or webcam, and smaller than a phone took it."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import ExifTags, Image
from playwright.sync_api import expect

import cat_model
from tests.app.conftest import QUIET, WITHOUT_ENGINE, camera_arguments, film_of
from tests.app.visiting import CAT, OTHER, REFUSED, example, show
from tests.image_files import encoded
from web import text

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
@pytest.mark.slow
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


@pytest.mark.slow
def test_a_big_photo_that_is_cut_short_is_called_so(visit, tmp_path):
    page, photo = visit(), phone_photo(tmp_path / "IMG_1.jpg")
    photo.write_bytes(photo.read_bytes()[:200_000])
    show(page, photo)
    page.locator(REFUSED).wait_for()
    assert "cut short" in page.inner_text("#answer")


def test_a_photo_that_cannot_be_sent_is_said_in_words_and_can_be_sent_again(visit, examples):
    page = visit()
    page.locator("#thorough input").wait_for()  # what the page asks for by itself has been answered
    page.context.set_offline(True)
    show(page, examples / "chelsea.jpg")
    page.get_by_text(text.NOT_REACHED).wait_for()
    page.context.set_offline(False)
    show(page, examples / "chelsea.jpg")
    page.locator(CAT).wait_for()


@pytest.mark.slow
def test_a_heic_that_the_browser_can_draw_is_sent_as_a_jpeg(visit, tmp_path):
    """Chromium cannot draw any; it goes by what is in the file, and so here is a JPEG of that name."""
    page, photo = visit(), phone_photo(tmp_path / "IMG_1.jpg", (900, 600))
    heic = {"name": "IMG_1.HEIC", "mimeType": "image/heic", "buffer": photo.read_bytes()}
    page.set_input_files("#photo input[type=file]", heic)
    page.locator(CAT).wait_for()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile(r"IMG_1\.jpg$"))
    assert not sent(page).getexif()


def test_a_heic_that_the_browser_cannot_draw_is_read_by_the_server(visit, examples):
    page = visit()
    photo = encoded(Image.open(examples / "chelsea.jpg"), "HEIC", tile_size=128)
    heic = {"name": "IMG_2.HEIC", "mimeType": "image/heic", "buffer": photo}
    page.set_input_files("#photo input[type=file]", heic)
    page.locator(CAT).wait_for()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile(r"IMG_2\.HEIC$"))


@pytest.mark.slow
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


def test_a_picture_is_pasted_by_the_keyboard_without_permission(visit, examples):
    page = visit()
    page.evaluate(
        f"""bytes => {{
            const data = new DataTransfer();
            data.items.add(new File([{BYTES}], "image.jpg", {{type: "image/jpeg"}}));
            document.body.dispatchEvent(new ClipboardEvent("paste", {{clipboardData: data, bubbles: true}}));
        }}""",
        base64.b64encode((examples / "chelsea.jpg").read_bytes()).decode(),
    )
    page.locator(CAT).wait_for()


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize(("name", "kind"), [("IMG_1.HEIC", ""), ("photo.pdf", "application/pdf")])
def test_the_server_says_what_a_file_is_whatever_the_browser_takes_it_for(
    visit, examples, predictor, name, kind, drops
):
    heic = encoded(Image.open(examples / "chelsea.jpg"), "HEIC", tile_size=128)
    content = heic if name.endswith("HEIC") else b"%PDF-1.7\n" + bytes(500)
    page = visit()
    example(page, "A cup of coffee")
    page.locator(OTHER).wait_for()
    if drops:  # on a photo that is there
        page.evaluate(
            f"""([bytes, name, type]) => {{
                const data = new DataTransfer();
                data.items.add(new File([{BYTES}], name, {{type}}));
                document.querySelector("#photo .image-frame").dispatchEvent(
                    new DragEvent("drop", {{dataTransfer: data, bubbles: true, cancelable: true}}));
            }}""",
            [base64.b64encode(content).decode(), name, kind],
        )
    else:
        page.get_by_label("Remove Image").click()
        page.set_input_files("#photo input[type=file]", {"name": name, "mimeType": kind, "buffer": content})
    if name.endswith("HEIC"):
        page.locator(CAT).wait_for()
        return
    with pytest.raises(cat_model.PhotoError) as refusal:
        predictor.predict(content)
    expect(page.locator(REFUSED)).to_contain_text(str(refusal.value))


def noise(side, form):
    """A file of noise, which no format makes small."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


@pytest.mark.slow
def test_a_file_beyond_the_limit_is_made_smaller_before_it_is_held_to_it(visit):
    page, content = visit(), noise(2700, "BMP")
    assert len(content) > 20_000_000
    page.set_input_files(
        "#photo input[type=file]", {"name": "a.bmp", "mimeType": "image/bmp", "buffer": content}
    )
    page.locator(".verdict:is(.cat, .other, .unsure)").wait_for()
    picture = sent(page)
    assert (picture.format, picture.size) == ("JPEG", (1024, 1024))


@pytest.mark.slow
def test_a_file_beyond_the_limit_that_cannot_be_made_smaller_is_refused_in_the_unit_of_the_docs(visit):
    page, asked = visit(), []
    page.on("request", lambda request: asked.append(request.url))
    page.set_input_files(
        "#photo input[type=file]", {"name": "a.mov", "mimeType": "video/mp4", "buffer": bytes(21_000_000)}
    )
    expect(page.locator("#lost .verdict")).to_contain_text("This file has 21 MB. I take up to 20 MB.")
    assert not page.locator("#lost .again").count()
    assert not [each for each in asked if "/upload?" in each]


IN_PIECES = """
const whole = window.fetch;
window.fetch = async (address, request) => {
    const answer = await whole(address, request);
    if (!/queue.data/.test(address.url ?? address)) return answer;
    const late = new TransformStream({ async transform(piece, out) {
        for (const message of piece.split(/(?<=\\n\\n)/)) {
            out.enqueue(message);
            await new Promise(resolve => setTimeout(resolve, 900));
        }
    } });
    const coder = new TextEncoderStream();
    const body = answer.body.pipeThrough(new TextDecoderStream()).pipeThrough(late).pipeThrough(coder);
    return new Response(body, { headers: answer.headers });
};
"""


@pytest.mark.slow
def test_a_lone_visitor_on_a_slow_line_is_told_of_no_others(visit, tmp_path):
    """Words and progress come late and in pieces; whoever is alone is never said to wait for others."""
    page, photo = visit(script=IN_PIECES, own=True), phone_photo(tmp_path / "IMG_1.jpg")
    page.evaluate(
        """() => {
            window.said = new Set();
            const said = () => document.body.innerText.match(/.*before you.*/)?.[0] ?? "";
            new MutationObserver(() => window.said.add(said()))
                .observe(document.body, {subtree: true, childList: true, characterData: true});
        }"""
    )
    line = page.context.new_cdp_session(page)
    line.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 700, "downloadThroughput": 50_000, "uploadThroughput": 100_000},
    )
    show(page, photo)
    page.locator(CAT).wait_for(timeout=60_000)
    assert page.evaluate("[...window.said]") in ([""], [])


NO_CAMERA = """
navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "{error}"));
"""


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (NO_CAMERA.replace("{error}", "NotAllowedError"), "denied"),
        (NO_CAMERA.replace("{error}", "NotFoundError"), "none"),
        (NO_CAMERA.replace("{error}", "NotReadableError"), "used"),
    ],
)
@pytest.mark.slow
def test_why_there_is_no_camera_is_said_in_its_place(visit, script, why):
    page = visit(script=script)
    page.get_by_label("Capture from camera").click()
    page.locator("#photo").get_by_text("Click to Access Webcam").click()
    expect(page.locator("#photo > .unusable")).to_have_text(text.CAMERA[why])
    page.get_by_role("tab", name="Live").click()
    page.locator("#camera").get_by_text("Click to Access Webcam").click()
    expect(page.locator("#camera > .unusable")).to_have_text(text.CAMERA[why])


@pytest.mark.slow
def test_a_page_without_https_says_why_there_is_neither_camera_nor_clipboard(playwright, chromium, server):
    name = (
        "--host-resolver-rules=MAP cat.example 127.0.0.1"  # which browsers do not trust as they do 127.0.0.1
    )
    browser = playwright.chromium.launch(executable_path=chromium, args=(*QUIET, name))
    page = browser.new_page()
    page.add_init_script(WITHOUT_ENGINE)
    page.goto(server.address.replace("127.0.0.1", "cat.example"))
    page.get_by_label("Capture from camera").click()
    page.locator("#photo").get_by_text("Click to Access Webcam").click()
    expect(page.locator("#photo > .unusable")).to_have_text(text.CAMERA["insecure"])
    page.get_by_label("Paste from clipboard").click()
    expect(page.locator("#photo > .unusable")).to_have_text(text.PASTE["insecure"])
    page.get_by_role("tab", name="Live").click()
    page.locator("#camera").get_by_text("Click to Access Webcam").click()
    expect(page.locator("#camera > .unusable")).to_have_text(text.CAMERA["insecure"])
    browser.close()


def test_a_camera_that_the_browser_denies_is_said_to_be_denied(visit):
    page = visit()  # a browser without a head denies what nobody allowed
    page.get_by_label("Capture from camera").click()
    page.locator("#photo").get_by_text("Click to Access Webcam").click()
    expect(page.locator("#photo > .unusable")).to_be_visible()
    page.get_by_label("Upload file").click()
    expect(page.locator("#photo > .unusable")).to_have_count(0)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (
            "navigator.clipboard.read = () => Promise.reject(new DOMException('', 'NotAllowedError'));",
            "denied",
        ),
        ("navigator.clipboard.read = async () => [{types: ['text/plain']}];", "none"),
    ],
)
@pytest.mark.slow
def test_why_nothing_is_pasted_is_said_in_its_place(visit, script, why):
    page = visit(script=script)
    page.get_by_label("Paste from clipboard").click()
    expect(page.locator("#photo > .unusable")).to_have_text(text.PASTE[why])


@pytest.mark.parametrize(("name", "verdict"), [("chelsea.jpg", CAT), ("astronaut.jpg", OTHER)])
def test_the_webcam_gives_a_verdict(playwright, chromium, server, examples, tmp_path, name, verdict):
    video = film_of(examples / name, tmp_path / "camera.mjpeg")
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


def _with_camera(playwright, chromium, server, video):
    browser = playwright.chromium.launch(executable_path=chromium, args=camera_arguments(video))
    page = browser.new_context(permissions=["camera"]).new_page()
    page.add_init_script(WITHOUT_ENGINE)
    page.goto(server.address)
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.get_by_label("capture photo").click()
    return page, browser
