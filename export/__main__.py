"""`python -m export --run RUN`: convert, measure, gate, and only then replace the bundle that ships.

Exit code 0 when the bundle was replaced; 1 when the gate refused the model or it could not be exported: then
the bundle is as it was.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cat_model.bundle import BundleError
from cat_model.settings import SHIPPED_BUNDLE
from export.gate import RULES, GateError
from train.config import TrainError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m export", description="Export a trained model.")
    parser.add_argument("--run", type=Path, required=True, help="run folder that `python -m train run` made")
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="bundle folder to replace")
    parser.add_argument("--gate", type=Path, default=RULES, help="TOML file with the gate's rules")
    options = parser.parse_args(arguments)
    # TensorFlow's own start-up notes hide what this program says.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    from export import publish
    from export.convert import ExportError

    try:
        return 0 if publish.publish(options.run, options.bundle, options.gate) else 1
    except (BundleError, ExportError, GateError, TrainError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
