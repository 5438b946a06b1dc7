"""Quality and time of explanations: deletion, insertion, additivity, stability, agreement, pointing game.

python -m benchmarks.explain ../shared/photos/wild --boxes ../shared/photos/boxes.csv --photos 100

Compares with stock shap.PartitionExplainer under its own image masker (which needs OpenCV) at the same and at
500 evaluations, on every second photo unless `--stock-every` says otherwise (it takes most of the time), and
with a random map. Everybody explains the full view's logit. Deletion and insertion (Petsiuk et al. 2018,
RISE): the probability of the answer while the most important of 14 × 14 tiles are blurred first (lower is
better), or shown first (higher is better), as the area under the curve. Stock SHAP, ours and the curves hide
behind the same box blur. Pointing game: Zhang et al. 2016.

Stock runs as shap runs it, one batch after the other, ours on two cores: processor time, which counts all
threads, compares the work, and wall-clock time the wait, but only on an idle machine. Prints what is known so
far after every tenth photo, and at the end a table in Markdown.
"""

import csv
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from scipy.stats import rankdata

import cat_model
from benchmarks._command_line import parser
from cat_model.bundle import Bundle
from cat_model.cascade import FULL
from cat_model.explain.api import GRID, Explanation
from cat_model.explain.owen import BLUR, Game, shapley
from cat_model.predictor import EXPLAIN_BUDGET, Predictor
from cat_model.settings import Settings

STEPS = 15
STOCK_BUDGET = 500
STOCK_MOST = f"stock SHAP, {STOCK_BUDGET} evaluations"
WORKERS = 2


def stock(predictor: Predictor, pixels: np.ndarray, budget: int) -> np.ndarray:
    """Return the map of stock shap.PartitionExplainer, summed over the tiles, shape (GRID, GRID)."""
    import shap
    from shap.maskers import Image as Masker

    wide = round(2 * BLUR * len(pixels))
    explainer = shap.PartitionExplainer(
        lambda some: logits(predictor, some.astype(np.uint8)),
        Masker(f"blur({wide},{wide})", pixels.shape),
    )
    explained = explainer(pixels[None], max_evals=budget, batch_size=50, silent=True)
    assert isinstance(explained, shap.Explanation)  # of one output; there would be a list of several
    fine = Image.fromarray(np.asarray(explained.values)[0].sum(-1).astype(np.float32))
    return np.asarray(fine.resize((GRID, GRID), Image.Resampling.BOX), dtype=np.float64)


def logits(predictor: Predictor, pixels: np.ndarray) -> np.ndarray:
    """Return the logits of the full view, shape (N,), float64."""
    return predictor.cascade.runtime.run(pixels).share.sum(axis=(1, 2), dtype=np.float64)


def curves(predictor: Predictor, pixels: np.ndarray, values: np.ndarray, sign: int) -> tuple[float, float]:
    """Return the areas under the deletion and the insertion curve of a map, each 0 to 1."""
    side = len(pixels)
    hidden = np.asarray(Image.fromarray(pixels).filter(ImageFilter.BoxBlur(BLUR * side)))
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
    """Return photos of a folder of groups, half of them cats, evenly drawn, in a mixed order."""
    cats = sorted(path for group in folder.glob("cat*") for path in group.iterdir())
    rest = sorted(path for path in folder.glob("*/*") if not path.parent.name.startswith("cat"))
    drawn = [[group[i] for i in evenly(len(group), count // 2)] for group in (cats, rest)]
    mixed = [path for pair in zip(*drawn, strict=True) for path in pair]
    return [mixed[i] for i in np.random.default_rng(0).permutation(len(mixed))]


def evenly(length: int, count: int) -> np.ndarray:
    """Return so many indices, or all there are, from the first to the last."""
    return np.linspace(0, length - 1, min(count, length)).astype(int)


def compare(predictor: Predictor, paths: Sequence[Path], stock_every: int) -> None:
    """Print each way's areas and times, and what holds of our two depths, after every tenth photo."""
    rows: dict[str, dict[int, tuple[float, ...]]] = defaultdict(dict)
    wrong, agree, apart = [], [], []
    for number, path in enumerate(paths):
        image = predictor.decode(path)
        (answer,) = predictor.cascade.answer([image])
        pixels, generator = answer.passes[FULL].pixels, np.random.default_rng(number)
        logit = float(answer.passes[FULL].share.sum(dtype=np.float64))
        ours: dict[int, Explanation] = {}

        def explain(budget: int, image: Image.Image = image, ours: dict = ours) -> np.ndarray:
            ours[budget] = predictor.explain(image, budget)
            return ours[budget].values

        ways: dict[str, Callable[[], np.ndarray]] = {
            "instant": partial(explain, 0),
            "full": partial(explain, EXPLAIN_BUDGET),
            "random": partial(generator.random, (GRID, GRID)),
        }
        if number % stock_every == 0:
            for budget in (EXPLAIN_BUDGET, STOCK_BUDGET):
                ways[f"stock SHAP, {budget} evaluations"] = partial(stock, predictor, pixels, budget)
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            values = way()
            took = time.perf_counter() - wall, time.process_time() - cpu
            rows[name][number] = (*curves(predictor, pixels, values, 1 if logit > 0 else -1), *took)
        wall, cpu = time.perf_counter(), time.process_time()
        predictor.predict(image)
        took = time.perf_counter() - wall, time.process_time() - cpu
        rows["the verdict alone"][number] = (np.nan, np.nan, *took)
        wrong.append(max(abs(each.logit - logit) for each in ours.values()))
        full, instant = ours[EXPLAIN_BUDGET].values, ours[0].values
        agree.append(rank_correlation(full, instant))
        if number % 10 == 0:
            game = Game(predictor.cascade, answer, WORKERS)
            other, *_ = shapley(game, instant, EXPLAIN_BUDGET, seed=1)
            apart.append(rank_correlation(full, other))
        if number % 10 == 9 or number == len(paths) - 1:
            table(rows)
            print(f"additivity: off by at most {max(wrong):.1e}")
            said = f"instant and full {np.mean(agree):.3f}, full at two seeds {np.mean(apart):.4f}"
            print(f"rank correlation: {said}\n", flush=True)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's rank correlation of two maps, -1 to 1."""
    return float(np.corrcoef(rankdata(one.ravel()), rankdata(other.ravel()))[0, 1])


def table(rows: Mapping[str, Mapping[int, tuple[float, ...]]]) -> None:
    """Print in Markdown the means of the areas and the medians of the times, then full against stock."""
    print("| | photos | deletion, lower is better | insertion, higher is better | processor s | wall s |")
    print("|---|---|---|---|---|---|")
    for name, told in rows.items():
        each = np.array(list(told.values()))
        areas = ["" if np.isnan(area) else f"{area:.3f}" for area in each[:, :2].mean(axis=0)]
        wall, cpu = np.median(each[:, 2:], axis=0)
        print("|", " | ".join([name, str(len(told)), *areas, f"{cpu:.4f}", f"{wall:.4f}"]), "|")
    both = rows[STOCK_MOST]
    ours, theirs = (np.array([way[number] for number in both]) for way in (rows["full"], both))
    more = (ours - theirs)[:, :2]
    margin = 1.96 * more.std(axis=0, ddof=1) / np.sqrt(len(more))
    print(f"\nfull less stock at {STOCK_BUDGET} on the same {len(more)} photos, and 95 % margins:")
    for name, mean, width in zip(("deletion", "insertion"), more.mean(axis=0), margin, strict=True):
        print(f"{name} {mean:+.3f} ± {width:.3f}")
    wall, cpu = np.median(ours, axis=0)[2:] / np.median(theirs, axis=0)[2:]
    print(f"as a share of stock's: {cpu:.3f} of its processor time, {wall:.3f} of its wall time")


def point(predictor: Predictor, boxes: Path, count: int) -> None:
    """Print in how many of people's photos that were called a cat the strongest spot lies in a cat's box."""
    cats: dict[str, list[list[float]]] = defaultdict(list)
    with boxes.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["file"].startswith("people/cat") and row["animal"] == "cat":
                cats[row["file"]].append([float(row[edge]) for edge in ("x0", "y0", "x1", "y1")])
    names = sorted(cats)
    hits, covered = {0: [], EXPLAIN_BUDGET: []}, []
    for name in [names[i] for i in evenly(len(names), count)]:
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
    command_line = parser(__doc__)
    command_line.add_argument("folder", type=Path, help="folder of groups: cat*, dog, selfie, misc …")
    command_line.add_argument(
        "--boxes", type=Path, help="boxes.csv, for the pointing game on people's photos"
    )
    command_line.add_argument("--photos", type=int, default=100, help="how many, half of them cats (100)")
    command_line.add_argument(
        "--stock-every", type=int, default=2, help="of so many, stock SHAP explains one (2)"
    )
    options = command_line.parse_args()
    warnings.filterwarnings("ignore", module="shap")
    bundle = Bundle.read(Settings.from_env().bundle)
    once = Predictor(replace(bundle, plan=None), WORKERS)
    stock(once, np.zeros((bundle.side, bundle.side, 3), np.uint8), 16)  # compiles what shap compiles
    once.explain(np.zeros((32, 32, 3), np.uint8))
    if options.boxes:
        point(cat_model.load(bundle.folder, WORKERS), options.boxes, options.photos)
    compare(once, choose(options.folder, options.photos), options.stock_every)


if __name__ == "__main__":
    main()
