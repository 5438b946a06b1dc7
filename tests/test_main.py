"""What the test command runs, by its options."""

from types import SimpleNamespace

import pytest

from tests import __main__ as command
from tests import conftest


@pytest.fixture
def ran(monkeypatch) -> list[list[str]]:
    """The commands that would be run, without their first words; nothing is installed."""
    commands = []
    monkeypatch.setattr(command, "_install", lambda: 0)
    monkeypatch.setattr(command, "_get_browser", lambda: commands.append(["browser"]))
    monkeypatch.setattr(
        command, "_run", lambda *words: commands.append([str(word) for word in words[2:]]) or 0
    )
    return commands


def test_the_tests_of_the_image_run_alone_and_need_no_browser(ran):
    command.main(["--containers"])
    command.main(["--containers", "-k", "small"])
    image = ["pytest", "--containers", "tests/deploy/containers"]
    assert ran == [image, [*image, "-k", "small"]]


def test_without_options_all_but_the_slow_ones_run_and_the_image_is_left_to_its_own(ran, capsys):
    command.main([])
    assert ran[0] == ["browser"]
    assert [words[0] for words in ran[1:]] == ["ruff", "ruff", "pyright", "pytest"]
    assert ran[-1][1:] == ["-m", "not slow", *command.WORKERS]
    assert "`python3 -m tests --slow` runs them" in capsys.readouterr().out


def test_the_slow_ones_run_alone_or_those_of_them_that_options_choose(ran, capsys):
    command.main(["--slow"])
    command.main(["--slow", "-k", "small"])
    assert ran == [
        ["browser"],
        ["pytest", "-m", "slow", *command.WORKERS],
        ["browser"],
        ["pytest", "-m", "slow", "-k", "small"],
    ]
    assert not capsys.readouterr().out


def test_what_options_choose_runs_whether_it_is_slow_or_not(ran):
    command.main(["tests/test_line.py"])
    assert ran == [["browser"], ["pytest", "tests/test_line.py"]]


def test_the_longest_files_are_there_and_begin_first(request):
    assert all((command.ROOT / name).is_file() for name in conftest.LONGEST)
    last, first = (
        SimpleNamespace(path=command.ROOT / name, fixturenames=())
        for name in ("tests/test_main.py", conftest.LONGEST[0])
    )
    for item in (last, first):
        item.get_closest_marker = lambda _: None
    items = [last, first]
    conftest.pytest_collection_modifyitems(request.config, items)
    assert items == [first, last]


def test_pytest_alone_leaves_no_slow_test_out(request):
    """So a file by its name runs whole, and mutants meet all tests."""
    assert not [word for word in request.config.getini("addopts") if word.startswith("-m")]


def test_options_that_exclude_each_other_are_told_in_a_sentence(ran, capsys):
    assert command.main(["--slow", "--containers"]) == 2
    assert ran == []
    said = "Give one of --slow, --engines and --containers: each runs only its own tests.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("more", [[], ["--slow"]])
def test_without_a_browser_its_tests_are_left_out(ran, more):
    command.main(["--no-browser", *more])
    assert ["browser"] not in ran
    assert f"--ignore={command.BROWSER_TESTS}" in ran[-1]


def test_one_of_the_tools_that_fails_fails_the_command(ran, monkeypatch):
    monkeypatch.setattr(command, "_run", lambda *words: 3 if "pyright" in words else 0)
    assert command.main([]) == 3
    assert command.main(["--slow"]) == 0
