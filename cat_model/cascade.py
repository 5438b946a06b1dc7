"""Every pass of the model over a photo: the full view, then tiles or zooms where it is needed, combined.

Two-stage inference (a cascade; P. Viola and M. Jones, 2001). The first pass sees the whole photo. Newer
models say by their cat map where a cat may be, and get zooms there unless the first pass is a sure no: a zoom
finds small cats, and refutes what only looks like one from afar. Older models have no map: where the first
pass is ambiguous, five overlapping tiles are seen. The logits of the passes are combined by weights that were
fitted when the model was exported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from cat_model.photo import resize
from cat_model.runtime import Runtime
from cat_model.verdict import Threshold, logit, sigmoid

Part = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a photo, as fractions of its width and height."""

WHOLE: Part = (0.0, 0.0, 1.0, 1.0)
FULL, TILE, ZOOM, NARROW, INNER, GRID, GRID_INNER = (
    "full",
    "tile",
    "zoom",
    "narrow",
    "inner",
    "grid",
    "grid_inner",
)
"""Names of passes: the whole photo; the strongest tile; the strongest zoom; the first zoom; a zoom within
that; the strongest view of the grid; a zoom within that."""
SHARP = 1024
"""Pixels of the shorter side that photos are decoded with at least, where zooms are cut from them."""


class CascadeError(ValueError):
    """A cascade cannot be used; the message says why."""


@dataclass(frozen=True)
class Combination:
    """A linear combination of passes' logits.

    Attributes:
        weights: by the names of the passes.
        bias: summand.
    """

    weights: Mapping[str, float]
    bias: float

    def logit(self, passes: Mapping[str, "Pass"]) -> float:
        """Return the combined logit."""
        return self.bias + sum(weight * passes[name].logit for name, weight in self.weights.items())


@dataclass(frozen=True)
class Tiles:
    """Five overlapping tiles, one in each corner and one in the middle, where the full view is ambiguous.

    Attributes:
        low: probability of the full view from which tiles are seen, 0 to 1.
        high: probability from which they are not.
        tile: fraction of each side of the photo that a tile takes, above 0 to 1.
        combination: of FULL and TILE.
    """

    low: float
    high: float
    tile: float
    combination: Combination

    @classmethod
    def from_manifest(cls, stored: Mapping[str, float]) -> "Tiles":
        """Read what a manifest holds under "second_look".

        Raises:
            CascadeError: the values are out of order.
        """
        weights = {FULL: stored["first"], TILE: stored["strongest"]}
        tiles = cls(stored["low"], stored["high"], stored["tile"], Combination(weights, stored["bias"]))
        if not 0 <= tiles.low < tiles.high <= 1 >= tiles.tile > 0:
            raise CascadeError(f"the tiles {dict(stored)} are out of order")
        return tiles


@dataclass(frozen=True)
class Search:
    """The thorough search: a grid of overlapping views, and a zoom at the peak of the strongest one's map.

    Attributes:
        bound: logit of the full view above which it is made.
        grid: views along each side.
        side: fraction of the photo's side that a view takes.
        inner: fraction of the photo's side that the zoom within the strongest one takes.
        combinations: what may be larger than the quick answer's; the largest counts.
        threshold: its own: more passes must not mean more false positives.
    """

    bound: float
    grid: int
    side: float
    inner: float
    combinations: tuple[Combination, ...]
    threshold: Threshold


@dataclass(frozen=True)
class Zooms:
    """Zooms at the peak of the cat map, unless the full view is a sure no.

    Attributes:
        bound: logit of the full view above which zooms are seen.
        ceiling: logit of the full view from which they are not: a sure yes.
        inner_below: combined logit of full view and zooms below which the zoom within a zoom is made.
        sides: fractions of the photo's side that the zooms take; the first one is the narrow one.
        inner: fraction of the photo's side of a zoom at the peak of the narrow one's own map; None for none.
        combinations: the largest one counts.
        search: the thorough search; None for none.
    """

    bound: float
    ceiling: float
    inner_below: float
    sides: tuple[float, ...]
    inner: float | None
    combinations: tuple[Combination, ...]
    search: Search | None = None

    @classmethod
    def from_manifest(cls, stored: Mapping[str, Any]) -> "Zooms":
        """Read what a manifest holds under "cascade".

        Raises:
            CascadeError: the values are out of order.
        """
        thorough, search = stored.get("thorough"), None
        if thorough:
            search = Search(
                bound=thorough["bound"],
                grid=thorough["grid"],
                side=thorough["side"],
                inner=thorough["inner"],
                combinations=_combinations(thorough["combinations"]),
                threshold=Threshold(thorough["threshold"], tuple(thorough["unsure"])),
            )
        zooms = cls(
            bound=stored["bound"],
            ceiling=stored["ceiling"],
            inner_below=stored["inner_below"],
            sides=tuple(stored["zooms"]),
            inner=stored["inner"],
            combinations=_combinations(stored["quick"]["combinations"]),
            search=search,
        )
        sides = [*zooms.sides, *([zooms.inner] if zooms.inner else [])]
        sides += [search.side, search.inner] if search else []
        names = {name for each in zooms.combinations for name in each.weights}
        possible = {FULL, ZOOM, NARROW} | ({INNER} if zooms.inner else set())
        if all(INNER in each.weights for each in zooms.combinations):
            raise CascadeError("every combination needs the zoom within a zoom")
        if not zooms.sides or not all(0 < side <= 1 for side in sides) or not zooms.combinations:
            raise CascadeError("the sides of its zooms are out of order")
        if not names <= possible or (search and not search.grid > 0):
            raise CascadeError(f"its combinations name {sorted(names - possible)}")
        return zooms

    def to_manifest(self) -> dict[str, Any]:
        """Return what `from_manifest` reads."""
        search = self.search
        return {
            "bound": self.bound,
            "ceiling": self.ceiling,
            "inner_below": self.inner_below,
            "zooms": list(self.sides),
            "inner": self.inner,
            "quick": {"combinations": [_stored(each) for each in self.combinations]},
            "thorough": search
            and {
                "bound": search.bound,
                "grid": search.grid,
                "side": search.side,
                "inner": search.inner,
                "combinations": [_stored(each) for each in search.combinations],
                "threshold": search.threshold.cat,
                "unsure": list(search.threshold.unsure),
            },
        }


@dataclass(frozen=True)
class Pass:
    """What one pass over a photo, or a part of it, came to.

    Attributes:
        part: of the photo.
        pixels: shape (side, side, 3), uint8, RGB: what the model was shown.
        probability: that this part shows a cat, 0 to 1, as the model gave it.
        share: shape (H, W), float32: the attribution of each cell; they sum to the logit.
        embedding: shape (D,), float32.
        peak: x and y of the cat map's highest cell, as fractions of the photo; None without a map.
    """

    part: Part
    pixels: np.ndarray
    probability: float
    share: np.ndarray
    embedding: np.ndarray
    peak: tuple[float, float] | None

    @cached_property  # fitting a cascade asks for it thousands of times
    def logit(self) -> float:
        """The logit of the probability."""
        return float(logit(np.array(self.probability)))


@dataclass(frozen=True)
class Answer:
    """What all passes over one photo came to.

    Attributes:
        logit: of the verdict.
        passes: by their names; the full view is always there.
        combination: that the logit comes from.
    """

    logit: float
    passes: Mapping[str, Pass]
    combination: Combination

    @property
    def probability(self) -> float:
        """That the photo shows a cat, 0 to 1."""
        if self.combination == ALONE:
            return self.passes[FULL].probability
        return float(sigmoid(np.array(self.logit)))

    @property
    def counted(self) -> list[tuple[Pass, float]]:
        """The passes that the logit comes from, the full view first, each with its weight."""
        return [(self.passes[name], weight) for name, weight in self.combination.weights.items()]

    @property
    def closer(self) -> Part | None:
        """The part that was looked at closest of those that count; None without zooms."""
        zooms = [each.part for each, _ in self.counted if each.part != WHOLE and each.peak is not None]
        return min(zooms, key=lambda part: part[2] - part[0], default=None)


ALONE = Combination({FULL: 1.0}, 0.0)
"""The full view as it is."""


@dataclass(frozen=True)
class Cascade:
    """Runs the passes of one model; safe to share between threads.

    Attributes:
        runtime: of the model.
        plan: how the passes after the first are chosen and combined; None for the full view alone.
    """

    runtime: Runtime
    plan: Tiles | Zooms | None = None

    @property
    def side(self) -> int:
        """Pixels of each side of what the model is shown."""
        return self.runtime.side

    @property
    def search(self) -> Search | None:
        """The thorough search; None if the model has none."""
        return self.plan.search if isinstance(self.plan, Zooms) else None

    @property
    def decoded_side(self) -> int:
        """Pixels of the shorter side that a photo should be decoded with, so that every pass is sharp."""
        return SHARP if isinstance(self.plan, Zooms) else 2 * self.side

    def answer(self, images: Sequence[Image.Image], thorough: bool = False) -> list[Answer]:
        """Look at pictures.

        Args:
            images: N pictures in mode RGB.
            thorough: whether to search every part of them, if the model knows how.
        """
        plan, search = self.plan, self.search if thorough else None
        return [combine(passes, plan, search) for passes in self.collect(images, plan, search)]

    def collect(
        self, images: Sequence[Image.Image], plan: Tiles | Zooms | None, search: Search | None
    ) -> list[dict[str, Pass]]:
        """Make the passes that a plan asks for; return those of each picture, by their names."""
        found: list[dict[str, Pass]] = [{FULL: each} for each in self._see(images, [WHOLE] * len(images))]
        if isinstance(plan, Tiles):
            self._strongest(images, found, self._ambiguous(found, plan), tiles(plan.tile), TILE)
        elif isinstance(plan, Zooms):
            chosen = [index for index, each in enumerate(found) if needs_zooms(each[FULL], plan)]
            self._zoom(images, found, chosen, plan)
            if search:
                chosen = [index for index, each in enumerate(found) if each[FULL].logit > search.bound]
                self._strongest(images, found, chosen, grid(search.grid, search.side), GRID)
                self._within(images, found, chosen, (GRID, GRID_INNER, search.inner))
        return found

    @staticmethod
    def _ambiguous(found: Sequence[Mapping[str, Pass]], plan: Tiles) -> list[int]:
        return [index for index, each in enumerate(found) if plan.low <= each[FULL].probability < plan.high]

    def _zoom(
        self, images: Sequence[Image.Image], found: list[dict[str, Pass]], chosen: list[int], plan: Zooms
    ) -> None:
        parts = [around(_peak(found[index][FULL]), side) for index in chosen for side in plan.sides]
        seen = self._see([images[index] for index in chosen for _ in plan.sides], parts)
        count = len(plan.sides)
        for number, index in enumerate(chosen):
            zooms = seen[number * count : (number + 1) * count]
            found[index] |= {NARROW: zooms[0], ZOOM: max(zooms, key=lambda each: each.logit)}
        if plan.inner:
            missed = [index for index in chosen if needs_inner(found[index], plan)]
            self._within(images, found, missed, (NARROW, INNER, plan.inner))

    def _within(
        self,
        images: Sequence[Image.Image],
        found: list[dict[str, Pass]],
        chosen: list[int],
        names: tuple[str, str, float],
    ) -> None:
        """Zoom at the peak of an earlier pass's own map: its name, the new pass's name, the side."""
        outer, inner, side = names
        parts = [around(_peak(found[index][outer]), side) for index in chosen]
        for index, each in zip(chosen, self._see([images[index] for index in chosen], parts), strict=True):
            found[index][inner] = each

    def _strongest(
        self,
        images: Sequence[Image.Image],
        found: list[dict[str, Pass]],
        chosen: list[int],
        parts: Sequence[Part],
        name: str,
    ) -> None:
        """See every part of the chosen pictures; keep the one with the highest logit."""
        seen = self._see([images[index] for index in chosen for _ in parts], list(parts) * len(chosen))
        for number, index in enumerate(chosen):
            mine = seen[number * len(parts) : (number + 1) * len(parts)]
            found[index][name] = max(mine, key=lambda each: each.logit)

    def _see(self, images: Sequence[Image.Image], parts: Sequence[Part]) -> list[Pass]:
        """Run the model on a part of each picture."""
        passes: list[Pass] = []
        # One by one for a single picture: each new batch size makes the interpreter allocate anew.
        batch = 1 if len(set(map(id, images))) <= 1 else len(images)
        for start in range(0, len(images), batch):
            shown = parts[start : start + batch]
            pixels = np.stack(
                [cut(image, self.side, part) for image, part in zip(images[start:], shown, strict=False)]
            )
            said = self.runtime.run(pixels)
            for index, part in enumerate(shown):
                cells = None if said.cat_map is None else said.cat_map[index]
                passes.append(
                    Pass(
                        part=part,
                        pixels=pixels[index],
                        probability=float(said.probability[index]),
                        share=said.share[index],
                        embedding=said.embedding[index],
                        peak=None if cells is None else peak(cells, part),
                    )
                )
        return passes


def combine(passes: Mapping[str, Pass], plan: Tiles | Zooms | None, search: Search | None) -> Answer:
    """Combine the logits of the passes over a photo.

    Passes that the plan would not have made are passed over: those of one recording can serve several plans.
    """
    best = _quick(passes, plan)
    if search and GRID in passes and passes[FULL].logit > search.bound:
        best = max((best, *search.combinations), key=lambda each: each.logit(passes))
    return Answer(best.logit(passes), passes, best)


def _quick(passes: Mapping[str, Pass], plan: Tiles | Zooms | None) -> Combination:
    if isinstance(plan, Tiles) and TILE in passes:
        return plan.combination
    if not isinstance(plan, Zooms) or not needs_zooms(passes[FULL], plan):
        return ALONE
    best = _without_inner(passes, plan)
    if plan.inner and best.logit(passes) < plan.inner_below:
        possible = [each for each in plan.combinations if set(each.weights) <= set(passes)]
        return max(possible, key=lambda each: each.logit(passes))
    return best


def _without_inner(passes: Mapping[str, Pass], plan: Zooms) -> Combination:
    plain = [each for each in plan.combinations if INNER not in each.weights]
    return max(plain, key=lambda each: each.logit(passes))


def needs_zooms(full: Pass, plan: Zooms) -> bool:
    """Say whether a photo gets zooms after its full view."""
    return plan.bound < full.logit < plan.ceiling


def needs_inner(passes: Mapping[str, Pass], plan: Zooms) -> bool:
    """Say whether a photo that got zooms gets the zoom within the narrow one."""
    return bool(plan.inner) and _without_inner(passes, plan).logit(passes) < plan.inner_below


def cut(image: Image.Image, side: int, part: Part = WHOLE) -> np.ndarray:
    """Return what the model is shown of a picture or a part of it, shape (side, side, 3), uint8, RGB."""
    if part == WHOLE:
        return resize(image, side)
    left, top, right, bottom = part
    box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
    return resize(image, side, box)


def peak(cat_map: np.ndarray, part: Part) -> tuple[float, float]:
    """Return x and y of the middle of a map's highest cell, as fractions of the photo.

    Args:
        cat_map: shape (H, W), of a part of the photo.
        part: which.
    """
    height, width = cat_map.shape
    row, column = divmod(int(cat_map.argmax()), width)
    left, top, right, bottom = part
    x, y = (column + 0.5) / width, (row + 0.5) / height
    return left + x * (right - left), top + y * (bottom - top)


def around(place: tuple[float, float], side: float) -> Part:
    """Return a part of a side around a place, moved so that it lies inside the photo."""
    left, top = (float(np.clip(at - side / 2, 0, 1 - side)) for at in place)
    return left, top, left + side, top + side


def tiles(tile: float) -> list[Part]:
    """Return five overlapping tiles of a side: one in each corner, then one in the middle."""
    rest = 1 - tile
    corners = [(x, y) for x in (0.0, rest) for y in (0.0, rest)] + [(rest / 2, rest / 2)]
    return [(x, y, x + tile, y + tile) for x, y in corners]


def grid(count: int, side: float) -> list[Part]:
    """Return count × count views of a side, evenly spread over the photo."""
    starts = np.linspace(0, 1 - side, count).tolist()
    return [(x, y, x + side, y + side) for y in starts for x in starts]


def _peak(seen: Pass) -> tuple[float, float]:
    if seen.peak is None:
        raise CascadeError("the model has no cat map, which zooms need")
    return seen.peak


def _combinations(stored: Sequence[Mapping[str, Any]]) -> tuple[Combination, ...]:
    return tuple(Combination(dict(each["weights"]), each["bias"]) for each in stored)


def _stored(combination: Combination) -> dict[str, Any]:
    return {"weights": dict(combination.weights), "bias": combination.bias}
