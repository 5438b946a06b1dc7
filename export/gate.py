"""The quality gate: may this very file replace the one that ships? What is missing counts as failed."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RULES = Path(__file__).parent / "gate.toml"
AT_LEAST, AT_MOST = "at least", "at most"
KNOWN = {
    "test.recall": AT_LEAST,
    "test.precision": AT_LEAST,
    "agreement.same_verdict": AT_LEAST,
    "agreement.mean_difference": AT_MOST,
    "size.megabytes": AT_MOST,
}
"""Every rule, and which way its limit points."""


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
    rules = {
        f"{table}.{name}": limit
        for table, limits in tables.items()
        for name, limit in (limits.items() if isinstance(limits, Mapping) else [("", limits)])
    }
    if set(rules) != set(KNOWN):
        odd = ", ".join(sorted(set(rules) ^ set(KNOWN)))
        raise GateError(f"{path} must hold exactly the rules {', '.join(KNOWN)}; look at {odd}.")
    wrong = [name for name, limit in rules.items() if not _is_number(limit)]
    if wrong:
        raise GateError(f"{path}: {', '.join(wrong)} must be a number.")
    return rules


def judge(measured: Mapping[str, float | None], rules: Mapping[str, float]) -> list[Finding]:
    """Hold what was measured against the rules.

    Args:
        measured: a number for each rule's name; a missing one, None or NaN fails its rule.
        rules: as `read_rules` returns them.
    """
    return [_judge(rule, limit, measured.get(rule)) for rule, limit in rules.items()]


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


def _judge(rule: str, limit: float, found: float | None) -> Finding:
    direction = KNOWN[rule]
    if not _is_number(found):
        return Finding(rule, direction, limit, None, False)
    holds = found >= limit if direction == AT_LEAST else found <= limit
    return Finding(rule, direction, limit, found, bool(holds))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
