"""Image quality (cleanvision), exact and near duplicates, leakage between folders, and class balance."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from train.checks.policy import Issue, Policy
from train.data import duplicates
from train.data.scan import PhotoRecord, Refusal, ScannedPhoto, prints

PHOTOS = "photos"
"""Name of the folder of photos to learn from; nothing is learned from other folders."""
CLEANVISION = ("low_information", "dark", "light", "blurry", "odd_aspect_ratio", "odd_size")


def unreadable(folder: str, refusals: Iterable[Refusal]) -> list[Issue]:
    """List the files that are no usable photos."""
    return [
        Issue("unreadable", f"{folder}/{refusal.path}", refusal.sha256, 0.0, refusal.reason)
        for refusal in refusals
    ]


def faults(scanned: Sequence[ScannedPhoto], policy: Policy) -> list[Issue]:
    """List photos that are blank, dark, light, blurred, of odd shape or size, or tiny.

    cleanvision scores the properties that were measured when the photo was decoded; nothing is decoded here.
    """
    import pandas as pd
    from cleanvision.dataset.base_dataset import Dataset
    from cleanvision.issue_managers.image_property_issue_manager import ImagePropertyIssueManager

    names = Dataset()
    names.index = list(range(len(scanned)))
    measures = pd.DataFrame([photo.measures for photo in scanned])
    manager = ImagePropertyIssueManager()
    settings = {
        kind: {name: value for name, value in policy.rules[kind].items() if name != "tolerated"}
        for kind in CLEANVISION
    }
    manager.find_issues(
        params=settings, dataset=names, imagelab_info={"statistics": measures}, n_jobs=1, verbose=False
    )
    table: pd.DataFrame = manager.issues
    found = []
    for kind in CLEANVISION:
        scores, faulty = (table[name].to_numpy() for name in (f"{kind}_score", f"is_{kind}_issue"))
        for index in np.flatnonzero(faulty).tolist():
            score = float(scores[index])
            found.append(_issue(kind, scanned[index].record, score, f"score {score:.2f}"))
    for record in (photo.record for photo in scanned):
        shorter = min(record.width, record.height)
        if shorter < policy.rules["tiny"]["side"]:
            note = f"{record.width} × {record.height} pixels"
            found.append(_issue("tiny", record, shorter / policy.rules["tiny"]["side"], note))
    return found


def repeated(records: Iterable[PhotoRecord]) -> list[Issue]:
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
                found.append(_issue("exact_duplicate", record, 0.0, "same file", original))
            elif first:
                original = next(iter(first.values()))
                found.append(_issue("near_duplicate", record, 0.5, "nearly the same picture", original))
            first.setdefault(record.sha256, record)
        if len({record.group for record in members}) > 1:
            for record in members:
                others = [other for other in members if other.group != record.group]
                note = f"in {record.group}; also in {', '.join(sorted({o.group for o in others}))}"
                found.append(_issue("two_groups", record, 0.0, note, *others))
    return found


def leaks(folders: Mapping[str, Sequence[ScannedPhoto]]) -> list[Issue]:
    """List photos of one folder that are, exactly or nearly, in a later folder too (data leakage)."""
    found = []
    names = list(folders)
    for index, folder in enumerate(names):
        for other in names[index + 1 :]:
            here, there = folders[folder], folders[other]
            if not here or not there:
                continue
            twins: dict[int, list[str]] = defaultdict(list)
            for one, two in zip(*duplicates.pairs(prints(here), prints(there)), strict=True):
                twins[int(one)].append(f"{other}/{there[two].record.path}")
            hashes = {photo.record.sha256: f"{other}/{photo.record.path}" for photo in there}
            for one, photo in enumerate(here):
                if photo.record.sha256 in hashes and one not in twins:
                    twins[one].append(hashes[photo.record.sha256])
            for one, related in twins.items():
                record = here[one].record
                path = f"{folder}/{record.path}"
                found.append(Issue("leak", path, record.sha256, 0.0, f"also in {other}", tuple(related)))
    return found


def balance(records: Sequence[PhotoRecord], policy: Policy) -> list[Issue]:
    """List the groups that are small beside the largest."""
    groups = [record.group for record in records]
    counts = {group: groups.count(group) for group in sorted(set(groups))}
    largest = max(counts.values(), default=0)
    return [
        Issue("balance", group, "", count / largest, f"{count} photos; the largest group has {largest}")
        for group, count in counts.items()
        if count < policy.rules["balance"]["smallest"] * largest
    ]


def _issue(kind: str, record: PhotoRecord, score: float, note: str, *related: PhotoRecord) -> Issue:
    paths = tuple(f"{PHOTOS}/{other.path}" for other in related)
    return Issue(kind, f"{PHOTOS}/{record.path}", record.sha256, score, note, paths)
