"""The engine for browsers without a browser: its modules in node, beside the Python that they repeat."""

import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cat_model import bundle, selftest
from cat_model.explain import grid, render
from cat_model.runtime import Runtime
from cat_model.settings import SHIPPED_BUNDLE
from web import build

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "data" / "old" / "bundle"
BROWSER = build.SOURCES.as_uri()


@pytest.fixture(scope="module")
def node():
    try:
        return build.find_node()
    except build.BuildError as error:
        pytest.skip(str(error))


@pytest.fixture
def javascript(node):
    """Run a module whose `input` is some bytes; it calls `give(bytes)`."""

    def run(module: str, given: bytes = b"", **names: object) -> bytes:
        constants = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in names.items())
        prelude = (
            'import { readFileSync, writeSync } from "node:fs";\n'
            "const input = new Uint8Array(readFileSync(0));\n"
            "const give = bytes => { for (let at = 0; at < bytes.length;) at += writeSync(1, bytes, at); };\n"
        )
        ended = subprocess.run(
            [node, "--input-type=module", "--eval", prelude + constants + module],
            input=given,
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout

    return run


def test_the_unit_tests_pass(node):
    tests = sorted((ROOT / "tests" / "web" / "browser").glob("*.test.mjs"))
    assert tests
    ended = subprocess.run(
        [node, "--test", *tests], capture_output=True, text=True, check=False, timeout=300, cwd=build.SOURCES
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_types_are_right(node):
    compiler = build.SOURCES / "node_modules" / "typescript" / "bin" / "tsc"
    if not compiler.exists():
        pytest.skip("The npm packages are not there: run `python -m web.build`.")
    ended = subprocess.run(
        [node, compiler, "-p", build.SOURCES], capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.returncode == 0, ended.stdout


SIZES = [(256, 256), (300, 200), (64, 900), (17, 2000), (1024, 768), (2304, 1537), (1999, 4001)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("side", [64, 256])
def test_the_resize_gives_pillows_bytes(javascript, size, side):
    rng = np.random.default_rng(size[0])
    pixels = rng.integers(0, 256, (size[1], size[0], 4), np.uint8)
    image = Image.fromarray(pixels[..., :3])
    parts = [(0.0, 0.0, 1.0, 1.0), (0.1, 0.23, 0.52, 0.65), (0.38, 0.0, 1.0, 0.62), (0.9, 0.9, 1.0, 1.0)]
    module = f"""
        import {{ cut }} from "{BROWSER}/cascade.js";
        for (const part of parts) give(cut({{ width, height, data: input }}, side, part));
    """
    given = {"width": size[0], "height": size[1], "side": side, "parts": parts}
    found = np.frombuffer(javascript(module, pixels.tobytes(), **given), np.uint8)
    from cat_model.cascade import cut

    expected = np.stack([cut(image, side, part) for part in parts])
    assert np.array_equal(found.reshape(expected.shape), expected)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_big_jpeg_shrinks_as_libjpeg_shrinks_it(javascript, orientation):
    from cat_model.photo import decode

    rows, columns = np.mgrid[0:523, 0:417]
    waves = [127 + 90 * np.sin(rows / 17 + columns / (9 + channel)) for channel in range(3)]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(np.stack(waves, -1).astype(np.uint8)).save(file, "JPEG", quality=95, exif=exif)
    whole, expected = decode(file.getvalue()), decode(file.getvalue(), at_least=200)
    module = f"""
        import {{ orientation }} from "{BROWSER}/exif.js";
        import {{ shrink }} from "{BROWSER}/photo.js";
        const file = input.subarray(0, length), data = input.subarray(length);
        const small = shrink({{ width, height, data }}, 200, orientation(file));
        if (small.width !== expected[0] || small.height !== expected[1]) throw new Error(`${{small.width}}`);
        give(small.data);
    """
    names = {"length": len(file.getvalue()), "width": whole.width, "height": whole.height}
    said = javascript(module, file.getvalue() + whole.tobytes(), **names, expected=expected.size)
    apart = np.abs(np.frombuffer(said, np.uint8).astype(int) - np.asarray(expected).ravel())
    assert apart.mean() < 0.8
    assert np.quantile(apart, 0.99) <= 3


def test_the_self_test_draws_the_same_pictures(javascript):
    module = f"""
        import {{ draw }} from "{BROWSER}/selftest.js";
        for (const picture of [0, 22, 63]) give(draw(picture, 250));
    """
    found = np.frombuffer(javascript(module), np.uint8).reshape(3, 250, 250, 3)
    assert np.array_equal(found, np.concatenate([selftest.draw(picture, 250) for picture in (0, 22, 63)]))


@pytest.mark.parametrize("part", [(0.0, 0.0, 1.0, 1.0), (0.2, 0.5, 0.62, 0.92)])
def test_values_and_their_colours_are_those_of_explanations(javascript, part):
    share = np.random.default_rng(3).normal(size=(16, 16)).astype(np.float32)
    module = f"""
        import {{ heat, spread }} from "{BROWSER}/overlay.js";
        const data = new Float32Array(input.buffer, input.byteOffset, 256);
        const values = spread({{ height: 16, width: 16, data }}, part);
        give(new Uint8Array(values.buffer));
        give(heat(values).data);
    """
    said = javascript(module, share.tobytes(), part=part)
    cells = grid.GRID**2
    values = np.frombuffer(said[: 8 * cells]).reshape(grid.GRID, grid.GRID)
    expected = grid.spread(share.astype(np.float64), part)
    assert values == pytest.approx(expected, abs=1e-9)
    colours = np.asarray(render.heat(expected)).astype(int)
    found = np.frombuffer(said[8 * cells :], np.uint8).reshape(colours.shape).astype(int)
    assert np.abs(found[..., 3] - colours[..., 3]).max() <= 1
    shown = colours[..., 3] > 0
    assert np.array_equal(found[shown], colours[shown]) or np.abs(found - colours)[shown].max() <= 1


@pytest.mark.parametrize("folder", [SHIPPED_BUNDLE, OLD], ids=["shipped", "old"])
def test_a_model_with_known_sizes_answers_as_before(javascript, folder):
    model = (folder / bundle.MODEL).read_bytes()
    module = f"""
        import {{ withKnownShapes }} from "{BROWSER}/tflite.js";
        give(withKnownShapes(input));
    """
    known = javascript(module, model)
    assert len(known) == len(model)
    before, after = Runtime(model), Runtime(known)
    pixels = selftest.draw(5, before.side)
    assert np.array_equal(before.run(pixels).share, after.run(pixels).share)
