"""Each corruption does what its name says, keeps the photo's size, and draws by the rng it is given."""

import numpy as np
import pytest
from PIL import Image

from train.data import corruptions

SIZE = (120, 90)
RED = Image.new("RGB", (50, 40), "red")


@pytest.fixture
def photo():
    """Detail all over: smooth colours under fine stripes."""
    rng = np.random.default_rng(1)
    smooth = Image.fromarray(rng.integers(40, 200, (5, 6, 3), dtype=np.uint8)).resize(SIZE)
    stripes = (np.arange(SIZE[0]) % 4 < 2)[None, :, None] * 40
    return Image.fromarray((np.asarray(smooth) + stripes).astype(np.uint8))


def seeded(seed=0):
    return np.random.default_rng(seed)


def array(image):
    return np.asarray(image, np.float32)


def detail(image):
    return float(np.abs(np.diff(array(image), axis=1)).mean())


EVERY = {
    "zoom_out": lambda p: corruptions.zoom_out(p, 0.4, (0.2, 0.9), RED),
    "zoom_out in itself": lambda p: corruptions.zoom_out(p, 0.4, (0.2, 0.9)),
    "crop": lambda p: corruptions.crop(p, 0.5, (1.0, 0.0)),
    "low_light": lambda p: corruptions.low_light(p, 0.3, 0.05, seeded()),
    "motion_blur": lambda p: corruptions.motion_blur(p, 0.1, 30),
    "defocus": lambda p: corruptions.defocus(p, 0.03),
    "webcam": lambda p: corruptions.webcam(p, 60, noise=0.03, cast=(0.9, 1.0, 1.1), quality=40, rng=seeded()),
    "jpeg": lambda p: corruptions.jpeg(p, 20),
    "vignette": lambda p: corruptions.vignette(p, 0.6),
    "rotate": lambda p: corruptions.rotate(p, 20),
    "rectangle": lambda p: corruptions.occlude(p, 0.3, "rectangle", seeded(), RED),
    "blobs": lambda p: corruptions.occlude(p, 0.3, "blobs", seeded()),
} | {
    f"filter {name}": lambda p, name=name: corruptions.colour_filter(p, name) for name in corruptions.FILTERS
}


@pytest.mark.parametrize("name", EVERY)
def test_each_changes_the_photo_and_keeps_its_size(photo, name):
    before = array(photo)
    changed = EVERY[name](photo)
    assert (changed.size, changed.mode) == (SIZE, "RGB")
    assert np.abs(array(changed) - before).mean() > 1
    np.testing.assert_array_equal(array(photo), before)
    np.testing.assert_array_equal(array(EVERY[name](photo)), array(changed))


@pytest.mark.parametrize("name", EVERY)
def test_each_works_on_the_smallest_and_on_narrow_photos(name):
    for size in ((16, 16), (16, 200), (200, 16)):
        assert EVERY[name](Image.new("RGB", size, "grey")).size == size


def test_zoom_out_lays_the_photo_where_it_is_told(photo):
    changed = array(corruptions.zoom_out(photo, 0.5, (1.0, 0.0), RED))
    np.testing.assert_array_equal(changed[:, :60], array(Image.new("RGB", (60, 90), "red")))
    np.testing.assert_array_equal(changed[45:], array(Image.new("RGB", (120, 45), "red")))
    expected = photo.resize((60, 45), Image.Resampling.BILINEAR)
    assert np.abs(changed[:45, 60:] - array(expected)).mean() < 6


def test_zoom_out_in_itself_has_smooth_surroundings_of_the_photos_colours(photo):
    changed = corruptions.zoom_out(photo, 0.3, (1.0, 1.0))
    assert detail(changed.crop((0, 0, 120, 60))) < 0.4 * detail(photo)
    plain = Image.new("RGB", SIZE, (10, 90, 200))
    np.testing.assert_array_equal(array(corruptions.zoom_out(plain, 0.3, (1.0, 1.0))), array(plain))


def test_crop_enlarges_the_corner_it_is_told(photo):
    changed = corruptions.crop(photo, 0.5, (1.0, 1.0))
    expected = photo.crop((60, 45, 120, 90)).resize(SIZE, Image.Resampling.BILINEAR)
    assert np.abs(array(changed) - array(expected)).mean() < 2


def test_low_light_is_dark_and_noisy(photo):
    dark = array(corruptions.low_light(photo, 0.25, 0.0, seeded()))
    noisy = array(corruptions.low_light(photo, 0.25, 0.05, seeded()))
    assert dark.mean() == pytest.approx(0.25 * array(photo).mean(), abs=1)
    assert 6 < (noisy - dark).std() < 13
    assert np.abs(array(corruptions.low_light(photo, 0.25, 0.05, seeded(1))) - noisy).mean() > 3


def test_motion_blurs_only_along_its_direction(photo):
    assert detail(corruptions.motion_blur(photo, 0.1, 0)) < 0.3 * detail(photo)
    assert detail(corruptions.motion_blur(photo, 0.1, 90)) > 0.9 * detail(photo)


def test_defocus_takes_detail_and_keeps_light(photo):
    blurred = corruptions.defocus(photo, 0.03)
    assert detail(blurred) < 0.3 * detail(photo)
    assert array(blurred).mean() == pytest.approx(array(photo).mean(), abs=1)


def test_a_webcam_has_few_pixels_and_a_cast(photo):
    frame = array(corruptions.webcam(photo, 30, noise=0.0, cast=(1.0, 0.8, 0.6), quality=90, rng=seeded()))
    assert detail(frame) < 0.5 * detail(photo)
    ratio = frame.mean((0, 1)) / array(photo).mean((0, 1))
    np.testing.assert_allclose(ratio, (1.0, 0.8, 0.6), atol=0.05)


def test_a_lower_jpeg_quality_costs_more(photo):
    loss = [np.abs(array(corruptions.jpeg(photo, quality)) - array(photo)).mean() for quality in (20, 60, 95)]
    assert loss[0] > loss[1] > loss[2]


def test_a_filter_of_no_strength_is_none_and_grey_is_grey(photo):
    for name in corruptions.FILTERS:
        np.testing.assert_array_equal(array(corruptions.colour_filter(photo, name, 0.0)), array(photo))
    grey = array(corruptions.colour_filter(photo, "grey"))
    assert np.ptp(grey, axis=2).max() <= 1
    assert array(corruptions.colour_filter(photo, "contrast")).std() > 1.3 * array(photo).std()


def test_a_vignette_darkens_corners_not_the_centre(photo):
    ratio = array(corruptions.vignette(photo, 0.8)) / (array(photo) + 1)
    assert ratio[40:50, 50:70].mean() > 0.9
    assert ratio[:5, :5].mean() < 0.45


def test_rotation_turns_the_centre_and_fills_the_corners_from_the_edge():
    pixels = np.full((100, 100, 3), 90, np.uint8)
    pixels[30:70, 48:52] = 255
    turned = array(corruptions.rotate(Image.fromarray(pixels), 90))
    assert turned[50, 35:65].min() > 250
    assert turned[35, 50].max() < 100
    assert array(corruptions.rotate(Image.fromarray(pixels), 33)).min() >= 90


@pytest.mark.parametrize("shape", ["rectangle", "blobs"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_occlusion_covers_the_share_it_is_told(shape, share):
    white = Image.new("RGB", (200, 150), "white")
    for seed in range(5):
        covered = array(corruptions.occlude(white, share, shape, seeded(seed), Image.new("RGB", (9, 9))))
        assert (covered[..., 0] == 0).mean() == pytest.approx(share, abs=0.01)


def test_empty_frames_are_all_different_and_have_little_detail():
    frames = [corruptions.empty_frame(SIZE, seeded(seed)) for seed in range(40)]
    lights = sorted(array(frame).mean() for frame in frames)
    assert lights[0] < 10
    assert lights[-1] > 130
    assert len({frame.tobytes() for frame in frames}) == 40
    assert max(detail(corruptions.defocus(frame, 0.03)) for frame in frames) < 4
