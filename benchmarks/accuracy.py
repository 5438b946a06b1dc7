"""The shipped file at the shipped threshold on folders of photos, exactly as the app would answer.

python -m benchmarks.accuracy ../shared/photos/train ../shared/photos/wild ../shared/photos/people --stress

Of a folder that the model was trained on, only the photos of its test split count; the bundle knows them.
With `--stress` these, too, as people would have taken them; with `--yardstick FILE` what a verdict costs. At
the end stands what the model is to reach, and what it does.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import cat_model
from benchmarks.targets import TARGETS
from cat_model.bundle import Bundle
from cat_model.settings import Settings
from export import gate, yardstick
from export.measure import WORKERS, false_cat, judge
from export.reference import Reference
from train import dataset, evaluate, stress
from train.dataset import TEST, PhotoRecord
from train.evaluate import Metrics, Rate


def photos(bundle: Bundle, folder: Path) -> tuple[str, list[PhotoRecord]]:
    """Return a name for the photos of a folder that count, and their records.

    These are the photos of the model's test split if the folder has any ("test"); else those that the model
    has not learned from, under the folder's name. A bundle without reference.json leaves nothing out.
    """
    records, _ = dataset.scan(folder)
    reference = Reference.read(bundle.folder)
    if reference is None:
        return folder.name, records
    if test := [record for record in records if reference.has_in_test(record)]:
        return TEST, test
    return folder.name, [record for record in records if not reference.has_seen(record)]


def measure(predictor: cat_model.Predictor, folder: Path, records: Sequence[PhotoRecord]) -> Metrics:
    """Judge photos of a folder of groups and return the metrics at the model's threshold."""
    probabilities = judge(predictor, (folder / record.path for record in records))
    return _metrics(predictor.bundle, probabilities, records)


def measure_stressed(
    predictor: cat_model.Predictor, folder: Path, records: Sequence[PhotoRecord]
) -> dict[str, Metrics]:
    """Judge every stress slice of photos and return each one's metrics."""
    return {
        name: _metrics(predictor.bundle, judge(predictor, stress.photos(folder, records, name)), records)
        for name in stress.SLICES
    }


def figures(name: str, metrics: Metrics) -> dict[str, float]:
    """Return the figures that targets are set for, by their names."""
    return {
        f"{name}.recall": metrics.recall.value,
        f"{name}.precision": metrics.precision.value,
        f"{name}.cats": float(metrics.recall.total),
        f"{name}.false_cat": false_cat(metrics).value,
        f"{name}.calibration_error": metrics.ece,
        **{f"{name}.recall.{group}": rate.value for group, rate in metrics.recall_of.items()},
    }


def main() -> None:
    """Print recall, precision and what was taken for a cat, with counts and 95 % Wilson intervals."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="folder of groups: cat*, dog, selfie, misc …")
    parser.add_argument("--stress", action="store_true", help="distort the photos of the test split, too")
    parser.add_argument("--yardstick", type=Path, help="another uint8 .tflite file to measure time against")
    options = parser.parse_args()
    predictor = cat_model.load(Settings.from_env().bundle, WORKERS)
    bundle = predictor.bundle
    print(f"{bundle.version} at threshold {bundle.threshold:.3f}")
    found = {"size.megabytes": len(bundle.model) / 1e6}
    for folder in options.folders:
        name, records = photos(bundle, folder)
        slices = {name: measure(predictor, folder, records)}
        if options.stress and name == TEST:
            slices |= {f"{name}.{key}": m for key, m in measure_stressed(predictor, folder, records).items()}
        for key, metrics in slices.items():
            print(f"{key} ({len(records)} photos of {folder})\n{_in_words(metrics)}")
            found |= figures(key, metrics)
    if options.yardstick:
        base = yardstick.read(options.yardstick)
        twice = (bundle.manifest.get("yardstick") or {}).get("looked_twice", 0.0)
        found |= yardstick.measure(bundle.model, base, options.yardstick.name, twice).for_gate()
    print(gate.table([gate.hold(rule, *limit, found.get(rule)) for rule, limit in TARGETS.items()]))


def _metrics(bundle: Bundle, probabilities: np.ndarray, records: Sequence[PhotoRecord]) -> Metrics:
    groups = [record.group for record in records]
    return evaluate.measure(probabilities, groups, bundle.threshold, bundle.unsure)


def _in_words(metrics: Metrics) -> str:
    rows = {"recall": metrics.recall, "precision": metrics.precision, "not sure": metrics.unsure}
    rows |= {f"recall of {group}": rate for group, rate in metrics.recall_of.items()}
    rows |= {f"{group} taken for a cat": rate for group, rate in metrics.false_cat.items()}
    rows["others taken for a cat"] = false_cat(metrics)
    lines = [f"  {name:24} {_rate(rate)}" for name, rate in rows.items()]
    return "\n".join([*lines, f"  {'calibration error':24} {metrics.ece:.4f}"])


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return "-"
    return f"{rate.value:.4f}  ({rate.low:.4f} – {rate.high:.4f}; {rate.hits} / {rate.total})"


if __name__ == "__main__":
    main()
