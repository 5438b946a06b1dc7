"""The house as a table: `python -m tests.architecture [CHECKOUT]`.

Prints the folders of code with their files and lines, which folder imports which, and a circle of imports
between files, if there is one. Imports inside functions count too; nothing is run.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

HERE = Path(__file__).parents[1]
LEFT_OUT = {"tests", "docs", "examples"}


def modules(root: Path) -> dict[str, Path]:
    """Return the modules of a checkout by their names; tests are left out."""
    packages = [each.parent for each in root.glob("*/__init__.py") if each.parent.name not in LEFT_OUT]
    files = [path for package in packages for path in package.rglob("*.py")] + sorted(root.glob("*.py"))
    names = {}
    for path in sorted(files):
        parts = path.relative_to(root).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(known: Mapping[str, Path]) -> dict[str, set[str]]:
    """Return, of each module, the modules of the same checkout that it imports."""
    return {name: set(_imported(path, known)) - {name} for name, path in known.items()}


def _imported(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from whole & set(known)
            if whole - set(known) and node.module in known:
                yield node.module


def circle(edges: Mapping[str, set[str]]) -> list[str]:
    """Return a circle of imports, its first module last again; an empty list where there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def room(name: str, path: Path) -> str:
    """Return the folder of a module, dotted."""
    return name if path.name == "__init__.py" else name.rpartition(".")[0] or name


def main(root: Path) -> None:
    """Print the table of a checkout."""
    known = modules(root)
    files, lines = Counter(), Counter()
    for name, path in known.items():
        files[room(name, path)] += 1
        lines[room(name, path)] += len(path.read_text("utf-8").splitlines())
    for each in sorted(files):
        print(f"{each:24} {files[each]:3} files {lines[each]:6} lines")
    print(f"{'all':24} {files.total():3} files {lines.total():6} lines")
    edges = imports(known)
    between = Counter(
        (room(name, known[name]), room(other, known[other])) for name in edges for other in edges[name]
    )
    for (start, end), count in sorted(between.items()):
        if start != end:
            print(f"{start} → {end}: {count}")
    print(f"{sum(count for (a, b), count in between.items() if a != b)} imports between folders")
    print("circle of imports: " + (" → ".join(circle(edges)) or "none"))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else HERE)
