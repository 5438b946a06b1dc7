"""Recall and false-positive rates of the shipped model on folders of photos, answered as the app would.

python -m benchmarks.accuracy ../shared/photos/people ../shared/photos/wild ../shared/photos/train

Prints a Markdown table by group, with 95 % Wilson intervals: of quick answers and, where the bundle has a
thorough search, of thorough ones, each at its own threshold. Of a folder that the model was trained on, only
the photos of its test split count; the bundle knows them. With `--stress` the test photos also count as
people would have taken them, answered quickly. At the end stands what the model is to reach.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import cat_model
from benchmarks._command_line import parser
from benchmarks.targets import TARGETS
from cat_model.bundle import Bundle
from cat_model.photo import Photo
from cat_model.settings import Settings
from export import gate
from export.evaluate import WORKERS, false_positives, in_batches
from export.reference import Reference
from train.config import Paths
from train.data import manifest
from train.data.manifest import TEST, PhotoRecord
from train.evaluation import metrics, stress
from train.evaluation.metrics import Metrics, Rate


@dataclass(frozen=True)
class Measured:
    """How good the answers to one set of photos are.

    Attributes:
        quick: of quick answers.
        thorough: of thorough ones; None where they were not asked for, or the model has none.
    """

    quick: Metrics
    thorough: Metrics | None = None


def photos(bundle: Bundle, folder: Path, cache: Path | None = None) -> tuple[str, list[PhotoRecord]]:
    """Return a name for the photos of a folder that count, and their records.

    These are the photos of the model's test split if the folder has any ("test"); else those that the model
    has not learned from, under the folder's name. A bundle without reference.json leaves nothing out.

    Args:
        bundle: whose model is measured.
        folder: of groups.
        cache: folder that keeps what was seen of the files; None to keep nothing.
    """
    records, _ = manifest.scan(folder, cache)
    reference = Reference.read(bundle.folder)
    if reference is None:
        return folder.name, records
    if test := [record for record in records if reference.has_in_test(record)]:
        return TEST, test
    return folder.name, [record for record in records if not reference.has_seen(record)]


def measure(
    predictor: cat_model.Predictor, folder: Path, records: Sequence[PhotoRecord], thorough: bool = False
) -> Metrics:
    """Answer photos of a folder of groups and return the metrics at the model's own threshold."""
    return _metrics(predictor, (folder / record.path for record in records), records, thorough)


def measure_stressed(
    predictor: cat_model.Predictor, folder: Path, records: Sequence[PhotoRecord]
) -> dict[str, Metrics]:
    """Answer every stress slice of photos and return each one's metrics."""
    return {
        name: _metrics(predictor, stress.photos(folder, records, name), records) for name in stress.SLICES
    }


def probabilities(
    predictor: cat_model.Predictor, photos: Iterable[Photo], thorough: bool = False
) -> np.ndarray:
    """Return the probability that each of N photos shows a cat, shape (N,); all cores work on them."""

    def work(batch: list[Photo]) -> list[float]:
        return [verdict.probability for verdict in predictor.predict_many(batch, thorough)]

    return np.array(in_batches(work, photos))


def figures(name: str, metrics: Metrics) -> dict[str, float]:
    """Return the figures that targets are set for, by their names."""
    return {
        f"{name}.recall": metrics.recall.value,
        f"{name}.precision": metrics.precision.value,
        f"{name}.cats": float(metrics.recall.total),
        f"{name}.false_cat": false_positives(metrics).value,
        f"{name}.calibration_error": metrics.ece,
        **{f"{name}.recall.{group}": rate.value for group, rate in metrics.recall_of.items()},
    }


def main() -> None:
    """Measure and print."""
    command_line = parser(__doc__)
    command_line.add_argument("folders", nargs="+", type=Path, help="folder of groups: cat*, dog, misc …")
    command_line.add_argument("--stress", action="store_true", help="the test photos under stress, too")
    options = command_line.parse_args()
    predictor, cache = cat_model.load(Settings.from_env().bundle, WORKERS), Paths.from_env().cache
    bundle, search = predictor.bundle, predictor.cascade.search
    print(f"{bundle.version}, {len(bundle.model) / 1e6:.2f} MB")
    found: dict[str, Measured] = {}
    for folder in options.folders:
        name, records = photos(bundle, folder, cache)
        print(f"{name}: {len(records)} photos of {folder}", flush=True)
        thorough = measure(predictor, folder, records, thorough=True) if search else None
        found[name] = Measured(measure(predictor, folder, records), thorough)
        if options.stress and name == TEST:
            slices = measure_stressed(predictor, folder, records)
            found |= {f"{name}.{key}": Measured(quick) for key, quick in slices.items()}
    print(f"\n{table(found, bundle.threshold, search.threshold.cat if search else None)}\n")
    reached = {"size.megabytes": len(bundle.model) / 1e6}
    for name, each in found.items():
        reached |= figures(name, each.quick)
    print(gate.table([gate.hold(rule, *limit, reached.get(rule)) for rule, limit in TARGETS.items()]))


def table(found: Mapping[str, Measured], quick_from: float, thorough_from: float | None) -> str:
    """Return a table in Markdown: a row for each figure of each set of photos.

    Args:
        found: by the names of the sets.
        quick_from: threshold of quick answers.
        thorough_from: that of thorough ones; None leaves their column out.
    """
    titles = [f"quick, from {quick_from:.3f}"]
    if thorough_from is not None:
        titles.append(f"thorough, from {thorough_from:.3f}")
    rows = [["photos", "figure", *titles], ["---"] * (2 + len(titles))]
    for name, each in found.items():
        columns = [_cells(one) if one else {} for one in (each.quick, each.thorough)][: len(titles)]
        rows += [[name, what, *(cells.get(what, "") for cells in columns)] for what in columns[0]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(of: Metrics) -> dict[str, str]:
    rates = {f"recall, {group}": rate for group, rate in of.recall_of.items()}
    rates |= {"recall, all cats": of.recall}
    rates |= {f"false-positive rate, {group}": rate for group, rate in of.false_cat.items()}
    rates |= {"false-positive rate, all others": false_positives(of), "precision": of.precision}
    if of.unsure:
        rates["not sure"] = of.unsure
    return {name: _rate(rate) for name, rate in rates.items()} | {"calibration error": f"{of.ece:.4f}"}


def _rate(rate: Rate) -> str:
    return f"{rate.value:.4f} ({rate.low:.4f} – {rate.high:.4f}; {rate.hits} / {rate.total})"


def _metrics(
    predictor: cat_model.Predictor,
    photos: Iterable[Photo],
    records: Sequence[PhotoRecord],
    thorough: bool = False,
) -> Metrics:
    search = predictor.cascade.search if thorough else None
    point = search.threshold if search else predictor.bundle.decision
    said = probabilities(predictor, photos, thorough)
    return metrics.measure(said, [record.group for record in records], point.cat, point.unsure)


if __name__ == "__main__":
    main()
