"""Environments of engines are made once for each set of pins, and tests know whether they are there."""

import pytest

from tests import __main__ as command
from tests import engines


@pytest.fixture
def pins(tmp_path, monkeypatch):
    """The pins of one engine that needs nothing; environments are made in a folder of the test."""
    path = tmp_path / "pins" / "requirements.txt"
    path.parent.mkdir()
    path.write_text("# nothing\n")
    monkeypatch.setattr(engines, "PINS", {"empty": path})
    monkeypatch.setattr(engines, "FOLDER", tmp_path / "environments")
    return path


def test_the_pins_of_each_engine_are_there():
    assert [path for path in engines.PINS.values() if "--hash=" not in path.read_text("utf-8")] == []
    assert [each for each in engines.INSIDE.values() if not (engines.ROOT / each).is_file()] == []


def test_an_environment_is_made_once_and_anew_when_its_pins_change(pins, monkeypatch):
    made = []
    create = engines.venv.create
    monkeypatch.setattr(engines.venv, "create", lambda *a, **n: made.append(a) or create(*a, **n))
    assert engines.make_all() == engines.make_all() == 0
    assert made == [(engines.FOLDER / "empty",)]
    (engines.FOLDER / "empty" / "left").write_text("over")
    pins.write_text("# something else\n")
    assert engines.make_all() == 0
    assert len(made) == 2 and not (engines.FOLDER / "empty" / "left").exists()
    assert engines.require("empty").is_file()


@pytest.mark.slow
def test_pins_that_cannot_be_installed_make_no_environment(pins, capfd):
    pins.write_text("./no-such-package\n")
    assert engines.make_all() == 1
    assert "skipped: empty" in capfd.readouterr().err
    assert not engines.is_made("empty")


def test_a_test_without_its_environment_is_skipped_with_the_command(pins):
    with pytest.raises(pytest.skip.Exception, match="python -m tests --engines"):
        engines.require("empty")


@pytest.fixture
def ran(monkeypatch):
    """What the test command runs, where only the environment of Ray is there."""
    ran = []
    monkeypatch.setattr(command, "_install", lambda: 0)
    monkeypatch.setattr(command, "_get_browser", lambda: ran.append("browser"))
    monkeypatch.setattr(command.engines, "make_all", lambda: ran.append("engines"))
    monkeypatch.setattr(command.engines, "is_made", lambda name: name == "ray")
    monkeypatch.setattr(command, "_run", lambda *given: ran.append(given) or 0)
    return ran


def test_the_option_makes_them_and_runs_their_tests_alone(ran):
    assert command.main(["--engines", "-x"]) == 0
    made, outside, inside = ran
    assert made == "engines"
    assert outside == (command.PYTHON, "-m", "pytest", "-m", "engines", "-x")
    assert inside == (engines.python("ray"), "-m", "pytest", "-m", "engines", engines.INSIDE["ray"], "-x")


def test_a_file_is_run_in_one_environment_only(ran):
    ray, other = engines.INSIDE["ray"], "tests/test_engines.py::test_x"
    command.main(["--engines", other, "-q"])
    assert ran[1:] == [(command.PYTHON, "-m", "pytest", "-m", "engines", other, "-q")]
    ran.clear()
    command.main(["--engines", ray, "-q"])
    assert ran[2] == (engines.python("ray"), "-m", "pytest", "-m", "engines", ray, "-q")


@pytest.mark.parametrize(("codes", "code"), [((0, 5), 0), ((5, 0), 0), ((5, 5), 5), ((5, 1), 1), ((1, 0), 1)])
def test_where_only_one_environment_has_the_test_that_one_counts(ran, monkeypatch, codes, code):
    left = list(codes)
    monkeypatch.setattr(command, "_run", lambda *_: left.pop(0))
    assert command.main(["--engines", "-k", "x"]) == code


def test_without_the_option_none_is_made(ran):
    command.main(["-k", "x"])
    assert ran == ["browser", (command.PYTHON, "-m", "pytest", "-k", "x")]
