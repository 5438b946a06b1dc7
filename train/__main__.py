"""The command line: `python -m train check|run|tune|track|compare|feedback|refresh|drift|fetch`.

Exit code 0 when it is done, 1 with a sentence when it cannot be, 130 when it was stopped by Ctrl-C.
"""

import argparse
import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cat_model.atomic import write_durably
from cat_model.settings import SHIPPED_BUNDLE
from train.checks.decisions import DECISIONS
from train.checks.policy import POLICY
from train.config import (
    BACKBONES,
    QUICK,
    DataOptions,
    Paths,
    TrainConfig,
    TrainError,
    TrainOptions,
    read_config,
)
from train.store import require_store


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(arguments)
    # TensorFlow's own start-up notes hide what this program says.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return options.do(options, _command(arguments))
    except (TrainError, OSError) as error:  # a full disk, a folder that may not be written …
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on after the last whole epoch.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description="Train the model.")
    commands = parser.add_subparsers(required=True)

    run = commands.add_parser("run", help="the whole pipeline, from photos to a run folder")
    run.set_defaults(do=_run)
    _add_inputs(run)
    _add_result(run)
    run.add_argument("--wild", type=Path, help="folder of groups from other sources, only measured on")
    run.add_argument("--feedback", type=Path, help="feedback set; its reviewed photos are learned from too")
    run.add_argument("--backbone", choices=BACKBONES)
    run.add_argument("--init", type=Path, help="file of weights to go on from, instead of ImageNet's")
    run.add_argument(
        "--init-weight",
        type=float,
        help="weight of --init's in the mean with the fine-tuned ones (0)",
    )

    tune = commands.add_parser("tune", help="search for a good configuration; options given are not searched")
    tune.set_defaults(do=_tune, backbone=None, wild=None, init=None, init_weight=None)
    _add_inputs(tune)
    _add_result(tune)
    tune.add_argument(
        "--backbones",
        nargs="+",
        choices=BACKBONES,
        help="backbones to choose from",
    )
    tune.add_argument("--trials", type=_trials, default=20, help="how many trials there may be (20)")
    tune.add_argument("--hours", type=_hours, default=12.0, help="no trial begins after so many hours (12)")

    track = commands.add_parser("track", help="send MLflow what its store could not take during a run")
    track.set_defaults(do=_track)
    track.add_argument("folder", type=Path, metavar="FOLDER", help="of the run, or of the search")

    _add_feedback(commands)

    compare = commands.add_parser("compare", help="two runs on the photos that both were measured on")
    compare.set_defaults(do=_compare)
    compare.add_argument("runs", type=Path, nargs=2, metavar="RUN", help="run folder of a finished run")
    compare.add_argument("--out", type=Path, default=Path("runs"), help="where the comparison's folder goes")

    check = commands.add_parser("check", help="what is wrong with these photos, and may training go on")
    check.set_defaults(do=_check)
    _add_photos(check)
    check.add_argument("--wild", type=Path, help="folder of groups that share no photo with the others")
    check.add_argument("--out", type=Path, default=Path("checks"), help="where the report goes")
    check.add_argument("--backbone", choices=BACKBONES, default=TrainConfig().backbone)
    check.add_argument("--against", type=Path, help="folder of a run, to tell how its photos differ")

    download = commands.add_parser("fetch", help="get a public set of photos from the Hugging Face hub")
    download.set_defaults(do=_fetch)
    download.add_argument("--out", type=Path, default=Path("photos"), help="where the folders of groups go")
    return parser


def _add_feedback(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    feedback = commands.add_parser("feedback", help="what people said of the verdicts")
    what = feedback.add_subparsers(required=True)
    pull = what.add_parser("pull", help="get it from where it was delivered to, or from an outbox")
    pull.set_defaults(do=_pull)
    pull.add_argument("--out", type=Path, default=Path("feedback-set"), help="folder of the set")
    pull.add_argument("--source", type=Path, help="an outbox's folder; otherwise what the CAT_ settings name")
    shown = what.add_parser("report", help="agreement, precision and recall by people's word, disputes, spam")
    shown.set_defaults(do=_report)
    shown.add_argument("set", type=Path, help="folder that pull made")
    drift = commands.add_parser("drift", help="whether the page's photos are others than the model's")
    drift.set_defaults(do=_drift)
    drift.add_argument("--traffic", type=Path, default=Path("feedback"), help="the page's CAT_FEEDBACK_DIR")
    drift.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="the bundle that it serves")
    drift.add_argument("--out", type=Path, default=Path("drift"), help="where the report goes")
    _add_result(drift)
    refresh = commands.add_parser("refresh", help="fit a run's head anew on what people told, without photos")
    refresh.set_defaults(do=_refresh)
    refresh.add_argument("--run", type=Path, required=True, help="run whose exported model is served")
    refresh.add_argument("--feedback", type=Path, required=True, help="folder that feedback pull made")
    _add_result(refresh)


def _add_result(command: argparse.ArgumentParser) -> None:
    command.add_argument("--result", type=Path, help="JSON file that says what came of it, for programs")


def _write_result(options: argparse.Namespace, **values: object) -> None:
    """Write what came of a command to the file that it was given, if it was given one."""
    if options.result:
        write_durably(options.result, json.dumps(values, indent=1).encode())


def _add_photos(command: argparse.ArgumentParser) -> None:
    command.add_argument("--photos", type=Path, required=True, help="folder of groups: cat*, dog, selfie …")
    command.add_argument("--people", type=Path, help="folder of groups as people send them, for choosing")
    command.add_argument("--decisions", type=Path, default=DECISIONS, help="CSV of decisions about photos")
    command.add_argument("--policy", type=Path, default=POLICY, help="TOML file: which issues are errors")


def _add_inputs(command: argparse.ArgumentParser) -> None:
    config = TrainConfig()
    _add_photos(command)
    command.add_argument("--boxes", type=Path, help="CSV that says where in the photos the cats are")
    command.add_argument("--config", type=Path, help="file that tune wrote; options beside it win")
    command.add_argument("--out", type=Path, default=Path("runs"), help="where run folders go")
    command.add_argument("--views", type=int, help=f"augmented views in an epoch ({config.views})")
    command.add_argument("--quick", action="store_true", help="a few hundred photos, smaller, two epochs")
    command.add_argument("--override-checks", action="store_true", help="go on whatever the checks find")
    command.add_argument("--side", type=int, help=f"pixels of the model's square input ({config.side})")
    command.add_argument("--epochs", type=int, help=f"epochs of fine-tuning ({config.epochs})")
    command.add_argument(
        "--learning-rate", type=float, help=f"peak of the backbone's ({config.learning_rate})"
    )
    command.add_argument("--seed", type=int, help=f"of whatever is random ({config.seed})")


def _check(options: argparse.Namespace, _: str) -> int:
    from train.checks import suite

    data = _data(options)
    checked = suite.check(
        suite.CheckOptions(
            data,
            backbone=options.backbone,
            cache=Paths.from_env().cache,
            against=options.against,
        )
    )
    suite.write_report(checked.report, data.folders, options.out)
    print(f"{checked.report}\nMore: {options.out / suite.PAGE}")
    return 1 if checked.report.errors else 0


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of TrainConfig that the options say something of."""
    given = {
        name: getattr(options, name)
        for name in ("backbone", "side", "epochs", "views", "learning_rate", "seed", "init_weight")
    }
    given = {name: value for name, value in given.items() if value is not None}
    return (QUICK if options.quick else {}) | given


def _config(options: argparse.Namespace) -> TrainConfig:
    stored = read_config(options.config) if options.config else {}
    config = TrainConfig(**stored | _changes(options))
    config.require_valid()
    return config


def _trials(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _hours(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _data(options: argparse.Namespace) -> DataOptions:
    return DataOptions(
        photos=options.photos,
        policy=options.policy,
        wild=options.wild,
        people=options.people,
        decisions=options.decisions,
    )


def _train_options(options: argparse.Namespace, command: str) -> TrainOptions:
    data = _data(options)
    if getattr(options, "feedback", None):
        from train.feedback import dataset

        photos = dataset.with_photos(options.photos, options.feedback, options.out)
        data = dataclasses.replace(data, photos=photos)
    return TrainOptions(
        data,
        out=options.out,
        command=command,
        boxes=options.boxes,
        init=options.init,
        override_checks=options.override_checks,
    )


def _run(options: argparse.Namespace, command: str) -> int:
    _require_the_store()
    from train import pipeline

    run = pipeline.run(_train_options(options, command), _config(options), Paths.from_env())
    _write_result(options, run=str(run.folder))
    print(f"Trained. Next: python -m export --run {run.folder}")
    return 0


def _tune(options: argparse.Namespace, command: str) -> int:
    _require_the_store()
    from train import tune

    base = _config(options)
    best = tune.search(
        _train_options(options, command),
        base,
        fixed=tuple(_changes(options)),
        backbones=options.backbones or [base.backbone],
        budget=tune.Budget(options.trials, options.hours),
        paths=Paths.from_env(),
    )
    _write_result(options, config=str(best))
    given = {
        "--photos": options.photos,
        "--people": options.people,
        "--boxes": options.boxes,
        "--config": best,
    }
    given |= {"--decisions": options.decisions, "--policy": options.policy}
    words = [str(word) for pair in given.items() if pair[1] not in (None, DECISIONS, POLICY) for word in pair]
    words += ["--override-checks"] if options.override_checks else []
    print(f"Next: {shlex.join(['python', '-m', 'train', 'run', *words])}")
    return 0


def _track(options: argparse.Namespace, _: str) -> int:
    from train import tune
    from train.run import Run
    from train.tracking import Tracker

    if (options.folder / tune.SEARCH).exists():
        tracker = tune.tracker_of(options.folder)
    else:
        run = Run.read_unfinished(options.folder)
        tracker = Tracker(run.tracking_uri, run.mlflow_run, run.folder)
    print(tracker.catch_up())
    return 1 if tracker.waits else 0


def _compare(options: argparse.Namespace, _: str) -> int:
    from train.evaluation import compare

    first, second = options.runs
    print(compare.compare(first, second, options.out))
    return 0


def _pull(options: argparse.Namespace, _: str) -> int:
    from cat_model.settings import Settings, SettingsError
    from train.feedback import dataset

    try:
        origin = dataset.source(options.source, Settings.from_env())
    except SettingsError as error:
        raise TrainError(str(error)) from error
    print(f"From {origin.name}. {dataset.pull(origin, options.out)}")
    print(f"Next: python -m train feedback report {options.out}")
    return 0


def _report(options: argparse.Namespace, _: str) -> int:
    from train.feedback import report

    print(report.write(options.set))
    return 0


def _drift(options: argparse.Namespace, _: str) -> int:
    from train.feedback import drift

    try:
        found = drift.report(options.traffic, options.bundle, options.out)
    except drift.TooFewPhotosError as error:
        _write_result(options, alarm=None, why=str(error))
        raise
    tests = {each.name: {"found": each.found, "limit": each.limit} for each in found.tests}
    _write_result(options, alarm=found.alarm, photos=found.window.photos, tests=tests)
    print(f"{found}\nMore: {options.out / drift.PAGE}")
    return 1 if found.alarm else 0


def _refresh(options: argparse.Namespace, command: str) -> int:
    from train.run import Run

    require_store(Run.read(options.run).tracking_uri)
    from train.feedback import refresh

    run = refresh.refresh(options.run, options.feedback, command)
    _write_result(options, run=str(run.folder))
    print(f"Refreshed. Next: python -m export --run {run.folder}")
    return 0


def _require_the_store() -> None:
    """Ask for MLflow's store before TensorFlow is imported, which takes long."""
    require_store(Paths.from_env().tracking_uri)


def _fetch(options: argparse.Namespace, _: str) -> int:
    from train.data import download

    download.fetch(options.out)
    return 0


def _command(arguments: Sequence[str]) -> str:
    """Return the command line for the record; of an absolute path only the name, which is nobody's home."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in arguments]
    return shlex.join(["python", "-m", "train", *words])


if __name__ == "__main__":
    sys.exit(main())
