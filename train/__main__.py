"""Training in a terminal: `python -m train check|run --photos DIR` and `python -m train fetch --out DIR`.

Exit code 0 when it is done, 1 with a sentence when it cannot be, 130 when it was stopped by Ctrl-C.
"""

import argparse
import dataclasses
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from train.checks_decisions import DECISIONS
from train.checks_policy import POLICY
from train.config import BACKBONES, QUICK, Places, TrainConfig, TrainError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(arguments)
    # TensorFlow's own start-up notes hide what this program says.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return options.do(options, _command(arguments))
    except TrainError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on after the last whole epoch.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    places, config = Places.from_env(), TrainConfig()
    parser = argparse.ArgumentParser(prog="python -m train", description="Train the model.")
    commands = parser.add_subparsers(required=True)

    run = commands.add_parser("run", help="the whole pipeline, from photos to a run folder")
    run.set_defaults(do=_run)
    run.add_argument("--photos", type=Path, required=True, help="folder of groups: cat*, dog, selfie, misc …")
    run.add_argument("--wild", type=Path, help="folder of groups from other sources, only measured on")
    run.add_argument("--weights", type=Path, default=places.weights, help="file of the pretrained backbone")
    run.add_argument("--out", type=Path, default=Path("runs"), help="where run folders go")
    run.add_argument("--quick", action="store_true", help="a few hundred photos, smaller, two epochs")
    _add_check_options(run)
    run.add_argument("--override-checks", action="store_true", help="train in spite of what the checks find")
    run.add_argument("--backbone", choices=BACKBONES, default=config.backbone)
    run.add_argument("--side", type=int, help=f"pixels of the model's square input ({config.side})")
    run.add_argument("--epochs", type=int, help=f"epochs of fine-tuning ({config.epochs})")
    run.add_argument("--seed", type=int, default=config.seed)

    check = commands.add_parser("check", help="what is wrong with these photos, and may training go on")
    check.set_defaults(do=_check)
    check.add_argument("--photos", type=Path, required=True, help="folder of groups to learn from")
    check.add_argument("--wild", type=Path, help="folder of groups that must share no photo with them")
    check.add_argument("--out", type=Path, default=Path("checks"), help="where the report goes")
    check.add_argument("--weights", type=Path, default=places.weights, help="file of the pretrained backbone")
    check.add_argument("--backbone", choices=BACKBONES, default=config.backbone)
    check.add_argument("--against", type=Path, help="folder of a run, to tell how its photos differ")
    _add_check_options(check)

    fetch = commands.add_parser("fetch", help="get a public set of photos from the Hugging Face hub")
    fetch.set_defaults(do=_fetch)
    fetch.add_argument("--out", type=Path, default=Path("photos"), help="where the folders of groups go")
    return parser


def _add_check_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decisions", type=Path, default=DECISIONS, help="CSV of what you decided about photos"
    )
    parser.add_argument("--policy", type=Path, default=POLICY, help="TOML file: which findings are errors")


def _check(options: argparse.Namespace, _: str) -> int:
    from train import checks

    folders = {checks.PHOTOS: options.photos} | ({"wild": options.wild} if options.wild else {})
    checked = checks.check(
        checks.Request(
            places=folders,
            decisions=options.decisions,
            policy=options.policy,
            backbone=options.backbone,
            weights=options.weights,
            cache=Places.from_env().cache,
            against=options.against,
        )
    )
    checks.report(checked.verdict, folders, options.out)
    print(f"{checked.verdict}\nMore: {options.out / checks.PAGE}")
    return 1 if checked.verdict.errors else 0


def _run(options: argparse.Namespace, command: str) -> int:
    from train import pipeline

    chosen = {"side": options.side, "epochs": options.epochs}
    changes = {name: value for name, value in chosen.items() if value is not None}
    changes = (QUICK if options.quick else {}) | changes
    config = TrainConfig(**{"backbone": options.backbone, "seed": options.seed} | changes)
    places = dataclasses.replace(Places.from_env(), weights=options.weights)
    inputs = pipeline.Inputs(
        options.photos,
        options.wild,
        options.out,
        options.decisions,
        options.policy,
        options.override_checks,
        command,
    )
    run = pipeline.run(inputs, config, places)
    print(f"Trained. Next: python -m export --run {run.folder}")
    return 0


def _fetch(options: argparse.Namespace, _: str) -> int:
    from train import fetch

    fetch.fetch(options.out)
    return 0


def _command(arguments: Sequence[str]) -> str:
    """Return the command line for the record; of an absolute path only the name, which is nobody's home."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in arguments]
    return shlex.join(["python", "-m", "train", *words])


if __name__ == "__main__":
    sys.exit(main())
