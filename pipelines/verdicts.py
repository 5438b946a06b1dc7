"""What became of a stage's command: read from its exit code and from the files that it wrote."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines import stages
from pipelines.settings import REFRESH, Settings
from pipelines.stages import (
    CHECK,
    CONFIG,
    EXPORT,
    EXPORTED,
    LEARNED,
    PARENT,
    REFRESHED,
    RUN,
    TRAIN,
    WATCH,
    Context,
)

PASSED, ALARM, REFUSED, FAILED, STOPPED = "passed", "alarm", "refused", "failed", "stopped"
SKIPPED, OFF, NOT_NEEDED, BLOCKED = "skipped", "off", "not needed", "blocked"
GOOD = (PASSED, ALARM, SKIPPED, OFF, NOT_NEEDED)
"""Results after which the stages that need this one may begin."""
FILED = ("manifest.json", "export")
DAMAGED = (KeyError, TypeError, ValueError, AttributeError)
"""What comes of reading JSON of another shape than it was written in."""


@dataclass(frozen=True)
class Verdict:
    """What became of one command.

    Attributes:
        result: PASSED, ALARM, REFUSED or FAILED.
        why: a sentence or, of a refusal by the gate, its table.
        values: what it hands on to later stages.
        metrics: figures by name, for whoever draws them.
    """

    result: str
    why: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def forget(stage: str, context: Context) -> None:
    """Remove what an earlier command of a stage wrote, so that it is not taken for the next one's."""
    context.settings.at(context.result(stage)).unlink(missing_ok=True)
    if stage == CHECK:
        checks_file(context.settings).unlink(missing_ok=True)


def judge(stage: str, context: Context, code: int, said: str, started_ns: int) -> Verdict:
    """Say what became of a command.

    Args:
        stage: that it belongs to.
        context: it was made from.
        code: its exit code.
        said: the last line that it printed.
        started_ns: when it started, in nanoseconds as files' dates have it.
    """
    try:
        return _judged(stage, context, code, said, started_ns)
    except DAMAGED as error:
        return Verdict(FAILED, f"what {stage} wrote cannot be read: {type(error).__name__}: {error}")


def _judged(stage: str, context: Context, code: int, said: str, started_ns: int) -> Verdict:
    failed = Verdict(FAILED, said or f"exit code {code}, without a word")
    if stage == CHECK:
        return _checked(read(checks_file(context.settings)), code, failed)
    if stage == TRAIN:
        return _trained(context, code, failed)
    if stage == EXPORT:
        return _exported(context, code, failed, started_ns)
    if stage == WATCH:
        return _watched(read(context.settings.at(context.result(WATCH))), code, failed)
    return failed if code else Verdict(PASSED)


def _checked(report: dict[str, Any], code: int, failed: Verdict) -> Verdict:
    if not report:
        return failed
    problems = report["problems"]
    errors = [each for each in problems if each["severity"] == "error"]
    counts = {f"issues.{each['kind']}": float(len(each["findings"])) for each in problems}
    metrics = counts | {f"photos.{name}": float(count) for name, count in report["photos"].items()}
    if code == 0:
        return Verdict(PASSED, f"no errors, {len(problems)} kinds of warnings", metrics=metrics)
    words = ", ".join(f"{each['kind']} ({len(each['findings'])})" for each in errors)
    return Verdict(REFUSED, f"errors in the photos: {words}", metrics=metrics)


def _trained(context: Context, code: int, failed: Verdict) -> Verdict:
    result = read(context.settings.at(context.result(TRAIN)))
    handed = {name: made for name in (RUN, CONFIG) if isinstance(made := result.get(name), str)}
    if code or not handed:
        return failed
    made = next(iter(handed.values()))
    if context.settings.how == REFRESH:
        handed |= {REFRESHED: made, PARENT: str(stages.parent(context)), LEARNED: context.answers}
    return Verdict(PASSED, made, handed)


def _exported(context: Context, code: int, failed: Verdict, started_ns: int) -> Verdict:
    name, folder = FILED
    path = context.settings.at(context.run / folder / name)
    fresh = path.exists() and path.stat().st_mtime_ns >= started_ns
    manifest = read(path) if fresh else {}
    if not manifest:
        return failed
    findings = manifest["gate"]["findings"]
    metrics = {each["rule"]: float(each["found"]) for each in findings if each["found"] is not None}
    if code == 0:
        values = {EXPORTED: str(context.run), "version": str(manifest["version"])}
        return Verdict(PASSED, f"{manifest['version']} ships", values, metrics)
    if manifest["gate"]["passed"]:
        return failed
    from export import gate  # takes a second: NumPy and its friends

    table = gate.table([gate.RuleResult(**each) for each in findings])
    return Verdict(REFUSED, table, metrics=metrics)


def _watched(result: dict[str, Any], code: int, failed: Verdict) -> Verdict:
    if not result:
        return failed
    if result["alarm"] is None:
        return Verdict(PASSED, str(result["why"]))
    metrics = {name: float(each["found"]) for name, each in result["tests"].items()}
    if result["alarm"]:
        passed = [name for name, each in result["tests"].items() if each["found"] > each["limit"]]
        return Verdict(ALARM, f"drift: {', '.join(passed)}", metrics=metrics)
    return failed if code else Verdict(PASSED, f"no alarm over {result['photos']} photos", metrics=metrics)


def checks_file(settings: Settings) -> Path:
    """Return where the report of the checks is."""
    return settings.at(stages.checks(settings) / "checks.json")


def read(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file; nothing where there is none, or a damaged one."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
