"""The command line: `python -m pipelines run [--from STAGE] [--until STAGE] [--plan] [--if-needed]`.

Exit code 0 when all went well or nothing was to be done, 1 when a stage failed, 2 when the command line or
the settings' file means nothing, 3 when checks or gate refused, 75 when another run is at work, 130 when it
was stopped.
"""

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from pipelines import report
from pipelines.runner import BusyError, Runner, chosen, locked, say, write_plan
from pipelines.settings import CONFIG, PipelineError, Settings
from pipelines.stages import NAMES, STAGES, Stage
from pipelines.termination import sigterm_as_interrupt
from pipelines.verdicts import FAILED, PASSED, REFUSED, STOPPED
from train.config import TrainError

CODES = {PASSED: 0, FAILED: 1, REFUSED: 3, STOPPED: 130}
USAGE, BUSY = 2, 75


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(arguments)
    # With --json the report alone goes to standard output, and all else to standard error.
    output = (sys.stderr if options.json else sys.stdout).buffer
    try:
        stages = chosen(options.first, options.last)
        settings = Settings.read(options.config)
    except PipelineError as error:
        print(error, file=sys.stderr)
        return USAGE
    try:
        if options.plan:
            return _plan(options, settings, stages, output)
        return _run(options, settings, stages, output)
    except BusyError as error:
        print(error, file=sys.stderr)
        return BUSY
    except (PipelineError, TrainError, OSError) as error:
        print(error, file=sys.stderr)
        return CODES[FAILED]
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on.", file=sys.stderr)
        return CODES[STOPPED]


def _parser() -> argparse.ArgumentParser:
    about = "\n".join(f"  {stage.name:8} {stage.about}" for stage in STAGES)
    parser = argparse.ArgumentParser(prog="python -m pipelines", description="From feedback to a new model.")
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser(
        "run",
        help="run the stages that are due",
        epilog=f"stages:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("--config", type=Path, default=CONFIG, help=f"TOML file of settings ({CONFIG})")
    run.add_argument("--from", dest="first", choices=NAMES, metavar="STAGE", help="first stage (pull)")
    run.add_argument("--until", dest="last", choices=NAMES, metavar="STAGE", help="last stage (watch)")
    run.add_argument("--plan", action="store_true", help="only say what would run, and why")
    run.add_argument("--if-needed", action="store_true", help="train only if a trigger makes it due")
    run.add_argument(
        "--wait",
        type=_minutes,
        default=0.0,
        metavar="MINUTES",
        help="wait so long for another run to end (0)",
    )
    run.add_argument("--json", action="store_true", help="the report, or the plan, as JSON")
    return parser


def _minutes(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number >= 0):
        raise argparse.ArgumentTypeError(f"{text} is no number of minutes")
    return number


def _plan(options: argparse.Namespace, settings: Settings, stages: Sequence[Stage], output: BinaryIO) -> int:
    runner = Runner(settings, output)
    plans = runner.plan(stages)
    decision = runner.decide() if options.if_needed else None
    if options.json:
        content = {
            "needed": decision.needed if decision else None,
            "reasons": decision.reasons if decision else [],
            "stages": [dataclasses.asdict(each) for each in plans],
        }
        print(json.dumps(content, indent=1))
        return 0
    if decision:
        print(f"{'A' if decision.needed else 'No'} retraining is due. {' '.join(decision.reasons)}")
    print(write_plan(plans))
    return 0


def _run(options: argparse.Namespace, settings: Settings, stages: Sequence[Stage], output: BinaryIO) -> int:
    folder = settings.at(settings.folder)
    began = datetime.now(UTC).isoformat(timespec="seconds")
    with sigterm_as_interrupt(), locked(folder, options.wait, partial(say, output)):
        runner = Runner(settings, output)
        outcomes, decision = runner.run(stages, if_needed=options.if_needed)
        content = report.build(settings, outcomes, decision, runner.state, began)
        report.write(settings, content)
    if options.json:
        print(json.dumps(content, indent=1))
    else:
        print(f"{content['result'].capitalize()}. More: {folder / report.PAGE}")
    return CODES[content["result"]]


if __name__ == "__main__":
    sys.exit(main())
