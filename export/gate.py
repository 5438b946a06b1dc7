"""The quality gate: may this very file replace the one that ships? What is missing counts as failed."""

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from train.stress import SLICES

RULES = Path(__file__).parent / "gate.toml"
AT_LEAST, AT_MOST = "at least", "at most"
KNOWN = {
    "test.recall": AT_LEAST,
    "test.precision": AT_LEAST,
    "test.false_cat": AT_MOST,
    "test.calibration_error": AT_MOST,
    **{f"stress.recall.{name}": AT_LEAST for name in SLICES},
    **{f"stress.false_cat.{name}": AT_MOST for name in SLICES},
    "agreement.same_verdict": AT_LEAST,
    "agreement.mean_difference": AT_MOST,
    "yardstick.size": AT_MOST,
    "yardstick.time": AT_MOST,
    "yardstick.memory": AT_MOST,
    "champion.p_worse": AT_LEAST,
}
"""Every rule, and which way its limit points. test.false_cat holds for each negative group by itself."""


Found = float | None | Mapping[str, float | None]
"""What was measured for a rule: a number, several by the names of groups, or nothing."""


class GateError(ValueError):
    """The gate's rules cannot be used; the message says why."""


@dataclass(frozen=True)
class Finding:
    """What one rule found.

    Attributes:
        rule: its name, such as "test.recall".
        direction: "at least" or "at most".
        limit: what is required.
        found: what was measured; None when it was not.
        passed: whether the rule holds.
    """

    rule: str
    direction: str
    limit: float
    found: float | None
    passed: bool


def read_rules(path: Path) -> dict[str, float]:
    """Read the limits, one for each rule, from a TOML file.

    Raises:
        GateError: the file cannot be read, or a rule is missing, unknown or no number.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise GateError(f"The gate's rules in {path} cannot be read: {error}") from error
    rules = dict(_flat(tables))
    if set(rules) != set(KNOWN):
        odd = ", ".join(sorted(set(rules) ^ set(KNOWN)))
        raise GateError(f"{path} must hold exactly the rules that export/gate.toml holds; look at {odd}.")
    wrong = [name for name, limit in rules.items() if not _is_number(limit)]
    if wrong:
        raise GateError(f"{path}: {', '.join(wrong)} must be a number.")
    return rules


def judge(measured: Mapping[str, Found], rules: Mapping[str, float]) -> list[Finding]:
    """Hold what was measured against the rules.

    Args:
        measured: a number for each rule's name, or several by the names of groups, which must all hold; what
            is missing, None, NaN or empty fails its rule.
        rules: as `read_rules` returns them.
    """
    findings = []
    for rule, limit in rules.items():
        found = measured.get(rule)
        each = (
            {f"{rule}.{name}": value for name, value in found.items()} if _is_table(found) else {rule: found}
        )
        findings += [hold(name, KNOWN[rule], limit, value) for name, value in (each or {rule: None}).items()]
    return findings


def hold(rule: str, direction: str, limit: float, found: object) -> Finding:
    """Hold one figure against its limit; whatever is no finite number fails."""
    if not _is_number(found):
        return Finding(rule, direction, limit, None, False)
    holds = found >= limit if direction == AT_LEAST else found <= limit
    return Finding(rule, direction, limit, float(found), bool(holds))


def passed(findings: Sequence[Finding]) -> bool:
    """Whether there are findings and all of them passed."""
    return bool(findings) and all(finding.passed for finding in findings)


def table(findings: Sequence[Finding]) -> str:
    """Return the findings as a text table."""
    rows = [("rule", "required", "found", "")]
    for each in findings:
        found = "missing" if each.found is None else f"{each.found:.4f}"
        rows.append(
            (each.rule, f"{each.direction} {each.limit:g}", found, "ok" if each.passed else "REFUSED")
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _flat(tables: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Yield the numbers of nested tables by their dotted names."""
    for name, value in tables.items():
        if _is_table(value):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _is_table(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
