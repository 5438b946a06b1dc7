"""The interpreter: other models are refused in words, and threads and batches do not change an answer."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cat_model import runtime
from cat_model.photo import decode, resize
from cat_model.runtime import OUTPUTS, ModelError, Runtime

STEP = 1 / 256
"""One step of the int8 probability; kernels for one photo and for many may round differently."""


@pytest.fixture(scope="module")
def one(predictor):
    """A runtime of its own with one interpreter, because these tests compare its batch sizes."""
    return Runtime(predictor.bundle.model)


@pytest.fixture(scope="module")
def pixels(examples, one):
    """Six different squares: the examples, and the examples mirrored."""
    squares = [resize(decode(path), one.side) for path in sorted(examples.glob("*.jpg"))]
    return np.stack(squares + [square[:, ::-1] for square in squares])


def test_outputs_have_their_shapes_types_and_range(one, pixels):
    outputs = one.run(pixels)
    assert outputs.probability.shape == (6,)
    assert outputs.embedding.shape[0] == outputs.share.shape[0] == 6
    assert (outputs.embedding.ndim, outputs.share.ndim) == (2, 3)
    for name in OUTPUTS:
        values = getattr(outputs, name)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert np.ptp(values) > 0
    assert (outputs.probability >= 0).all()
    assert (outputs.probability <= 1).all()


def test_batches_answer_as_single_photos_do(one, pixels):
    singles = [one.run(pixels[i : i + 1]) for i in range(6)]
    for size in (2, 5, 6, 1, 3):  # up and down again: each change re-shapes the interpreter
        batch = one.run(pixels[:size])
        for row in range(size):
            assert abs(batch.probability[row] - singles[row].probability[0]) <= STEP
            share = singles[row].share[0]
            assert np.abs(batch.share[row] - share).max() <= np.ptp(share) / 32


def test_an_answer_stays_when_the_next_one_comes(one, pixels):
    first = one.run(pixels[:1])
    kept = {name: getattr(first, name).copy() for name in OUTPUTS}
    one.run(pixels[1:2])
    for name in OUTPUTS:
        assert np.array_equal(getattr(first, name), kept[name])


@pytest.mark.parametrize("workers", [1, 3])
def test_many_threads_get_the_answers_of_one(predictor, pixels, workers):
    shared = Runtime(predictor.bundle.model, workers)
    chosen = [
        (i % 6, 1 + i % 2) for i in range(48)
    ]  # batches of one and two: threads re-shape for each other

    def judge(start_and_size):
        start, size = start_and_size
        return shared.run(np.take(pixels, range(start, start + size), axis=0, mode="wrap")).probability

    alone = [judge(each) for each in chosen]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(judge, chosen))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_no_more_batches_run_at_once_than_there_are_workers(predictor, pixels, monkeypatch):
    running, most, interpreters = [], [], set()
    run = runtime._Interpreter.run

    def counted(self, batch):
        running.append(self)
        most.append(len(running))
        assert len(set(running)) == len(running)  # the same interpreter is never in two threads
        interpreters.add(self)
        try:
            return run(self, batch)
        finally:
            running.remove(self)

    monkeypatch.setattr(runtime._Interpreter, "run", counted)
    shared = Runtime(predictor.bundle.model, workers=2)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: shared.run(pixels[i % 6 : i % 6 + 1]), range(24)))
    assert max(most) <= 2
    assert len(interpreters) <= 2


def test_a_failed_batch_gives_its_interpreter_back(predictor, pixels, monkeypatch):
    shared = Runtime(predictor.bundle.model)
    with monkeypatch.context() as broken, pytest.raises(RuntimeError, match="invoke"):
        broken.setattr(runtime._Interpreter, "run", lambda *_: (_ for _ in ()).throw(RuntimeError("invoke")))
        shared.run(pixels[:1])
    assert shared._idle.qsize() == 1
    assert shared.run(pixels[:1]).probability.shape == (1,)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda right: right[0],
        lambda right: right[:0],
        lambda right: right[:, :32, :32],
        lambda right: right[:, :, :-1],
        lambda right: np.concatenate([right, right], axis=3),
        lambda right: right.astype(np.float32),
    ],
)
def test_other_arrays_are_refused(one, pixels, wrong):
    with pytest.raises(ValueError, match=r"expected \(N"):
        one.run(wrong(pixels))


@pytest.mark.parametrize(
    "model", [b"", b"random bytes" * 999, b"\x1c\0\0\0TFL3" + bytes(99), b"\x1c\0\0\0TFL3"]
)
def test_bytes_that_are_no_model_are_refused(model):
    with pytest.raises(ModelError, match="not a model that can be served"):
        Runtime(model)


def test_half_a_model_is_refused(predictor):
    model = predictor.bundle.model
    with pytest.raises(ModelError, match="not a model that can be served"):
        Runtime(model[: len(model) // 2])


def test_another_classifier_is_refused(shared_part):
    model = shared_part("peers/imagenet_mobilenet_v2_1.0_224_int8.tflite").read_bytes()
    with pytest.raises(ModelError, match="model"):
        Runtime(model)


def stand_in(shape=(1, 224, 224, 3), dtype=np.uint8, outputs=OUTPUTS, output_dtype=np.float32, inputs=1):
    """An interpreter class whose model has these inputs and outputs."""

    class StandIn:
        def __init__(self, model_content, num_threads):
            pass

        def allocate_tensors(self):
            pass

        def get_signature_runner(self):
            return self

        def get_input_details(self):
            return {f"in{i}": {"shape": np.array(shape), "dtype": dtype, "index": i} for i in range(inputs)}

        def get_output_details(self):
            return {name: {"dtype": output_dtype, "index": i} for i, name in enumerate(outputs)}

    return StandIn


@pytest.mark.parametrize(
    ("differs", "words"),
    [
        ({"outputs": ("probability",)}, r"outputs are \['probability'\]"),
        ({"outputs": (*OUTPUTS, "more")}, "'more'"),
        ({"output_dtype": np.int8}, "'probability': 'int8'"),
        ({"inputs": 2}, "2 inputs"),
        ({"dtype": np.int8}, r"\(1, 224, 224, 3\) of int8"),
        ({"dtype": np.float32}, "of float32"),
        ({"shape": (1, 224, 200, 3)}, r"\(1, 224, 200, 3\) of uint8"),
        ({"shape": (1, 224, 224, 1)}, r"\(1, 224, 224, 1\)"),
        ({"shape": (1, 150528)}, r"\(1, 150528\)"),
    ],
)
def test_a_model_of_another_form_is_refused_with_what_differs(monkeypatch, differs, words):
    monkeypatch.setattr(runtime, "_interpreter_class", stand_in)
    assert Runtime(b"").side == 224
    monkeypatch.setattr(runtime, "_interpreter_class", lambda: stand_in(**differs))
    with pytest.raises(ModelError, match=words):
        Runtime(b"")
