"""Mutation testing: `python -m tests.mutants [--count 100] [--seed 0] [PART…]`, or `make mutants`.

Changes the code a little (a mutant), runs the tests that should notice, and shows which mutants survive:
DeMillo, Lipton and Sayward 1978. Mutants are those of cosmic-ray, and two more: a call whose result nobody
uses is dropped, and a function returns None. They are drawn at random: first a place in the code, then what
happens to it. Annotations are left as they are, since nothing runs them.

The work is done in a copy of the checkout. The tests of the changed file's mirror run first, then those that
import it, until one fails. Before that they run once without a mutant, since what fails anyway notices
nothing. It takes hours; each result is printed as soon as it is known. The exit code is 1 where fewer than
88 % of the mutants are noticed.
"""

import argparse
import ast
import difflib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = {
    "cat_model": ("tests/cat_model",),
    "export": ("tests/export",),
    "train/evaluation": ("tests/train/evaluation",),
    "web/server": ("tests/web/server",),
}
"""What is changed, and the tests of its files that no test imports."""
SERVED = ("tests/app/test_endpoints.py", "tests/app/test_operations.py", "tests/app/test_start.py")
"""Tests of every file of the server: they run it in a process of its own, so they import nothing of it."""
LONGEST_S = 900.0
"""A mutant that keeps its tests busy for longer counts as noticed."""
NO_TESTS = 5
"""Pytest's exit code where it found no tests."""
LEAST = 0.88
"""Share of the mutants that the tests should notice."""

Place = tuple[int, int]
"""Line, from 1, and column, from 0."""
Change = Callable[[], str | None]
"""Gives the changed text of a file; None where nothing was changed."""


@dataclass(frozen=True)
class Mutant:
    """A changed file.

    Attributes:
        path: the file, relative to the checkout.
        before: its text.
        after: its changed text.
    """

    path: Path
    before: str
    after: str

    @property
    def difference(self) -> str:
        """The changed lines."""
        lines = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), lineterm="", n=0)
        return "\n".join(line for line in lines if not line.startswith(("---", "+++")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, 1 where the tests notice too few mutants, 2 where they fail without any.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Do the tests notice?")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (all of them)")
    parser.add_argument("--count", type=int, default=100, help="mutants in all (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the random choice (0)")
    options = parser.parse_args(arguments)
    parts = options.parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"There is no part {', '.join(sorted(unknown))}.")
    files = [path for part in parts for path in sorted((ROOT / part).rglob("*.py"))]
    names = [path.relative_to(ROOT) for path in files]
    chosen = sample(names, options.count, random.Random(options.seed), ROOT)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # a test starts the app as another user
        copy = copied(ROOT, Path(folder) / "copy")
        wanted = {test: None for mutant in chosen for test in tests_of(mutant.path, copy)}
        print(f"{len(wanted)} tests run without a mutant first.", flush=True)
        if fail(copy, list(wanted), limit_s=None, shown=True):
            print("They fail without a mutant.")
            return 2
        killed = 0
        for number, mutant in enumerate(chosen, 1):
            noticed = is_noticed(mutant, copy, tests_of(mutant.path, copy))
            killed += noticed
            print(f"{number}. {'killed' if noticed else 'SURVIVED'} {mutant.path.as_posix()}", flush=True)
            print(mutant.difference, flush=True)
    print(f"{killed} of {len(chosen)} mutants were killed.")
    return 0 if killed >= LEAST * len(chosen) else 1


def sample(paths: Sequence[Path], count: int, rng: random.Random, root: Path) -> list[Mutant]:
    """Return mutants of some files at different places, chosen at random.

    Args:
        paths: the files, relative to the root.
        count: how many, at most.
        rng: chooses.
        root: where the files lie.
    """
    texts = {path: (root / path).read_text("utf-8") for path in paths}
    places = [(path, changes) for path, text in texts.items() for changes in candidates(text).values()]
    rng.shuffle(places)
    chosen: list[Mutant] = []
    for path, changes in places:
        if len(chosen) == count:
            break
        rng.shuffle(changes)
        valid = (text for change in changes if (text := change()) and _runs_otherwise(text, texts[path]))
        chosen += [Mutant(path, texts[path], text) for text in islice(valid, 1)]
    return chosen


def candidates(source: str) -> dict[Place, list[Change]]:
    """Return what can be changed in a source, by place; not all of it is valid Python."""
    ignored = [_span(node, source) for node in _annotations(ast.parse(source))]
    for number, line in enumerate(source.splitlines(), 1):  # the star that makes arguments keyword-only
        if line.strip() == "*," or "(*, " in line or ", *, " in line:
            ignored.append(((number, line.index("*,")), (number, line.index("*,") + 1)))
    found: dict[Place, list[Change]] = {}
    for place, change in (*_by_cosmic_ray(source), *_by_statements(source)):
        if not any(first <= place < last for first, last in ignored):
            found.setdefault(place, []).append(change)
    return found


def _runs_otherwise(changed: str, source: str) -> bool:
    try:
        return ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def _by_cosmic_ray(source: str) -> Iterator[tuple[Place, Change]]:
    from cosmic_ray import plugins
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code

    nodes = list(ast_nodes(get_ast(source)))
    for name in sorted(plugins.operator_names()):
        kind = plugins.get_operator(name)
        if kind.arguments():  # of a certain name, which somebody would have to give
            continue
        operator = kind()
        found = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, place in enumerate(found):
            yield place, partial(mutate_code, source, operator, occurrence)


def _annotations(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            yield node.returns


def _span(node: ast.expr, source: str) -> tuple[Place, Place]:
    """Return where a node begins and ends, in characters; `ast` counts columns in bytes."""
    lines = source.encode().splitlines()

    def characters(line: int, column: int) -> Place:
        return line, len(lines[line - 1][:column].decode())

    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return characters(node.lineno, node.col_offset), characters(node.end_lineno, node.end_col_offset)


def _by_statements(source: str) -> Iterator[tuple[Place, Change]]:
    """Yield the mutants that drop a call or return None."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield (node.lineno, node.col_offset), partial(_replaced, source, node, "pass")
        elif isinstance(node, ast.Return) and not (
            node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)
        ):
            yield (node.lineno, node.col_offset), partial(_replaced, source, node, "return None")


def _replaced(source: str, node: ast.stmt, text: str) -> str:
    """Return a source with another text for a statement; `ast` counts columns in bytes."""
    lines = source.encode().splitlines(keepends=True)
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    head = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    tail = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
    return (head + text.encode() + tail).decode()


def copied(root: Path, folder: Path) -> Path:
    """Copy a checkout, but for what Git ignores, into a new folder; return the folder."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=root, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
    return folder


def tests_of(path: Path, root: Path) -> list[str]:
    """Return the tests that should notice a change of a file.

    First those of its mirror, then those of its package that import it by its name, then `SERVED` for the
    server's files. Where there are none of these, those of other packages that import it, else all of its
    part. What reaches a file only through other files is left out, or every test would run for every mutant.
    """
    part = next(part for part in PARTS if path.is_relative_to(part))
    module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    package = root / "tests" / path.parts[0]
    first = sorted((root / "tests" / path.parent).glob(f"test_{path.stem.strip('_')}*.py"))
    importing = [test for test in sorted((root / "tests").rglob("test_*.py")) if module in _imported(test)]
    found = [*first, *(test for test in importing if test.is_relative_to(package))]
    names = [test.relative_to(root).as_posix() for test in found]
    names += SERVED if part == "web/server" else ()
    names = names or [test.relative_to(root).as_posix() for test in importing] or PARTS[part]
    return list(dict.fromkeys(names))


@cache
def _imported(test: Path) -> frozenset[str]:
    """Return the full names of what a file imports, and of the modules that it imports them from."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(test.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def is_noticed(mutant: Mutant, root: Path, tests: Sequence[str]) -> bool:
    """Return whether tests fail while a checkout holds a mutant; afterwards it holds it no longer."""
    (root / mutant.path).write_text(mutant.after, "utf-8")
    try:
        return fail(root, tests)
    finally:
        (root / mutant.path).write_text(mutant.before, "utf-8")


def fail(root: Path, tests: Sequence[str], limit_s: float | None = LONGEST_S, shown: bool = False) -> bool:
    """Return whether tests of a checkout fail, or take longer than a limit; the first failure ends them.

    Args:
        root: the checkout.
        tests: what pytest is to run there.
        limit_s: seconds; None for as long as it takes.
        shown: whether to print what pytest says.
    """
    shared = os.environ.get("CAT_SHARED") or str(ROOT.parent / "shared")
    command = [sys.executable, "-m", "pytest", "--quiet", "--exitfirst", "-p", "no:cacheprovider", *tests]
    # Two texts of the same size within a second would share their compiled file.
    env = {**os.environ, "CAT_SHARED": shared, "PYTHONDONTWRITEBYTECODE": "1"}
    output = None if shown else subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=root, env=env, stdout=output, stderr=output, start_new_session=True
    ) as process:
        try:
            return process.wait(limit_s) not in (0, NO_TESTS)
        except subprocess.TimeoutExpired:
            return True
        finally:
            if process.poll() is None:  # the servers that tests have started go with them
                os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
