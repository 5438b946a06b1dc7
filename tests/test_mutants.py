"""The mutation tester changes what runs, at places that a seed chooses, and sees what the tests notice."""

import ast
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from tests import mutants
from tests.mutants import Mutant

SOURCE = '''"""A module – with a dash."""


def grade(points: int | None, *, log: list) -> str | None:
    log.append("é"); seen: int | None = points
    if points is None:
        return None
    return "good" if points >= 5 else "bad"
'''
TEST = """from code import grade


def test_grade():
    assert [grade(points, log=[]) for points in (4, 5)] == ["bad", "good"]
"""


def test_mutants_change_what_runs_and_nothing_else():
    changed = [
        text for changes in mutants.candidates(SOURCE).values() for change in changes if (text := change())
    ]
    bodies = {ast.unparse(ast.parse(text)) for text in changed}
    original = ast.unparse(ast.parse(SOURCE))
    for before, after in (
        ("points >= 5", "points > 5"),
        ("points >= 5", "points >= 6"),
        ("points >= 5", "points >= 4"),
        ("points is None:", "points is not None:"),
        ("log.append('é')", "pass"),
        ("return 'good' if points >= 5 else 'bad'", "return None"),
    ):
        assert original.replace(before, after) in bodies, after
    assert original not in bodies
    for text in changed:
        signature = ast.unparse(ast.parse(text).body[1].args)
        assert signature == "points: int | None, *, log: list", text


def test_a_seed_chooses_places_each_at_most_once(tmp_path):
    (tmp_path / "code.py").write_text(SOURCE, "utf-8")
    first, again, other = (
        mutants.sample([Path("code.py")], 3, random.Random(seed), tmp_path) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert len(first) == 3
    everywhere = mutants.sample([Path("code.py")], 1000, random.Random(1), tmp_path)
    assert len({each.after for each in everywhere}) == len(everywhere) == len(mutants.candidates(SOURCE))
    for each in everywhere:
        assert ast.dump(ast.parse(each.after)) != ast.dump(ast.parse(SOURCE))


@pytest.mark.parametrize(
    ("before", "after", "noticed"),
    [(">= 5", "> 5", True), (">= 5", ">= 4", True), ('log.append("é")', "pass", False)],
)
def test_a_mutant_is_noticed_if_a_test_fails_and_then_it_is_gone(tmp_path, before, after, noticed):
    (tmp_path / "code.py").write_text(SOURCE, "utf-8")
    (tmp_path / "test_code.py").write_text(TEST)
    mutant = Mutant(Path("code.py"), SOURCE, SOURCE.replace(before, after))
    assert mutants.is_noticed(mutant, tmp_path, ["test_code.py"]) == noticed
    assert (tmp_path / "code.py").read_text("utf-8") == SOURCE
    assert after in mutant.difference


def test_a_mutant_that_never_ends_is_noticed_and_what_it_started_ends(tmp_path):
    (tmp_path / "test_code.py").write_text(
        "import subprocess, sys\n"
        "def test_endless():\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n"
        "    open('child', 'w').write(str(child.pid))\n"
        "    child.wait()\n"
    )
    assert mutants.fail(tmp_path, ["test_code.py"], limit_s=8)
    with pytest.raises(ProcessLookupError):
        for _ in range(1000):  # until what inherits it has taken note of its end
            os.kill(int((tmp_path / "child").read_text()), 0)
            time.sleep(0.01)


def test_the_tests_of_a_file_are_its_own_and_those_that_import_it(tmp_path):
    files = {
        "cat_model/explain/test_draw.py": "",
        "cat_model/explain/test_draw_more.py": "",
        "cat_model/test_b.py": "from cat_model.explain import draw",
        "cat_model/test_c.py": "from cat_model.explain.draw import line",
        "cat_model/test_d.py": "import cat_model.explain.draw",
        "cat_model/test_e.py": "from cat_model.explain import drawing",
        "export/test_f.py": "from cat_model import lone\nfrom cat_model.explain import draw",
        "web/test_g.py": "from web.server import queue",
    }
    for name, text in files.items():
        (tmp_path / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tests" / name).write_text(text)
    for path, expected in {
        "cat_model/explain/draw.py": [
            "explain/test_draw",
            "explain/test_draw_more",
            "test_b",
            "test_c",
            "test_d",
        ],
        "cat_model/e.py": ["test_e"],
    }.items():
        tests = [f"tests/cat_model/{each}.py" for each in expected]
        assert mutants.tests_of(Path(path), tmp_path) == tests
    assert mutants.tests_of(Path("cat_model/lone.py"), tmp_path) == ["tests/export/test_f.py"]
    assert mutants.tests_of(Path("cat_model/unknown.py"), tmp_path) == ["tests/cat_model"]
    assert mutants.tests_of(Path("web/server/queue.py"), tmp_path) == ["tests/web/test_g.py", *mutants.SERVED]


def test_every_file_has_tests_and_they_exist():
    for part in mutants.PARTS:
        files = list((mutants.ROOT / part).rglob("*.py"))
        assert files
        for path in files:
            tests = mutants.tests_of(path.relative_to(mutants.ROOT), mutants.ROOT)
            assert tests
            assert all((mutants.ROOT / name).exists() for name in tests), path


@pytest.mark.parametrize(
    ("test", "code", "said"),
    [
        ("assert double(3) == 6", 0, "3 of 3 mutants were killed."),
        ("assert double", 1, "0 of 3 mutants were killed."),
        ("assert double(3) == 7", 2, "They fail without a mutant."),
    ],
)
def test_the_exit_code_says_whether_enough_was_noticed(tmp_path, monkeypatch, capsys, test, code, said):
    source = "def double(number):\n    return 2 * number\n"
    for name, text in (
        ("part/code.py", source),
        ("tests/part/test_code.py", f"from part.code import double\n\n\ndef test_it():\n    {test}\n"),
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "PARTS", {"part": ("tests/part",)})
    assert mutants.main(["part"]) == code
    out = capsys.readouterr().out
    assert said in out
    assert out.count("SURVIVED part/code.py") == 3 * (code == 1)
    assert (tmp_path / "part/code.py").read_text() == source  # the work is done in a copy
