"""What deploy/desktop.spec builds: its program as a script, and the packages that the specification names."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments):
    """Run the program, without a screen."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")
    }
    return subprocess.run(
        [sys.executable, "-m", "deploy.desktop", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_with_arguments_it_is_the_terminal_command(examples):
    ended = run(examples / "chelsea.jpg")
    assert ended.returncode == 0
    assert ": cat (" in ended.stdout


def test_without_arguments_it_is_the_window():
    ended = run()
    assert (ended.returncode, ended.stderr) == (
        1,
        "There is no screen to open a window on; `are-you-a-cat serve` needs none.\n",
    )


def test_the_specification_names_packages_and_files_that_are_there():
    """PyInstaller passes over what it does not find, and the program would lack it."""
    tree = ast.parse((ROOT / "deploy" / "desktop.spec").read_text("utf-8"))
    lists = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("AS_SOURCE", "DATA", "BINARIES", "HIDDEN")
    }
    assert set(lists) == {"AS_SOURCE", "DATA", "BINARIES", "HIDDEN"}
    for name in {each for names in lists.values() for each in names}:
        package, *below = name.split(".")
        spec = importlib.util.find_spec(package)  # of the package alone: to look below it would import it
        assert spec and spec.origin, name
        assert Path(spec.origin).parent.joinpath(*below).is_dir(), name
    for path in ("deploy/desktop.py", "cat_model/bundle", "examples"):
        assert (ROOT / path).exists()
