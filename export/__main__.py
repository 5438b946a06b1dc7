"""`python -m export --run RUN`: convert, measure, gate, and only then replace the bundle that ships.

`python -m export rollback` brings back the bundle that was replaced last, `sign --key FILE` signs the one
that is there, `register` has MLflow's registry call it champion, `self-test` records the answers of its
self-test (`golden` is that command's older name).

Exit code 0 when the model may ship (the bundle was replaced, unless it was a dry run); 1 when the gate
refused it or it could not be exported: then the bundle is as it was.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cat_model.bundle import BundleError
from cat_model.runtime import ModelError
from cat_model.settings import SHIPPED_BUNDLE
from cat_model.signature import SignatureError
from export.gate import RULES, GateError
from train.config import Paths, TrainError
from train.store import require_store


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    known = os.environ.get("CAT_BASELINE") or os.environ.get("CAT_YARDSTICK")
    parser = argparse.ArgumentParser(prog="python -m export", description="Export a trained model.")
    parser.add_argument(
        "command",
        nargs="?",
        choices=["rollback", "sign", "register", "self-test", "golden"],
        help="instead of --run",
    )
    parser.add_argument("--run", type=Path, help="run folder that `python -m train run` made")
    parser.add_argument("--key", type=Path, help="Ed25519 key in PEM to sign the bundle with")
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="bundle folder to replace")
    parser.add_argument("--gate", type=Path, default=RULES, help="TOML file with the gate's rules")
    parser.add_argument(
        "--baseline",
        "--yardstick",
        type=Path,
        default=Path(known) if known else None,
        help="another uint8 .tflite file: size, time and memory are measured against it (CAT_BASELINE)",
    )
    parser.add_argument(
        "--without-mlflow",
        action="store_true",
        help="ask nothing of MLflow's store; `python -m train track RUN` tells it later",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="measure and gate, and leave the bundle as it is")
    how.add_argument("--force", metavar="REASON", help="replace the bundle even if the gate refuses")
    options = parser.parse_args(arguments)
    if (options.run is None) == (options.command is None):
        parser.error("give either --run RUN or one of rollback, sign, register, self-test")
    if options.command == "sign" and options.key is None:
        parser.error("sign needs --key FILE")
    if options.command:
        return _shipped(options)
    # TensorFlow's own start-up notes hide what this program says.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    try:
        if not options.without_mlflow:
            _require_the_store(options.run)  # before TensorFlow is imported, which takes long
    except (TrainError, OSError) as error:
        print(error, file=sys.stderr)
        return 1

    from export import pipeline
    from export.convert import ExportError

    given = pipeline.ExportOptions(
        run=options.run,
        target=options.bundle,
        rules=options.gate,
        baseline=options.baseline,
        dry_run=options.dry_run,
        force=options.force,
        key=options.key,
        without_mlflow=options.without_mlflow,
    )
    try:
        return 0 if pipeline.publish(given) else 1
    except (BundleError, ExportError, GateError, SignatureError, TrainError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _require_the_store(folder: Path) -> None:
    from train.run import Run

    uri = Run.read(folder).tracking_uri
    try:
        require_store(uri)
    except TrainError as error:
        raise TrainError(
            f"{error} With --without-mlflow, export keeps for later what it would say."
        ) from error


def _shipped(options: argparse.Namespace) -> int:
    """Do what is done to a bundle that is already there; return the exit code."""
    from export import shipped

    try:
        if options.command == "rollback":
            print(shipped.roll_back(options.bundle), flush=True)
            if not options.without_mlflow:
                _tell_the_registry(options.bundle)
        elif options.command == "register":
            print(shipped.register(options.bundle, Paths.from_env().tracking_uri))
        elif options.command == "sign":
            print(shipped.sign(options.bundle, options.key))
        else:
            print(shipped.record_self_test(options.bundle))
    except (BundleError, ModelError, SignatureError, TrainError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _tell_the_registry(folder: Path) -> None:
    """Move the registry's alias to the bundle that was brought back, or say that it could not be moved."""
    from export import shipped

    try:
        said = shipped.register(folder, Paths.from_env().tracking_uri, begin=False)
    except TrainError as error:
        print(
            f"MLflow's registry still calls the other bundle champion. {error} Here that command is "
            "python -m export register: a second rollback would undo the first.",
            file=sys.stderr,
        )
    else:
        print(said or "MLflow's registry has no champion, so no alias was moved.")


if __name__ == "__main__":
    sys.exit(main())
