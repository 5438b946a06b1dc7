"""Precision and recall by people's feedback, the most disputed photos, and suspected spam (outlier tests).

An HTML page with the photos that people agreed to have kept: it stays with the set and is never committed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import binomtest, poisson

from cat_model.atomic import write_durably
from cat_model.feedback.record import Record
from cat_model.verdict import CAT, NOT_SURE
from train import html_page
from train.evaluation import metrics, report
from train.evaluation.metrics import Rate
from train.feedback import dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, SUSPECTS = "feedback.html", "suspects.csv"
FALSE_ALARM = 1e-4
"""How unlikely a burst, or so many answers against the model, must be before it is suspected."""
BUSY = 0.9
"""Share of the other hours that the usual one is busier than: days have nights, and honest people sleep."""
FEW = 10
SHOWN = 30
DRAWN = ("agree", "precision", "recall")


@dataclass(frozen=True)
class Suspicion:
    """Records that may not be honest.

    Attributes:
        kind: "burst", "always wrong" or "again and again".
        about: what is odd, in words.
        ids: of the records.
    """

    kind: str
    about: str
    ids: tuple[str, ...]


def write(folder: Path) -> str:
    """Write `feedback.html` and `suspects.csv` into a set's folder; return what to print.

    Raises:
        TrainError: the folder holds no set.
    """
    records = dataset.read(folder)
    suspicions = suspects(records)
    tables = {
        "All": summary({"all": records}, "records"),
        "By model version": summary(_by(records, _version), "version"),
        "By week": summary(_by(records, _week), "week"),
    }
    suspected = pd.DataFrame(
        [{"kind": each.kind, "about": each.about, "records": len(each.ids)} for each in suspicions],
        columns=["kind", "about", "records"],
    )
    parts = [
        "<p>Precision and recall are by people's own word. Intervals are 95 % Wilson intervals; "
        "people who answer are not a sample of all.</p>"
    ]
    for title, table in tables.items():
        parts.append(f"<h2>{title}</h2>{html_page.table(table)}")
    for title, groups in (("week", _by(records, _week)), ("model version", _by(records, _version))):
        parts.append(html_page.plot(_plot(groups), f"By {title}, with 95 % intervals"))
    parts.append("<h2>Most often disputed</h2>")
    parts.append(html_page.gallery(_disputed(folder, records)))
    parts.append(f"<h2>Suspected spam: {len(suspicions)}</h2>{html_page.table(suspected)}")
    write_durably(folder / PAGE, html_page.page("Feedback", parts))
    rows = [(each.kind, identity) for each in suspicions for identity in each.ids]
    write_durably(folder / SUSPECTS, pd.DataFrame(rows, columns=["kind", "id"]).to_csv(index=False).encode())
    shown = "\n\n".join(table.to_string(index=False) for table in tables.values())
    return f"{shown}\n\nSuspected: {len(rows)} records. More: {folder / PAGE}"


def summary(groups: dict[str, list[Record]], name: str) -> pd.DataFrame:
    """Return one row a group of records: agreement, precision and recall by people's word, with intervals."""
    return pd.DataFrame([{name: key, **_row(records)} for key, records in groups.items()])


def suspects(records: Sequence[Record]) -> list[Suspicion]:
    """Return what looks like spam; nobody is known, so it is told by hours, photos and answers alone.

    - burst: far more records in an hour than the busy ones of the other hours let expect (Poisson);
    - always wrong: of an hour's answers far more are against the model than of the others (binomial);
    - again and again: the same photo, or its numbers, with the same answer, `FEW` times or more.
    """
    found = []
    hours = _by(records, lambda record: record.hour)
    against = [record for record in records if dataset.agrees(record) is False]
    for hour, members in hours.items():
        ids = tuple(record.id for record in members)
        if len(hours) > FEW and len(members) > _most_an_hour([len(m) for h, m in hours.items() if h != hour]):
            found.append(Suspicion("burst", f"{len(members)} records in {hour[:13]} h", ids))
        decided = [record for record in members if dataset.agrees(record) is not None]
        wrong = tuple(record.id for record in decided if not dataset.agrees(record))
        others = sum(dataset.agrees(r) is not None for r in records) - len(decided)
        rate = (len(against) - len(wrong) + 1) / (others + 2)
        if len(wrong) >= FEW and others:
            p_value = binomtest(len(wrong), len(decided), rate, alternative="greater").pvalue
            if p_value < FALSE_ALARM / len(hours):
                about = f"{len(wrong)} of {len(decided)} against the model in {hour[:13]} h"
                found.append(Suspicion("always wrong", about, wrong))
    for members in _by(records, _same_photo).values():
        if members[0].embedding and len(members) >= FEW:
            ids = tuple(record.id for record in members)
            found.append(Suspicion("again and again", f"one photo, one answer, {len(ids)} times", ids))
    return found


def _most_an_hour(others: Sequence[int]) -> float:
    """Return how many records an hour may have, from how many each of the others has."""
    usual = max(float(np.quantile(others, BUSY)), 1.0)
    return max(float(FEW), float(poisson.isf(FALSE_ALARM / (len(others) + 1), usual)))


def _row(records: Sequence[Record]) -> dict[str, object]:
    return {
        "count": len(records),
        **{name: report.text(rate) for name, rate in _rates(records).items()},
        "with numbers": sum(record.embedding is not None for record in records),
        "with photo": sum(record.photo is not None for record in records),
    }


def _rates(records: Sequence[Record]) -> dict[str, Rate]:
    """Return the rates by people's own word."""
    said = np.array([record.verdict == CAT for record in records], bool)
    cats = np.array([record.person_says_cat for record in records], bool)
    decided = np.array([record.verdict != NOT_SURE for record in records], bool)
    counted = {
        "agree": (decided & (said == cats), decided),
        "precision": (said & cats, said),
        "recall": (said & cats, cats),
        "not sure": (~decided, np.ones(len(records), bool)),
    }
    return {name: metrics.rate(int(hits.sum()), int(of.sum())) for name, (hits, of) in counted.items()}


def _by(records: Sequence[Record], key: Callable[[Record], str]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return dict(sorted(groups.items()))


def _week(record: Record) -> str:
    year, week, _ = datetime.fromisoformat(record.hour).isocalendar()
    return f"{year}-W{week:02d}"


def _version(record: Record) -> str:
    return record.model_version


def _same_photo(record: Record) -> str:
    return f"{record.embedding or record.id} {record.person_says_cat}"


def _disputed(folder: Path, records: Sequence[Record]) -> Iterator[str]:
    """Show the photos that most people contradict the model on, the surest verdicts first among equals."""
    photos = _by([record for record in records if record.embedding], lambda record: str(record.embedding))
    ranked = sorted(photos.values(), key=lambda members: (-_disputes(members), -_certainty(members[0])))
    for members in filter(_disputes, ranked[:SHOWN]):
        disputing = [record for record in members if dataset.agrees(record) is False]
        first = next((record for record in disputing if record.photo), disputing[0])
        said = "cat" if first.person_says_cat else "not a cat"
        # Whoever agrees may have given the photo, and whoever disputes it only its numbers.
        pictured = next((record for record in (first, *members) if record.photo), None)
        about = f"{(pictured or first).id}: {len(disputing)} of {len(members)} say otherwise ({said}); "
        about += f"model: {first.verdict}, {first.probability:.3f}. {first.comment}"
        path = dataset.photo(folder, pictured) if pictured else None
        if path:
            yield html_page.photos([(path.name, html_page.thumbnail(path))], escape(about))
        else:
            yield html_page.photos([], f"{escape(about)} (no photo)")


def _disputes(members: Sequence[Record]) -> int:
    return sum(dataset.agrees(record) is False for record in members)


def _certainty(record: Record) -> float:
    return abs(record.probability - 0.5)


def _plot(groups: dict[str, list[Record]]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    each = [_rates(records) for records in groups.values()]
    for shift, name in enumerate(DRAWN):
        rates = [of[name] for of in each]
        middle = [rate.value if rate.total else np.nan for rate in rates]
        reach = [[r.value - r.low for r in rates], [r.high - r.value for r in rates]]
        axes.errorbar(np.arange(len(rates)) + 0.1 * shift, middle, reach, marker="o", capsize=3, label=name)
    axes.set_xticks(range(len(groups)), list(groups), rotation=15, ha="right")
    axes.set(xlim=(-0.5, len(groups) - 0.5), ylim=(0, 1.02))
    axes.legend()
    return figure
