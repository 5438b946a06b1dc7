"""How many of the faults planted in a copy of a folder of photos the data checks find.

python -m benchmarks.checks ../shared/photos/train
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks._command_line import parser
from cat_model.photo import decode
from train.checks import suite
from train.checks.policy import POLICY
from train.config import BACKBONES, DataOptions, Paths, TrainConfig

FIRST = 150
"""A person looks at so many label issues."""


@dataclass(frozen=True)
class Planted:
    """Where the faults were planted: paths relative to the copy.

    Attributes:
        swapped: photos of cats that were moved to a group without, and the other way round.
        exact: copies byte by byte.
        near: photos made from others.
        corrupt: files whose picture is damaged.
        blank: pictures of one colour.
    """

    swapped: frozenset[str]
    exact: frozenset[str]
    near: frozenset[str]
    corrupt: frozenset[str]
    blank: frozenset[str]


def plant(
    root: Path,
    seed: int = 0,
    *,
    swapped: int = 60,
    exact: int = 40,
    near: int = 40,
    corrupt: int = 20,
    blank: int = 10,
) -> Planted:
    """Plant faults into a folder of groups, which is changed.

    No photo gets two faults.
    """
    generator = np.random.default_rng(seed)
    files = sorted(path for path in root.glob("*/*") if path.is_file())
    groups = sorted({path.parent.name for path in files})
    drawn = iter([files[index] for index in generator.permutation(len(files))])

    def other_group(path: Path) -> Path:
        cat = path.parent.name.startswith("cat")
        return root / str(generator.choice([group for group in groups if group.startswith("cat") != cat]))

    def made(kind: str, count: int, make: Callable[[Path, Path, int], object]) -> frozenset[str]:
        paths = []
        for number in range(count):
            source = next(drawn)
            target = source.with_name(f"planted_{kind}_{number:03}.jpg")
            make(source, target, number)
            paths.append(target.relative_to(root).as_posix())
        return frozenset(paths)

    moved = []
    for number in range(swapped):
        source = next(drawn)
        target = other_group(source) / f"planted_swapped_{number:03}{source.suffix}"
        source.rename(target)
        moved.append(target.relative_to(root).as_posix())
    return Planted(
        swapped=frozenset(moved),
        exact=made("exact", exact, lambda source, target, _: shutil.copy(source, target)),
        near=made("near", near, _altered),
        corrupt=made("corrupt", corrupt, _damaged),
        blank=made("blank", blank, _one_colour),
    )


def _altered(source: Path, target: Path, number: int) -> None:
    """Re-scale, re-compress, crop by 5 % or mirror a photo; every fifth gets all of these."""
    image = decode(source)
    width, height = image.size
    kind = number % 5
    if kind in (0, 4):
        image = image.resize((max(32, width * 2 // 3), max(32, height * 2 // 3)))
    if kind in (2, 4):
        width, height = image.size
        x, y = round(0.05 * width), round(0.05 * height)
        right, lower = width - x, height - y
        image = image.crop(((x, y, width, height), (0, 0, right, lower), (x, y, right, lower))[number % 3])
    if kind in (3, 4):
        image = ImageOps.mirror(image)
    image.save(target, "JPEG", quality=35 if kind in (1, 4) else 90)


def _damaged(source: Path, target: Path, number: int) -> None:
    """Cut a file short, overwrite its start, empty it, or put text in its place."""
    data = source.read_bytes()
    damaged = (data[: len(data) // 2], bytes(200) + data[200:], b"", b"not a photo at all")
    target.write_bytes(damaged[number % len(damaged)])


def _one_colour(_: Path, target: Path, number: int) -> None:
    shade = (0, 255, 128)[number % 3]
    Image.new("RGB", (224, 200 + number), (shade, shade, shade)).save(target)


def found(report: suite.CheckReport, planted: Planted) -> dict[str, tuple[int, int]]:
    """Return, for each kind of fault, how many were found and how many were planted."""
    listed = {problem.kind: [issue.path for issue in problem.issues] for problem in report.problems}
    pairs = {
        problem.kind: [{issue.path, *issue.related} for issue in problem.issues]
        for problem in report.problems
    }

    def count(kinds: tuple[str, ...], paths: frozenset[str], first: int | None = None) -> tuple[int, int]:
        named = {f"{suite.PHOTOS}/{path}" for path in paths}
        seen = {path for kind in kinds for path in listed.get(kind, [])[:first]}
        if kinds != ("label",):
            seen |= {path for kind in kinds for pair in pairs.get(kind, [])[:first] for path in pair}
        return len(named & seen), len(named)

    return {
        "corrupt": count(("unreadable",), planted.corrupt),
        "blank": count(("low_information",), planted.blank),
        "exact duplicates": count(("exact_duplicate",), planted.exact),
        "near duplicates": count(("near_duplicate",), planted.near),
        f"swapped labels in the first {FIRST}": count(("label",), planted.swapped, FIRST),
    }


def main() -> None:
    """Copy a folder of groups, plant faults, check it and print what was found and how long it took."""
    command_line = parser(__doc__)
    command_line.add_argument("photos", type=Path, help="folder of groups: cat*, dog, selfie, misc …")
    command_line.add_argument("--backbone", choices=BACKBONES, default=TrainConfig().backbone)
    command_line.add_argument("--seed", type=int, default=0, help="of what is planted where (0)")
    options = command_line.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "photos"
        shutil.copytree(options.photos, copy)
        planted = plant(copy, options.seed)
        checks = suite.CheckOptions(
            DataOptions(photos=copy, policy=POLICY),
            backbone=options.backbone,
            cache=Paths.from_env().cache,
        )
        for title in ("first", "again"):
            start = time.perf_counter()
            report = suite.check(checks).report
            print(f"{title}: {time.perf_counter() - start:.1f} s")
    for kind, (seen, total) in found(report, planted).items():
        print(f"{kind:36} {seen:3} of {total:3}  {seen / total:.3f}")
    for problem in report.problems:
        print(f"{problem.severity:8} {problem}")


if __name__ == "__main__":
    main()
