"""Faults that a photo has by itself (cleanvision's), and the photos that are there twice."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from train import duplicates
from train.checks_policy import Finding, Policy
from train.looks import Look, PhotoRecord, Refusal, prints

PHOTOS = "photos"
"""The place of the photos to learn from; nothing is learned from other places."""
CLEANVISION = ("low_information", "dark", "light", "blurry", "odd_aspect_ratio", "odd_size")


def unreadable(place: str, refusals: Iterable[Refusal]) -> list[Finding]:
    """List the files that are no usable photos."""
    return [
        Finding("unreadable", f"{place}/{refusal.path}", refusal.sha256, 0.0, refusal.reason)
        for refusal in refusals
    ]


def faults(looks: Sequence[Look], policy: Policy) -> list[Finding]:
    """List photos that are blank, dark, light, blurred, of odd shape or size, or tiny.

    cleanvision scores the properties that were measured when the photo was decoded; nothing is decoded here.
    """
    import pandas as pd
    from cleanvision.dataset.base_dataset import Dataset
    from cleanvision.issue_managers.image_property_issue_manager import ImagePropertyIssueManager

    names = Dataset()
    names.index = list(range(len(looks)))
    measures = pd.DataFrame([look.measures for look in looks])
    manager = ImagePropertyIssueManager()
    settings = {
        kind: {name: value for name, value in policy.rules[kind].items() if name != "tolerated"}
        for kind in CLEANVISION
    }
    manager.find_issues(
        params=settings, dataset=names, imagelab_info={"statistics": measures}, n_jobs=1, verbose=False
    )
    found = []
    for kind in CLEANVISION:
        scores, faulty = manager.issues[f"{kind}_score"], manager.issues[f"is_{kind}_issue"]
        for index in np.flatnonzero(faulty):
            score = float(scores[index])
            found.append(_finding(kind, looks[index].record, score, f"score {score:.2f}"))
    for record in (look.record for look in looks):
        shorter = min(record.width, record.height)
        if shorter < policy.rules["tiny"]["side"]:
            note = f"{record.width} × {record.height} pixels"
            found.append(_finding("tiny", record, shorter / policy.rules["tiny"]["side"], note))
    return found


def repeated(records: Iterable[PhotoRecord]) -> list[Finding]:
    """List photos that are there twice, exactly or nearly, and those of them that lie in two groups."""
    families: dict[str, list[PhotoRecord]] = defaultdict(list)
    for record in records:
        families[record.family].append(record)
    found = []
    for members in families.values():
        first: dict[str, PhotoRecord] = {}
        for record in members:
            if record.sha256 in first:
                original = first[record.sha256]
                found.append(_finding("exact_duplicate", record, 0.0, "same file", original))
            elif first:
                original = next(iter(first.values()))
                found.append(_finding("near_duplicate", record, 0.5, "nearly the same picture", original))
            first.setdefault(record.sha256, record)
        if len({record.group for record in members}) > 1:
            for record in members:
                others = [other for other in members if other.group != record.group]
                note = f"in {record.group}; also in {', '.join(sorted({o.group for o in others}))}"
                found.append(_finding("two_groups", record, 0.0, note, *others))
    return found


def leaks(places: Mapping[str, Sequence[Look]]) -> list[Finding]:
    """List photos of one place that are there, exactly or nearly, in a later place too."""
    found = []
    names = list(places)
    for index, place in enumerate(names):
        for other in names[index + 1 :]:
            here, there = places[place], places[other]
            if not here or not there:
                continue
            twins: dict[int, list[str]] = defaultdict(list)
            for one, two in zip(*duplicates.pairs(prints(here), prints(there)), strict=True):
                twins[int(one)].append(f"{other}/{there[two].record.path}")
            hashes = {look.record.sha256: f"{other}/{look.record.path}" for look in there}
            for one, look in enumerate(here):
                if look.record.sha256 in hashes and one not in twins:
                    twins[one].append(hashes[look.record.sha256])
            for one, related in twins.items():
                record = here[one].record
                path = f"{place}/{record.path}"
                found.append(Finding("leak", path, record.sha256, 0.0, f"also in {other}", tuple(related)))
    return found


def balance(records: Sequence[PhotoRecord], policy: Policy) -> list[Finding]:
    """List the groups that are small beside the largest."""
    groups = [record.group for record in records]
    counts = {group: groups.count(group) for group in sorted(set(groups))}
    largest = max(counts.values(), default=0)
    return [
        Finding("balance", group, "", count / largest, f"{count} photos; the largest group has {largest}")
        for group, count in counts.items()
        if count < policy.rules["balance"]["smallest"] * largest
    ]


def _finding(kind: str, record: PhotoRecord, score: float, note: str, *related: PhotoRecord) -> Finding:
    paths = tuple(f"{PHOTOS}/{other.path}" for other in related)
    return Finding(kind, f"{PHOTOS}/{record.path}", record.sha256, score, note, paths)
