"""The shipped bundle answers the same in every interpreter that may serve it.

tflite-runtime needs Python 3.11 and NumPy 1, so it gets an environment of its own, made
once: `.cache/tflite`.
"""

import json
import shutil
import subprocess
import sys
import venv
from functools import partial
from pathlib import Path

import pytest

from cat_model import Predictor, runtime
from cat_model.bundle import Bundle
from cat_model.photo import SUFFIXES

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".cache" / "tflite"
PACKAGES = ("tflite-runtime==2.14.0", "numpy<2", "pillow")
EVERY = 30
"""One photo in so many is asked about: all of them take minutes in tflite-runtime."""
CLOSE, FAR = 0.02, 0.03
"""XNNPACK rounds otherwise than the plain kernels, the only ones that tflite-runtime has for int8. Of 1694
wild photos its answers were more than 0.02 away in 1.5 %, more than 0.1 in three, where rounding decides
whether there are zooms; is_cat was the same for all, and 0.5 % had another label. LiteRT's own plain
kernels are held to CLOSE for every photo that is asked about."""


@pytest.fixture(scope="session")
def old_python() -> Path:
    """A Python 3.11 with tflite-runtime 2.14.0, or a skip that says why there is none."""
    python, done = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "installed.json"
    if done.exists() and json.loads(done.read_text()) == list(PACKAGES):
        return python
    if sys.platform != "linux":
        pytest.skip("tflite-runtime 2.14.0 has wheels for Linux only.")
    base = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
    if not base:
        pytest.skip("tflite-runtime 2.14.0 needs Python 3.11: there is no python3.11 here.")
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    if base == sys.executable:
        venv.create(ENVIRONMENT, with_pip=True)
    else:
        subprocess.run([base, "-m", "venv", ENVIRONMENT], check=True)
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *PACKAGES],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"tflite-runtime 2.14.0 cannot be had: {installed.stderr.strip().splitlines()[-1]}")
    done.write_text(json.dumps(PACKAGES))
    return python


@pytest.fixture(scope="session")
def photos(request, examples) -> list[Path]:
    """Photos that nothing was trained on, where there are any, and the examples."""
    ours = sorted(examples.glob("*.jpg"))
    try:
        wild = request.getfixturevalue("shared_part")("photos/wild")
    except pytest.skip.Exception:
        return ours
    return ours + sorted(path for path in wild.rglob("*") if path.suffix in SUFFIXES)[::EVERY]


@pytest.fixture(scope="session")
def answers(photos):
    return [Predictor(Bundle.read()).predict(photo) for photo in photos]


def assert_same(answers, others):
    """What is a cat is the same; all but a few probabilities are close, all but a few labels the same."""
    assert len(answers) == len(others) > 2
    pairs = list(zip(answers, others, strict=True))
    assert [ours.is_cat for ours, _ in pairs] == [theirs["is_cat"] for _, theirs in pairs]
    assert {theirs["model_version"] for _, theirs in pairs} == {Bundle.read().version}
    apart = [ours for ours, theirs in pairs if abs(ours.probability - theirs["probability"]) > CLOSE]
    assert len(apart) <= FAR * len(pairs) + 1
    assert sum(ours.label != theirs["label"] for ours, theirs in pairs) <= FAR * len(pairs) + 1


def test_tensorflows_interpreter_answers_the_same(photos, answers, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(runtime, "_interpreter_class", lambda: tf.lite.Interpreter)
    theirs = Predictor(Bundle.read())
    assert type(theirs.cascade.runtime._idle.queue[0]._tflite) is tf.lite.Interpreter
    assert_same(answers, [vars(theirs.predict(photo)) for photo in photos])


@pytest.fixture(scope="session")
def plain_answers(photos):
    """What LiteRT answers by its plain kernels, without XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with pytest.MonkeyPatch.context() as patch:
        made = partial(Interpreter, experimental_op_resolver_type=plain)
        patch.setattr(runtime, "_interpreter_class", lambda: made)
        theirs = Predictor(Bundle.read())
    return [theirs.predict(photo) for photo in photos]


@pytest.mark.slow
def test_tflite_runtime_answers_the_same(old_python, photos, answers, plain_answers):
    imported = "import tflite_runtime, numpy, sys; sys.exit(numpy.__version__ >= '2')"
    assert subprocess.run([old_python, "-c", imported], check=False).returncode == 0
    asked = [old_python, "-m", "cat_model", "--json", *photos]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    theirs = [json.loads(line) for line in said.stdout.splitlines()]
    assert_same(answers, theirs)
    for plain, old in zip(plain_answers, theirs, strict=True):
        assert abs(plain.probability - old["probability"]) <= CLOSE
