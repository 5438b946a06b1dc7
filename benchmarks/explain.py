"""Is the overlay right? Deletion and insertion, additivity, stability, pointing game, agreement and time.

python -m benchmarks.explain ../shared/photos/wild --boxes ../shared/photos/boxes.csv --photos 100

Compares with stock shap.PartitionExplainer under its own image masker (which needs OpenCV) at the same and at
500 evaluations, and with a random map. Everybody explains the first look's logit. Deletion and insertion
(Petsiuk et al. 2018, RISE): the probability of the answer while the most important of 14 × 14 tiles are
blurred first (lower is better), or shown first (higher is better), as the area under the curve. The blur is
as wide as the one that stock SHAP hides with. Pointing game: Zhang et al. 2016. Processor time counts all threads; wall-clock time is
only worth something on an idle machine.
"""

import argparse
import csv
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from scipy.stats import spearmanr

import cat_model
from cat_model.bundle import Bundle
from cat_model.explain import GRID, look, spread
from cat_model.masked import shapley
from cat_model.predict import EXPLAIN_BUDGET, Predictor
from cat_model.settings import Settings

STEPS = 15
STOCK_BUDGET = 500
WORKERS = 2
HIDE = "blur(128,128)"


def stock(predictor: Predictor, pixels: np.ndarray, budget: int) -> np.ndarray:
    """Return the map of stock shap.PartitionExplainer, summed over the tiles, shape (GRID, GRID)."""
    import shap

    explainer = shap.PartitionExplainer(
        lambda some: logits(predictor, some.astype(np.uint8)), shap.maskers.Image(HIDE, pixels.shape)
    )
    values = explainer(pixels[None], max_evals=budget, batch_size=50, silent=True).values[0].sum(-1)
    fine = Image.fromarray(values.astype(np.float32))
    return np.asarray(fine.resize((GRID, GRID), Image.Resampling.BOX), dtype=np.float64)


def logits(predictor: Predictor, pixels: np.ndarray) -> np.ndarray:
    """Return the logits of the first look, shape (N,), float64."""
    return predictor.outputs(pixels).share.sum(axis=(1, 2), dtype=np.float64)


def curves(predictor: Predictor, pixels: np.ndarray, values: np.ndarray, sign: int) -> tuple[float, float]:
    """Return the areas under the deletion and the insertion curve of a map, each 0 to 1."""
    side = len(pixels)
    hidden = np.asarray(Image.fromarray(pixels).filter(ImageFilter.BoxBlur(64 * side / 224)))
    order = np.argsort(-(sign * values).ravel(), kind="stable")
    deleted, inserted = [], []
    for count in np.linspace(0, values.size, STEPS).round().astype(int):
        tiles = np.zeros(values.size, np.uint8)
        tiles[order[:count]] = 1
        mask = Image.fromarray(tiles.reshape(values.shape)).resize((side, side), Image.Resampling.NEAREST)
        chosen = np.asarray(mask)[..., None] == 1
        deleted.append(np.where(chosen, hidden, pixels))
        inserted.append(np.where(chosen, pixels, hidden))
    with ThreadPoolExecutor(WORKERS) as pool:
        both = list(pool.map(lambda some: logits(predictor, np.stack(some)), (deleted, inserted)))
    areas = [float(np.trapezoid(1 / (1 + np.exp(-sign * each)), dx=1 / (STEPS - 1))) for each in both]
    return areas[0], areas[1]


def choose(folder: Path, count: int) -> list[Path]:
    """Return photos of a folder of groups, half of them cats, evenly drawn."""
    cats = sorted(path for group in folder.glob("cat*") for path in group.iterdir())
    rest = sorted(path for path in folder.glob("*/*") if not path.parent.name.startswith("cat"))
    return [
        group[i] for group in (cats, rest) for i in np.linspace(0, len(group) - 1, count // 2).astype(int)
    ]


def compare(predictor: Predictor, paths: Sequence[Path]) -> None:
    """Print each way's areas and times, and what holds of our own two depths."""
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    wrong, agree, apart = [], [], []
    for number, path in enumerate(paths):
        image = predictor.decode(path)
        _, looks, bias = look(predictor, image)
        pixels, generator = looks[0].pixels, np.random.default_rng(number)
        logit = float(looks[0].share.sum())
        full, instant = predictor.explain(image), predictor.explain(image, 0)
        wrong.append(max(abs(each.logit - logit) for each in (full, instant)))
        agree.append(spearmanr(full.values.ravel(), instant.values.ravel()).statistic)
        if number < 20:
            shares = spread(looks[0].share, looks[0].part)
            other, *_ = shapley(predictor, looks, bias, shares, EXPLAIN_BUDGET, seed=1)
            apart.append(spearmanr(full.values.ravel(), other.ravel()).statistic)
        ways: dict[str, Callable[[], np.ndarray]] = {
            "first answer": lambda image=image: look(predictor, image)[1][0].share,
            "instant": lambda image=image: predictor.explain(image, 0).values,
            "full": lambda image=image: predictor.explain(image).values,
            "stock, same": lambda pixels=pixels: stock(predictor, pixels, EXPLAIN_BUDGET),
            f"stock, {STOCK_BUDGET}": lambda pixels=pixels: stock(predictor, pixels, STOCK_BUDGET),
            "random": lambda generator=generator: generator.random((GRID, GRID)),
        }
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            values = way()
            took = time.perf_counter() - wall, time.process_time() - cpu
            areas = curves(predictor, pixels, values, 1 if logit > 0 else -1) if len(values) == GRID else ()
            rows[name].append((*(areas or (np.nan, np.nan)), *took))
        if number % 10 == 9:
            print(f"{number + 1} photos", flush=True)
    print(f"{len(paths)} photos      deletion insertion   wall s  processor s")
    for name, told in rows.items():
        table = np.array(told)
        print(f"{name:14} {table[:, 0].mean():9.3f} {table[:, 1].mean():9.3f}", end="")
        print(f" {np.median(table[:, 2]):9.4f} {np.median(table[:, 3]):9.4f}")
    ours, theirs = np.array(rows["full"]), np.array(rows[f"stock, {STOCK_BUDGET}"])
    for at, name in enumerate(("deletion", "insertion")):
        apart_by = ours[:, at] - theirs[:, at]
        error = apart_by.std(ddof=1) / np.sqrt(len(apart_by))
        print(f"{name}: full - stock at {STOCK_BUDGET} {apart_by.mean():+.3f} ± {1.96 * error:.3f}")
    print(f"additivity: off by at most {max(wrong):.1e}")
    print(f"rank correlation: instant and full {np.mean(agree):.3f}, full at two seeds {np.mean(apart):.4f}")


def point(predictor: Predictor, boxes: Path, count: int) -> None:
    """Print in how many of people's photos that were called a cat the strongest spot lies in a cat's box."""
    cats: dict[str, list[list[float]]] = defaultdict(list)
    with boxes.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["file"].startswith("people/cat") and row["animal"] == "cat":
                cats[row["file"]].append([float(row[edge]) for edge in ("x0", "y0", "x1", "y1")])
    names = sorted(cats)
    hits, covered = {0: [], EXPLAIN_BUDGET: []}, []
    for name in [names[i] for i in np.linspace(0, len(names) - 1, min(count, len(names))).astype(int)]:
        for budget, found in hits.items():
            explanation = predictor.explain(boxes.parent / name, budget)
            if not explanation.verdict.is_cat:
                break
            y, x = (np.array(np.unravel_index(explanation.values.argmax(), (GRID, GRID))) + 0.5) / GRID
            found.append(any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in cats[name]))
            if not budget:
                at = (np.arange(GRID) + 0.5) / GRID
                inside = [
                    ((at >= x0) & (at <= x1)) & ((at >= y0) & (at <= y1))[:, None]
                    for x0, y0, x1, y1 in cats[name]
                ]
                covered.append(np.any(inside, axis=0).mean())
    for budget, found in hits.items():
        print(f"pointing game, budget {budget}: {np.sum(found)} / {len(found)} = {np.mean(found):.3f}")
    print(f"a random spot: {np.mean(covered):.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of groups: cat*, dog, selfie, misc …")
    parser.add_argument("--boxes", type=Path, help="boxes.csv, for the pointing game on people's photos")
    parser.add_argument("--photos", type=int, default=100)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="shap")
    bundle = Bundle.read(Settings.from_env().bundle)
    once = Predictor(replace(bundle, second_look=None), WORKERS)
    stock(once, np.zeros((bundle.side, bundle.side, 3), np.uint8), 16)  # compiles what shap compiles
    once.explain(np.zeros((32, 32, 3), np.uint8))
    if options.boxes:
        point(cat_model.load(bundle.folder, WORKERS), options.boxes, options.photos)
    compare(once, choose(options.folder, options.photos))


if __name__ == "__main__":
    main()
