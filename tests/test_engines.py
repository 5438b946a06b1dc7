"""Environments of engines are made once for each set of pins, and tests know whether they are there."""

import pytest

from tests import __main__ as command
from tests import engines


@pytest.fixture
def pins(tmp_path):
    folder = tmp_path / "pins"
    folder.mkdir()
    (folder / "requirements-empty.txt").write_text("# nothing\n")
    (folder / "other.txt").write_text("")
    return folder


def test_each_file_of_pins_is_an_engine(pins):
    assert engines.names(pins) == ["empty"]
    assert "kserve" in engines.names()


def test_an_environment_is_made_once_and_anew_when_its_pins_change(pins, tmp_path, monkeypatch):
    made, folder = [], tmp_path / "environments"
    create = engines.venv.create
    monkeypatch.setattr(engines.venv, "create", lambda *a, **n: made.append(a) or create(*a, **n))
    assert engines.make("empty", folder, pins) == engines.make("empty", folder, pins) == 0
    assert made == [(folder / "empty",)]
    (folder / "empty" / "left").write_text("over")
    (pins / "requirements-empty.txt").write_text("# something else\n")
    assert engines.make("empty", folder, pins) == 0
    assert len(made) == 2 and not (folder / "empty" / "left").exists()


def test_pins_that_cannot_be_installed_make_no_environment(pins, tmp_path, capfd):
    (pins / "requirements-empty.txt").write_text("./no-such-package\n")
    assert engines.make("empty", tmp_path, pins) != 0
    assert not (tmp_path / "empty" / "installed.txt").exists()


def test_a_test_without_its_environment_is_skipped_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "FOLDER", tmp_path)
    with pytest.raises(pytest.skip.Exception, match="python -m tests --engines"):
        engines.require("kserve")


def test_the_option_makes_them_and_is_not_handed_to_pytest(monkeypatch):
    ran, made = [], []
    monkeypatch.setattr(command, "_install", lambda: 0)
    monkeypatch.setattr(command, "_get_browser", lambda: made.append("browser"))
    monkeypatch.setattr(command.engines, "main", lambda: made.append("engines"))
    monkeypatch.setattr(command, "_run", lambda *given: ran.append(given) or 0)
    assert command.main(["--engines", "--no-browser", "-k", "x"]) == 0
    assert made == ["engines"]
    assert "--engines" not in ran[-1] and ran[-1][-2:] == ("-k", "x")
    command.main(["-k", "x"])
    assert made == ["engines", "browser"]
