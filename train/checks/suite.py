"""The checks of photos: image quality, duplicates, leakage, label errors, balance and drift.

Each issue is held against a policy and a person's decisions; the report says whether training may go on.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cat_model.atomic import write_durably
from train.checks import data_profile, images, labels
from train.checks.data_profile import Profile
from train.checks.decisions import DECISIONS, Decisions, read_decisions
from train.checks.images import PHOTOS
from train.checks.labels import Embedder
from train.checks.policy import ERROR, WORDS, Issue, Policy, Problem, read_policy
from train.checks.report import page as report_page
from train.config import DataOptions, TrainError
from train.data import duplicates, manifest
from train.data.cache import Cache, key
from train.data.scan import PhotoRecord, Refusal, ScannedPhoto, read_folder

REPORT, PAGE, TABLE = "checks.json", "checks.html", "checks-table.json"
EXAMPLES = 5
"""Files that the table of checks names for each kind of issue."""


@dataclass(frozen=True)
class CheckOptions:
    """What is to be checked, and how.

    Attributes:
        data: the photos, the decisions about them and the policy.
        backbone: whose features the labels are checked with.
        cache: folder for what is computed from photos.
        against: folder of a run or report whose photos these are compared with; None to compare with none.
        per_group: at most so many photos of each group to learn from; None for all.
        seed: of that choice.
    """

    data: DataOptions
    backbone: str
    cache: Path
    against: Path | None = None
    per_group: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class CheckReport:
    """What the checks found, as it is written to checks.json.

    Attributes:
        photos: number of photos in each folder, without dropped and unusable ones.
        problems: errors first.
        notes: what else a person should know, a sentence each.
        profile: of the photos to learn from, for later runs to compare theirs with.
    """

    photos: Mapping[str, int]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    profile: Profile

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that stop training."""
        return tuple(problem for problem in self.problems if problem.severity == ERROR)

    def __str__(self) -> str:
        """Return a line for each problem and each note."""
        lines = [f"{problem.severity}: {problem}." for problem in self.problems]
        return "\n".join([*lines, *self.notes]) or "Nothing was found."


@dataclass(frozen=True)
class Checked:
    """Checked photos: the records of each folder, decisions followed, and the report on them."""

    records: Mapping[str, list[PhotoRecord]]
    report: CheckReport


@dataclass(frozen=True)
class _Scanned:
    """The photos of each folder, decisions followed, and the files that are none."""

    photos: Mapping[str, list[ScannedPhoto]]
    refusals: Mapping[str, list[Refusal]]

    @property
    def records(self) -> dict[str, list[PhotoRecord]]:
        return {folder: [photo.record for photo in members] for folder, members in self.photos.items()}


def check(options: CheckOptions) -> Checked:
    """Check photos; what was checked before, by the same code and policy, is not checked again.

    Raises:
        TrainError: a folder, the policy, or the decisions do not do.
    """
    data = options.data
    policy = read_policy(data.policy)
    decided = read_decisions(data.decisions) if data.decisions else Decisions(by_hash={})
    old = _old_profile(options.against) if options.against else None
    frozen = labels.embedder(options.backbone)
    seen = {name: read_folder(root, options.cache) for name, root in data.folders.items()}
    notes = [*decided.notes, *_unknown(data.decisions, decided, seen)]
    scanned = _follow(decided, seen, options)
    records = scanned.records
    issues, profile = _search(options, scanned, policy, frozen)
    if old:
        issues = [*issues, *data_profile.drift(profile, old, policy)]
    if not labels.enough(records[PHOTOS]):
        notes.append("Labels were not checked: a group has too few photos for it.")
    kept = decided.kept(record for members in records.values() for record in members)
    problems = policy.classify(
        # Good as it is or not, a photo to learn from must not be among those to measure on.
        (issue for issue in issues if issue.kind == "leak" or issue.sha256 not in kept),
        len(records[PHOTOS]) + len(scanned.refusals[PHOTOS]),
    )
    photos = {name: len(members) for name, members in records.items()}
    return Checked(records, CheckReport(photos, problems, tuple(notes), profile))


def _follow(
    decided: Decisions,
    seen: Mapping[str, tuple[list[ScannedPhoto], list[Refusal]]],
    options: CheckOptions,
) -> _Scanned:
    """Follow a person's decisions, and sample the photos to learn from.

    Raises:
        TrainError: a folder is left without cats, or with nothing else.
    """
    refusals = {name: decided.drop(refused) for name, (_, refused) in seen.items()}
    photos = {name: decided.apply(scanned) for name, (scanned, _) in seen.items()}
    for name, root in options.data.folders.items():
        manifest.require_both(root, [photo.record for photo in photos[name]])
    if options.per_group is not None:
        photos[PHOTOS] = _sample(photos[PHOTOS], options.per_group, options.seed)
    return _Scanned(photos, refusals)


def _search(
    options: CheckOptions, scanned: _Scanned, policy: Policy, frozen: Embedder
) -> tuple[list[Issue], Profile]:
    """Find everything that does not depend on earlier runs; the cache keeps it for the same photos."""
    photos, records = scanned.photos, scanned.records
    modules = (images, labels, data_profile, duplicates)
    table, mine = Cache(options.cache), key(*modules, records, scanned.refusals, policy, frozen.name)
    if known := table.get([mine]):
        stored = json.loads(known[mine])
        return [_issue(each) for each in stored["issues"]], Profile(**stored["profile"])
    root = options.data.photos
    features = labels.embeddings(root, records[PHOTOS], frozen, options.cache)
    profile = data_profile.profile(photos[PHOTOS], features, frozen.name)
    issues = [
        *(each for name, refused in scanned.refusals.items() for each in images.unreadable(name, refused)),
        *images.faults(photos[PHOTOS], policy),
        *images.repeated(records[PHOTOS]),
        *images.leaks(photos),
        *images.balance(records[PHOTOS], policy),
        *labels.suspects(records[PHOTOS], features),
    ]
    stored = {
        "issues": [dataclasses.asdict(each) for each in issues],
        "profile": dataclasses.asdict(profile),
    }
    table.put({mine: json.dumps(stored).encode()})
    return issues, profile


def _issue(stored: Mapping[str, Any]) -> Issue:
    return Issue(**{**stored, "related": tuple(stored["related"])})


def write_report(report: CheckReport, folders: Mapping[str, Path], out: Path) -> None:
    """Write checks.json and checks.html to a folder, unless they are there already.

    Args:
        report: on the photos.
        folders: of the photos, by name (`DataOptions.folders`).
        out: where to.
    """
    content = _pack(report)
    written = out / REPORT
    if (out / PAGE).exists() and written.exists() and written.read_bytes() == content:
        return
    write_durably(out / PAGE, report_page(report.problems, report.notes, folders))
    write_durably(written, content)


def table(report: CheckReport) -> dict[str, list[Any]]:
    """Return what the checks found as columns, a row for each kind of issue, also for those without any.

    Returns:
        "check", "meaning", "severity" ("ok", "warning" or "error"), "found" (how many) and "examples", each
        with a value for every kind of issue.
    """
    by_kind = {problem.kind: problem for problem in report.problems}
    found = [by_kind.get(kind) for kind in WORDS]
    return {
        "check": list(WORDS),
        "meaning": list(WORDS.values()),
        "severity": [problem.severity if problem else "ok" for problem in found],
        "found": [len(problem.issues) if problem else 0 for problem in found],
        "examples": [
            ", ".join(issue.path for issue in problem.issues[:EXAMPLES]) if problem else ""
            for problem in found
        ],
    }


def _unknown(
    path: Path | None,
    decisions: Decisions,
    seen: Mapping[str, tuple[Sequence[ScannedPhoto], Sequence[Refusal]]],
) -> list[str]:
    hashes = {photo.record.sha256 for scanned, _ in seen.values() for photo in scanned}
    hashes |= {refusal.sha256 for _, refused in seen.values() for refusal in refused}
    unknown = [decision.sha256[:12] for decision in decisions.unknown(hashes)]
    # The shipped decisions are about the photos of the shipped model: other people's are another matter.
    elsewhere = path == DECISIONS and len(unknown) == len(decisions.by_hash)
    if not unknown or elsewhere:
        return []
    named = ", ".join(f"{digest}…" for digest in unknown[:5]) + (", …" if len(unknown) > 5 else "")
    return [f"{len(unknown)} decisions are about photos that are not here: {named}"]


def _sample(scanned: list[ScannedPhoto], per_group: int, seed: int) -> list[ScannedPhoto]:
    chosen = manifest.sample([photo.record for photo in scanned], per_group, seed)
    paths = {record.path for record in chosen}
    return [photo for photo in scanned if photo.record.path in paths]


def _old_profile(folder: Path) -> Profile:
    try:
        return Profile(**json.loads((folder / REPORT).read_text("utf-8"))["profile"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainError(f"{folder} holds no {REPORT} of a run or a check to compare with.") from error


def _pack(report: CheckReport) -> bytes:
    """Return checks.json; its keys are those of 0.1.0, where issues were "findings"."""
    stored = {"passed": not report.errors, **dataclasses.asdict(report)}
    stored["problems"] = [
        {"findings" if name == "issues" else name: value for name, value in problem.items()}
        for problem in stored["problems"]
    ]
    return json.dumps(stored, indent=1, ensure_ascii=False).encode()
