"""The checks of photos: everything that is found, what a person decided, and whether training may go on."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cat_model.files import write_durably
from train import (
    checks_decisions,
    checks_drift,
    checks_labels,
    checks_photos,
    checks_policy,
    checks_report,
    dataset,
    duplicates,
)
from train.checks_decisions import DECISIONS, Decisions
from train.checks_drift import Profile
from train.checks_labels import Embedder
from train.checks_photos import PHOTOS
from train.checks_policy import ERROR, Finding, Policy, Problem
from train.config import TrainError
from train.looks import Look, PhotoRecord, Refusal, look
from train.memo import Memo, key

VERDICT, PAGE = "checks.json", "checks.html"


@dataclass(frozen=True)
class Request:
    """What is to be checked, and how.

    Attributes:
        places: folders of groups by name: as `folders` puts them together.
        decisions: file of what a person decided before; None for none.
        policy: file that says what is an error.
        backbone: whose features the labels are checked with.
        weights: its file; None to use the shipped model's features.
        cache: folder for what is computed from photos.
        against: folder of a run or report whose photos these are compared with; None to compare with none.
        per_group: at most so many photos of each group to learn from; None for all.
        seed: of that choice.
    """

    places: Mapping[str, Path]
    decisions: Path | None
    policy: Path
    backbone: str
    weights: Path | None
    cache: Path
    against: Path | None = None
    per_group: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Verdict:
    """What the checks found, as it is written to checks.json.

    Attributes:
        photos: number of photos in each place, without dropped and unusable ones.
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
    """Checked photos: the records of each place, decisions followed, and the verdict on them."""

    records: Mapping[str, list[PhotoRecord]]
    verdict: Verdict


def folders(photos: Path, wild: Path | None, people: Path | None) -> dict[str, Path]:
    """Put together what is checked: photos to learn from, and those that none of these may be among."""
    given = {PHOTOS: photos, dataset.WILD: wild, dataset.PEOPLE: people}
    return {place: folder for place, folder in given.items() if folder}


def check(request: Request) -> Checked:
    """Check photos; what was checked before, by the same code and policy, is not checked again.

    Raises:
        TrainError: a folder, the policy, the decisions or the weights do not do.
    """
    policy = checks_policy.read_policy(request.policy)
    decisions = (
        checks_decisions.read_decisions(request.decisions) if request.decisions else Decisions(by_hash={})
    )
    old = _old_profile(request.against) if request.against else None
    frozen = checks_labels.embedder(request.backbone, request.weights)
    seen = {place: look(root, request.cache) for place, root in request.places.items()}
    notes = [*decisions.notes, *_unknown(request.decisions, decisions, seen)]
    refusals = {place: decisions.drop(refused) for place, (_, refused) in seen.items()}
    places = {place: decisions.apply(looks) for place, (looks, _) in seen.items()}
    for place, root in request.places.items():
        dataset.require_both(root, [look.record for look in places[place]])
    if request.per_group is not None:
        places[PHOTOS] = _sample(places[PHOTOS], request.per_group, request.seed)
    records = {place: [look.record for look in looks] for place, looks in places.items()}
    findings, profile = _search(request, places, refusals, policy, frozen)
    if old:
        findings = [*findings, *checks_drift.drift(profile, old, policy)]
    if not checks_labels.enough(records[PHOTOS]):
        notes.append("Labels were not checked: a group has too few photos for it.")
    kept = decisions.kept(record for members in records.values() for record in members)
    problems = policy.judge(
        # Good as it is or not, a photo to learn from must not be among those to measure on.
        (finding for finding in findings if finding.kind == "leak" or finding.sha256 not in kept),
        len(records[PHOTOS]) + len(refusals[PHOTOS]),
    )
    photos = {place: len(members) for place, members in records.items()}
    return Checked(records, Verdict(photos, problems, tuple(notes), profile))


def _search(
    request: Request,
    places: Mapping[str, list[Look]],
    refusals: Mapping[str, list[Refusal]],
    policy: Policy,
    frozen: Embedder,
) -> tuple[list[Finding], Profile]:
    """Find everything that does not depend on earlier runs; the cache remembers it for the same photos."""
    records = {place: [look.record for look in looks] for place, looks in places.items()}
    modules = (checks_photos, checks_labels, checks_drift, duplicates)
    memo, mine = Memo(request.cache), key(*modules, records, refusals, policy, frozen.name)
    if known := memo.get([mine]):
        stored = json.loads(known[mine])
        return [_finding(each) for each in stored["findings"]], Profile(**stored["profile"])
    features = checks_labels.embeddings(request.places[PHOTOS], records[PHOTOS], frozen, request.cache)
    profile = checks_drift.profile(places[PHOTOS], features, frozen.name)
    findings = [
        *(found for place, refused in refusals.items() for found in checks_photos.unreadable(place, refused)),
        *checks_photos.faults(places[PHOTOS], policy),
        *checks_photos.repeated(records[PHOTOS]),
        *checks_photos.leaks(places),
        *checks_photos.balance(records[PHOTOS], policy),
        *checks_labels.suspects(records[PHOTOS], features),
    ]
    stored = {
        "findings": [dataclasses.asdict(each) for each in findings],
        "profile": dataclasses.asdict(profile),
    }
    memo.put({mine: json.dumps(stored).encode()})
    return findings, profile


def _finding(stored: Mapping[str, Any]) -> Finding:
    return Finding(**{**stored, "related": tuple(stored["related"])})


def report(verdict: Verdict, places: Mapping[str, Path], folder: Path) -> None:
    """Write checks.json and checks.html to a folder, unless they are there already."""
    content = _pack(verdict)
    written = folder / VERDICT
    if (folder / PAGE).exists() and written.exists() and written.read_bytes() == content:
        return
    write_durably(folder / PAGE, checks_report.page(verdict.problems, verdict.notes, places).encode())
    write_durably(written, content)


def _unknown(
    path: Path | None, decisions: Decisions, seen: Mapping[str, tuple[list[Look], list[Refusal]]]
) -> list[str]:
    hashes = {look.record.sha256 for looks, _ in seen.values() for look in looks}
    hashes |= {refusal.sha256 for _, refused in seen.values() for refusal in refused}
    unknown = [decision.sha256[:12] for decision in decisions.unknown(hashes)]
    # The shipped decisions are about the photos of the shipped model: other people's are another matter.
    elsewhere = path == DECISIONS and len(unknown) == len(decisions.by_hash)
    if not unknown or elsewhere:
        return []
    named = ", ".join(f"{digest}…" for digest in unknown[:5]) + (", …" if len(unknown) > 5 else "")
    return [f"{len(unknown)} decisions are about photos that are not here: {named}"]


def _sample(looks: list[Look], per_group: int, seed: int) -> list[Look]:
    chosen = dataset.sample([look.record for look in looks], per_group, seed)
    paths = {record.path for record in chosen}
    return [look for look in looks if look.record.path in paths]


def _old_profile(folder: Path) -> Profile:
    try:
        return Profile(**json.loads((folder / VERDICT).read_text("utf-8"))["profile"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainError(f"{folder} holds no {VERDICT} of a run or a check to compare with.") from error


def _pack(verdict: Verdict) -> bytes:
    stored = {"passed": not verdict.errors, **dataclasses.asdict(verdict)}
    return json.dumps(stored, indent=1, ensure_ascii=False).encode()
