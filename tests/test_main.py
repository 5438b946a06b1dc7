"""What the test command runs, by its options."""

import pytest

from tests import __main__ as command


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


def test_without_options_everything_runs_and_the_image_is_left_to_its_own(ran):
    command.main([])
    assert ran[0] == ["browser"]
    assert [words[0] for words in ran[1:]] == ["ruff", "ruff", "pyright", "pytest"]
    assert "--containers" not in ran[-1]
