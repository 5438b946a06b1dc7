"""The report on a run of a pipeline: report.json for programs, report.html for people."""

import dataclasses
import json
from collections.abc import Sequence
from html import escape
from typing import Any

from cat_model.atomic import write_durably
from pipelines import validation, verdicts
from pipelines.settings import Settings
from pipelines.state import Outcome, State
from pipelines.triggers import Decision
from pipelines.verdicts import BLOCKED, FAILED, PASSED, REFUSED, STOPPED
from train import html_page
from train.config import TrainError

JSON, PAGE = "report.json", "report.html"
STYLE = """
td pre { margin: 0; font-size: 12px } td { vertical-align: top }
.failed, .refused, .stopped, .alarm, .blocked { color: #b00020; font-weight: 600 }
"""


def build(
    settings: Settings, outcomes: Sequence[Outcome], decision: Decision | None, state: State, began: str
) -> dict[str, Any]:
    """Return the content of report.json.

    Args:
        settings: of the pipeline.
        outcomes: what became of the stages of this run.
        decision: whether a retraining was due; None where that was not asked.
        state: of the pipeline, after the run.
        began: when the run began, ISO 8601.

    Returns:
        "result" (the worst of the stages' results, "passed" where nothing went wrong), "began", "needed" and
        "reasons", "stages" of this run, "earlier" ones that were no part of it, and "data_checks" in Great
        Expectations' form, None where no checks were made yet or they cannot be read; then
        "data_checks_error" says why.
    """
    data_checks, unread = _data_checks(settings)
    # A stage is also blocked by what became of an earlier run; then this one did not do what it was to.
    found = {FAILED if each.result == BLOCKED else each.result for each in outcomes}
    ran = {each.stage for each in outcomes}
    return {
        "result": next((bad for bad in (STOPPED, REFUSED, FAILED) if bad in found), PASSED),
        "began": began,
        "needed": decision.needed if decision else None,
        "reasons": list(decision.reasons) if decision else [],
        "stages": [dataclasses.asdict(each) for each in outcomes],
        "earlier": [dataclasses.asdict(each) for name, each in state.stages.items() if name not in ran],
        "values": dict(state.values),
        "data_checks": data_checks,
        "data_checks_error": unread,
    }


def write(settings: Settings, content: dict[str, Any]) -> None:
    """Write report.json and report.html to the pipeline's folder."""
    folder = settings.at(settings.folder)
    write_durably(folder / JSON, json.dumps(content, indent=1, ensure_ascii=False).encode())
    decided = (
        [f"<p>Retraining {'due' if content['needed'] else 'not due'}.</p>"] if content["reasons"] else []
    )
    decided += [f"<p>{escape(reason)}</p>" for reason in content["reasons"]]
    parts = [f"<p>Began {escape(content['began'])}: {escape(content['result'])}.</p>", *decided]
    parts += [_table(content["stages"])]
    if content["earlier"]:
        parts += [
            "<h2>Stages that were no part of this run, at their last time</h2>",
            _table(content["earlier"]),
        ]
    if content["data_checks"]:
        parts += ["<h2>Checks of the photos</h2>", _expectations(content["data_checks"])]
    if content["data_checks_error"]:
        parts += ["<h2>Checks of the photos</h2>", f"<p>{escape(content['data_checks_error'])}</p>"]
    write_durably(folder / PAGE, html_page.page("Pipeline", parts, STYLE))


def _data_checks(settings: Settings) -> tuple[dict[str, Any] | None, str]:
    """Return the checks, None where there are none, and why they cannot be read; empty where they can."""
    path = verdicts.checks_file(settings)
    if not path.exists():
        return None, ""
    policy = settings.at(settings.policy) if settings.policy else None
    try:
        return validation.results(verdicts.read(path), policy), ""
    except TrainError as error:
        return None, str(error)
    except verdicts.DAMAGED:
        return None, f"The checks cannot be read: {path} is damaged. The stage check writes it anew."


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["<tr><th>stage<th>result<th>seconds<th>ended<th>why<th>commands</tr>"]
    for each in rows:
        commands = "".join(f"<pre>{escape(command)}</pre>" for command in each["commands"])
        log = f'<a href="{escape(each["log"])}">log</a>' if each["log"] else ""
        kind = each["result"].replace(" ", "-")
        lines.append(
            f"<tr><td>{each['stage']}<td class={kind}>{each['result']}<td>{each['seconds'] or ''}"
            f"<td>{each['ended']}<td><pre>{escape(each['why'])}</pre><td>{commands}{log}</tr>"
        )
    return f"<table>{''.join(lines)}</table>"


def _expectations(checked: dict[str, Any]) -> str:
    lines = ["<tr><th>expectation<th><th>tolerated<th>unexpected<th>such as</tr>"]
    for each in checked["results"]:
        config, result = each["expectation_config"], each["result"]
        said = "ok" if each["success"] else "failed"
        named = escape(", ".join(result["partial_unexpected_list"][:3]))
        lines.append(
            f"<tr><td>{config['type']}<td class={said}>{said}<td>{config['kwargs']['tolerated']:g}"
            f"<td>{result['unexpected_count']}<td>{named}</tr>"
        )
    return f"<table>{''.join(lines)}</table>"
