"""The tab "About": how good the model is, from the manifest of the bundle that answers.

Bundles of earlier versions lack some figures, and what a manifest holds beside the model is not verified when
a bundle is read. So each part is shown where it can be read, and named as missing where it cannot.
"""

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import gradio as gr

from cat_model.bundle import CARD
from web import text
from web.server.reload import ReloadingPredictor
from web.ui.explanation import PRIVATE

WIDTH, HEIGHT, MARGIN = 420, 360, 44
"""Of the calibration plot, in its own units, and what its axes' words take on the left and below."""
CATS, OTHERS = "recall_of", "false_cat"
"""The manifest's names for the kinds of photos with a cat and without."""
PLOTTED = 2
"""Sets of photos in the calibration plot, the first ones; with more of them it cannot be read."""
WORST = 3
"""So many of the kinds of photos that it gets wrong most often are named."""
LEAST = 10
"""Photos that a kind must have to be named among those."""


@dataclass(frozen=True)
class Rate:
    """A proportion with its 95 % Wilson interval.

    Attributes:
        value: hits / total, 0 to 1.
        low: lower end of the interval, 0 to 1.
        high: upper end of the interval, 0 to 1.
        hits: how many.
        total: of how many, at least 1.
    """

    value: float
    low: float
    high: float
    hits: int
    total: int

    @classmethod
    def read(cls, found: object) -> "Rate | None":
        """Return a manifest's rate; None where it is missing, of no photos, or not a rate."""
        if not isinstance(found, Mapping):
            return None
        try:
            value, low, high = (float(found[name]) for name in ("value", "low", "high"))
            hits, total = int(found["hits"]), int(found["total"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        return cls(value, low, high, hits, total) if total > 0 and 0 <= low <= value <= high <= 1 else None


@dataclass(frozen=True)
class Bin:
    """The photos at which the model gave similar probabilities.

    Attributes:
        said: mean of the probabilities, 0 to 1.
        cats: how many of the photos are cats.
    """

    said: float
    cats: Rate


@dataclass(frozen=True)
class Group:
    """Photos of one kind, within one set.

    Attributes:
        photos: name of the set, such as "people".
        name: of the kind, such as "dog".
        called_cat: how many were called cats.
    """

    photos: str
    name: str
    called_cat: Rate

    @property
    def words(self) -> str:
        """Both names, as visitors read them."""
        return f"{text.group(self.name)} ({text.photos(self.photos)})"


class Figures:
    """What a manifest tells of its model's answers; each part is empty where it tells nothing."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        """Read a manifest, as manifest.json holds it."""
        self._manifest = manifest

    def part(self, *names: str) -> Mapping[str, Any]:
        """Return a part of the manifest by the names that lead to it; empty where there is none."""
        found: object = self._manifest
        for name in names:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def totals(self, part: str, *metrics: str) -> dict[str, tuple[Rate | None, ...]]:
        """Return some metrics of each set of "metrics", "thorough" or "stress" that has one of them."""
        found = {
            name: tuple(Rate.read(self.part(part, name).get(metric)) for metric in metrics)
            for name in self.part(part)
        }
        return {name: found[name] for name in sorted(found, key=text.first_photos) if any(found[name])}

    def groups(self, which: str) -> list[Group]:
        """Return the kinds with a cat (`CATS`) or those without (`OTHERS`), of all sets."""
        found = [
            Group(photos, name, rate)
            for photos in self.part("metrics")
            for name, found in self.part("metrics", photos, which).items()
            if (rate := Rate.read(found))
        ]
        return sorted(found, key=lambda each: (text.first_group(each.name), text.first_photos(each.photos)))

    def calibration(self) -> dict[str, list[Bin]]:
        """Return the bins of each set."""
        found = {photos: list(_bins(bins)) for photos, bins in self.part("calibration").items()}
        return {photos: found[photos] for photos in sorted(found, key=text.first_photos) if found[photos]}


def _bins(found: object) -> Iterator[Bin]:
    for each in found if isinstance(found, Sequence) and not isinstance(found, str) else ():
        cats = Rate.read(each.get("cats")) if isinstance(each, Mapping) else None
        said = each.get("said") if cats else None
        if cats and isinstance(said, int | float) and 0 <= said <= 1:
            yield Bin(float(said), cats)


def page(manifest: Mapping[str, Any], has_card: bool = False) -> str:
    """Return the tab's HTML.

    Args:
        manifest: of the bundle that answers.
        has_card: whether its model card can be had at `text.CARD_ADDRESS`.
    """
    figures = Figures(manifest)
    sections: list[tuple[str, Callable[[Figures], str]]] = [
        (text.HOW_GOOD, _how_good),
        (text.THOROUGHLY, _thoroughly),
        (text.BY_KIND, _by_kind),
        (text.CORRUPTED, _corrupted),
        (text.CALIBRATION, _calibration),
        (text.WRONG_ABOUT, _wrong),
        (text.QUALITY_CHECK, _quality_check),
    ]
    told = [(title, content(figures)) for title, content in sections]
    shown = "".join(_section(title, content) for title, content in told if content)
    missing = [title for title, content in told if not content]
    lacks = f'<p class="missing">{_esc(text.missing(missing))}</p>' if missing else ""
    return f'<div id="figures">{shown}{lacks}{_origin(figures, has_card)}</div>'


def lay_out(predictor: ReloadingPredictor, tab: gr.Tab) -> None:
    """Lay out the tab's content, which is made whenever the tab is opened: the model may change.

    Args:
        predictor: whose bundle is told of.
        tab: that it is laid out in.
    """

    def about() -> str:
        bundle = predictor.bundle
        return page(bundle.manifest, (bundle.folder / CARD).is_file())

    told = gr.HTML(apply_default_css=False, elem_id="model")
    tab.select(about, None, told, queue=False, **PRIVATE)


def _how_good(figures: Figures) -> str:
    found = figures.totals("metrics", "recall", "precision", "unsure")
    if not found:
        return ""
    lead = ""
    photos, (recall, precision, _) = next(iter(found.items()))
    if recall and precision:
        lead = f"<p>{_esc(text.how_good(photos, (_of_100(recall), _of_100(precision))))}</p>"
    return f"{lead}{_sets(found)}<p>{_esc(text.INTERVALS)}</p>"


def _thoroughly(figures: Figures) -> str:
    found = figures.totals("thorough", "recall", "precision", "unsure")
    return f"<p>{_esc(text.THOROUGHLY_MEANS)}</p>{_sets(found)}" if found else ""


def _sets(found: Mapping[str, Sequence[Rate | None]]) -> str:
    rows = [(text.photos(photos), *map(_cell, rates)) for photos, rates in found.items()]
    return _table((text.PHOTOS, text.RECALL, text.PRECISION, text.UNSURE), rows)


def _by_kind(figures: Figures) -> str:
    sets = sorted(figures.part("metrics"), key=text.first_photos)
    rows = []
    for which in (CATS, OTHERS):
        found = {(each.name, each.photos): each.called_cat for each in figures.groups(which)}
        for name in dict.fromkeys(name for name, _ in found):
            rates = [found.get((name, photos)) for photos in sets]
            rows.append((text.group(name), *(_cell(rate, good=which == CATS) for rate in rates)))
    about = f"<p>{_esc(text.BY_KIND_MEANS)}</p>"
    return f"{about}{_table((text.CALLED_CATS, *map(text.photos, sets)), rows)}" if rows else ""


def _corrupted(figures: Figures) -> str:
    found = figures.totals("stress", "recall", "precision")
    rows = [(text.corruption(name), *map(_cell, rates)) for name, rates in found.items()]
    about = f"<p>{_esc(text.CORRUPTED_MEANS)}</p>"
    return f"{about}{_table((text.PHOTOS, text.RECALL, text.PRECISION), rows)}" if rows else ""


def _calibration(figures: Figures) -> str:
    found = figures.calibration()
    if not found:
        return ""
    rows = [
        (text.photos(photos), f"{_percent(each.said)}\u00a0%", _cell(each.cats))
        for photos, bins in found.items()
        for each in bins
    ]
    numbers = _table((text.PHOTOS, text.SAID, text.WERE_CATS), rows)
    return (
        f"<p>{_esc(text.CALIBRATION_MEANS)}</p>{plot(dict(islice(found.items(), PLOTTED)))}"
        f"<details><summary>{_esc(text.AS_NUMBERS)}</summary>{numbers}</details>"
    )


def _wrong(figures: Figures) -> str:
    missed = _enough(figures.groups(CATS))
    missed.sort(key=lambda group: group.called_cat.value)
    taken = [group for group in _enough(figures.groups(OTHERS)) if group.called_cat.hits]
    taken.sort(key=lambda group: -group.called_cat.value)
    stress = [(name, rate) for name, (rate,) in figures.totals("stress", "recall").items() if rate]
    stress.sort(key=lambda found: found[1].value)
    told = [
        *(text.misses(group.words, _of_100(group.called_cat)) for group in missed[:1]),
        *(text.misses(text.corruption(name), _of_100(rate)) for name, rate in stress[:WORST]),
        *(text.takes(group.words, _of_100(group.called_cat)) for group in taken[:WORST]),
    ]
    return f"<ul>{''.join(f'<li>{_esc(each)}</li>' for each in told)}</ul>" if told else ""


def _enough(groups: Sequence[Group]) -> list[Group]:
    return [group for group in groups if group.called_cat.total >= LEAST]


def _quality_check(figures: Figures) -> str:
    gate = figures.part("gate")
    passed, rules = gate.get("passed"), gate.get("findings")
    if not isinstance(passed, bool) or not isinstance(rules, list):
        return ""
    failed = sum(isinstance(each, Mapping) and not each.get("passed") for each in rules)
    said = text.passed(len(rules)) if passed else text.not_passed(failed, len(rules))
    if not gate.get("forced"):
        return f"<p>{_esc(said)}</p>"
    why = f"<summary>{_esc(text.WHY_SHIPPED)}</summary><p>{_esc(gate['forced'])}</p>"
    return f"<p>{_esc(said)}</p><details>{why}</details>"


def _origin(figures: Figures, has_card: bool) -> str:
    """Return what the model is: version, where its answers change, photos, licence, links."""
    manifest = figures.part()
    facts = [(text.VERSION, manifest.get("version")), (text.ANSWERS, _answers(manifest))]
    learned = figures.part("training", "photos").get("train")
    if isinstance(learned, int) and learned:
        facts.append((text.LEARNED_FROM, text.learned_from(learned)))
    backbone = figures.part("training", "config").get("backbone")
    facts += [(text.BACKBONE, backbone), (text.LICENCE, text.LICENSED)]
    rows = "".join(f"<dt>{_esc(name)}</dt><dd>{_esc(value)}</dd>" for name, value in facts if value)
    links = {**({text.CARD_ADDRESS: text.CARD} if has_card else {}), **text.LINKS}
    more = "".join(
        f'<li><a href="{_esc(address)}" target="_blank" rel="noopener">{_esc(words)}</a></li>'
        for address, words in links.items()
    )
    return _section(text.THE_MODEL, f"<dl>{rows}</dl>") + _section(text.MORE, f"<ul>{more}</ul>")


def _section(title: str, content: str) -> str:
    return f"<section><h2>{_esc(title)}</h2>{content}</section>"


def _answers(manifest: Mapping[str, Any]) -> str:
    threshold, band = manifest.get("threshold"), manifest.get("unsure")
    if not isinstance(threshold, int | float) or not isinstance(band, list | tuple) or len(band) != 2:
        return ""
    return text.answers(*map(_percent, (threshold, *band)))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; the first cell of each row is its heading, in words, and the others are HTML."""
    top = "".join(f'<th scope="col">{_esc(each)}</th>' for each in head)
    body = "".join(
        f'<tr><th scope="row">{_esc(first)}</th>{"".join(f"<td>{each}</td>" for each in rest)}</tr>'
        for first, *rest in rows
    )
    # Where it is wider than the screen it scrolls, by the keyboard too.
    return (
        f'<div class="table" role="region" tabindex="0" aria-label="{_esc(", ".join(head))}">'
        f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(rate: Rate | None, good: bool = True) -> str:
    """Return a rate with its interval, in words and as a bar; `good` chooses the colour."""
    if rate is None:
        return _esc(text.NOT_MEASURED)
    left, wide, dot = 100 * rate.low, 100 * (rate.high - rate.low), 100 * rate.value
    bar = (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="all" width="100" height="8"/>'
        f'<rect x="{left:.1f}" width="{max(wide, 1):.1f}" height="8"/>'
        f'<rect class="value" x="{min(dot, 99):.1f}" width="1" height="8"/></svg>'
    )
    said = f"<b>{_percent(rate.value)}\u00a0%</b> <span>({_percent(rate.low)} – {_percent(rate.high)})</span>"
    count = f"{rate.hits} / {rate.total}"
    return f'<span class="rate{"" if good else " bad"}">{said} <small>{count}</small>{bar}</span>'


def _percent(part: float) -> str:
    """Return a proportion in percent; only what is all or nothing is called 100 or 0."""
    return f"{100 * part:.0f}" if part in (0, 1) else f"{min(max(100 * part, 0.1), 99.9):.1f}"


def _of_100(rate: Rate) -> tuple[str, str, str]:
    """Return value and interval of a rate, in whole numbers out of 100, that none or all are only if so."""

    def whole(part: float) -> str:
        return f"{100 * part:.0f}" if part in (0, 1) else f"{min(max(round(100 * part), 1), 99)}"

    return whole(rate.value), whole(rate.low), whole(rate.high)


def plot(found: Mapping[str, Sequence[Bin]]) -> str:
    """Return the calibration plot as SVG: how many were cats, by what the model said.

    A dot for each bin, as big as it has photos, with its 95 % interval; colours come from page.css.

    Args:
        found: bins by the name of their set.
    """

    def x(part: float) -> float:
        return MARGIN + part * (WIDTH - MARGIN - 10)

    def y(part: float) -> float:
        return 10 + (1 - part) * (HEIGHT - MARGIN - 10)

    lines = [f'<line class="even" x1="{x(0):.1f}" y1="{y(0):.1f}" x2="{x(1):.1f}" y2="{y(1):.1f}"/>']
    for tick in (0, 0.25, 0.5, 0.75, 1):
        lines += [
            f'<line class="grid" x1="{x(0):.1f}" x2="{x(1):.1f}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>',
            f'<line class="grid" y1="{y(0):.1f}" y2="{y(1):.1f}" x1="{x(tick):.1f}" x2="{x(tick):.1f}"/>',
            f'<text text-anchor="end" x="{x(0) - 6:.1f}" y="{y(tick) + 4:.1f}">{100 * tick:.0f}</text>',
            f'<text text-anchor="middle" x="{x(tick):.1f}" y="{y(0) + 16:.1f}">{100 * tick:.0f}</text>',
        ]
    middle_x, middle_y = x(0.5), y(0.5)
    lines += [
        f'<text text-anchor="middle" x="{middle_x:.1f}" y="{HEIGHT - 8}">{_esc(text.SAID_AXIS)}</text>',
        f'<text text-anchor="middle" transform="translate(12 {middle_y:.1f}) rotate(-90)">'
        f"{_esc(text.CATS_AXIS)}</text>",
    ]
    for number, bins in enumerate(found.values()):
        dots = "".join(
            f'<line x1="{x(each.said):.1f}" x2="{x(each.said):.1f}" y1="{y(each.cats.low):.1f}" '
            f'y2="{y(each.cats.high):.1f}"/>'
            f'<circle cx="{x(each.said):.1f}" cy="{y(each.cats.value):.1f}" '
            f'r="{_radius(each.cats.total):.1f}"/>'
            for each in bins
        )
        lines.append(f'<g class="set{number % PLOTTED}">{dots}</g>')
    keys = "".join(
        f'<li><svg class="set{number % PLOTTED}" viewBox="0 0 12 12" aria-hidden="true">'
        f'<circle cx="6" cy="6" r="5"/></svg>{_esc(text.photos(photos))}</li>'
        for number, photos in enumerate(found)
    )
    return (
        f'<svg class="calibration" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{_esc(text.PLOT)}">{"".join(lines)}</svg><ul class="keys">{keys}</ul>'
    )


def _radius(photos: int) -> float:
    return min(3 + photos**0.5 / 6, 7)


def _esc(words: object) -> str:
    return html.escape(str(words))
