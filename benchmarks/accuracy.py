"""The shipped file at the shipped threshold on folders of photos, exactly as the app would answer.

python -m benchmarks.accuracy ../shared/photos/wild ../shared/photos/people
"""

import argparse
from pathlib import Path

import numpy as np

import cat_model
from cat_model.settings import Settings
from train import dataset, evaluate
from train.evaluate import Metrics, Rate


def measure(predictor: cat_model.Predictor, folder: Path) -> Metrics:
    """Judge every photo of a folder of groups and return the metrics at the model's threshold."""
    records, _ = dataset.scan(folder)
    verdicts = predictor.predict_many(folder / record.path for record in records)
    probabilities = np.array([verdict.probability for verdict in verdicts])
    groups = [record.group for record in records]
    bundle = predictor.bundle
    return evaluate.measure(probabilities, groups, bundle.threshold, bundle.unsure)


def main() -> None:
    """Print recall, precision and what was taken for a cat, with counts and 95 % Wilson intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="folder of groups: cat*, dog, selfie, misc …")
    predictor = cat_model.load(Settings.from_env().bundle)
    print(f"{predictor.bundle.version} at threshold {predictor.bundle.threshold:.3f}")
    for folder in parser.parse_args().folders:
        metrics = measure(predictor, folder)
        print(folder.name)
        rows = {"recall": metrics.recall, "precision": metrics.precision, "not sure": metrics.unsure}
        rows |= {f"recall of {group}": rate for group, rate in metrics.recall_of.items()}
        rows |= {f"{group} taken for a cat": rate for group, rate in metrics.false_cat.items()}
        for name, rate in rows.items():
            print(f"  {name:24} {_in_words(rate)}")
        print(f"  {'calibration error':24} {metrics.ece:.4f}")


def _in_words(rate: Rate | None) -> str:
    if rate is None:
        return "-"
    return f"{rate.value:.4f}  ({rate.low:.4f} – {rate.high:.4f}; {rate.hits} / {rate.total})"


if __name__ == "__main__":
    main()
