"""What a person decided about photos, in a file that is read and never written here.

    sha256,decision,group,note
    3fb…,drop,,shows a dog and a cat
    9c0…,relabel,misc,a lynx
    77e…,keep,misc,dark on purpose

`drop` leaves every file of that content out, `relabel` puts it into another group, `keep` says that nothing
is wrong with it (where a group is given: as long as it is in that group). `keep` holds neither for a file
that lies in two groups, of which one must be wrong, nor against a leak. For one photo the last line holds.
"""

import csv
import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from train.config import TrainError
from train.data.scan import PhotoRecord, Refusal, ScannedPhoto

DECISIONS = Path(__file__).with_name("decisions.csv")
"""What was decided about the photos that the shipped model was trained on."""
COLUMNS = ("sha256", "decision", "group", "note")
KEEP, DROP, RELABEL = "keep", "drop", "relabel"


@dataclass(frozen=True)
class Decision:
    """What a person decided about one photo.

    Attributes:
        sha256: of the file.
        decision: "keep", "drop" or "relabel".
        group: the one it belongs to; may be empty, but not for "relabel".
        note: why.
    """

    sha256: str
    decision: str
    group: str
    note: str


@dataclass(frozen=True)
class Decisions:
    """A decisions file as read.

    Attributes:
        by_hash: decisions that can be followed, by sha256.
        notes: a sentence for each line that cannot.
    """

    by_hash: dict[str, Decision]
    notes: tuple[str, ...] = ()

    def drop(self, refusals: Iterable[Refusal]) -> list[Refusal]:
        """Return the unusable files that nobody decided to leave out."""
        return [refusal for refusal in refusals if self._decision(refusal.sha256) != DROP]

    def apply(self, scanned: Iterable[ScannedPhoto]) -> list[ScannedPhoto]:
        """Return the photos without the dropped ones, and the relabelled ones in their new groups."""
        kept = [photo for photo in scanned if self._decision(photo.record.sha256) != DROP]
        return [self._relabelled(photo) for photo in kept]

    def kept(self, records: Iterable[PhotoRecord]) -> set[str]:
        """Return the hashes of photos that a person looked at and found good as they are.

        Args:
            records: of all photos: a file that lies in two groups is not good in both.
        """
        groups: dict[str, set[str]] = defaultdict(set)
        for record in records:
            groups[record.sha256].add(record.group)
        return {sha256 for sha256, found in groups.items() if self._is_kept(sha256, found)}

    def unknown(self, hashes: Iterable[str]) -> Sequence[Decision]:
        """Return the decisions about none of the files that have these hashes."""
        known = set(hashes)
        return [decision for sha256, decision in self.by_hash.items() if sha256 not in known]

    def _is_kept(self, sha256: str, groups: set[str]) -> bool:
        said = self._decision(sha256) == KEEP
        return said and len(groups) == 1 and self.by_hash[sha256].group in ("", *groups)

    def _decision(self, sha256: str) -> str:
        found = self.by_hash.get(sha256)
        return found.decision if found else ""

    def _relabelled(self, photo: ScannedPhoto) -> ScannedPhoto:
        found = self.by_hash.get(photo.record.sha256)
        if found is None or found.decision != RELABEL:
            return photo
        return dataclasses.replace(photo, record=dataclasses.replace(photo.record, group=found.group))


def read_decisions(path: Path) -> Decisions:
    """Read a decisions file; lines that make no sense are named in `notes`, the others hold.

    Raises:
        TrainError: the file cannot be read, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (lines.fieldnames or ())]
            rows = [(lines.line_num, row) for row in lines]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainError(f"The decisions in {path} cannot be read: {error}") from error
    if missing:
        raise TrainError(f"{path} needs a first line with the columns {','.join(COLUMNS)}.")
    by_hash: dict[str, Decision] = {}
    notes = []
    for number, row in rows:
        decision = Decision(*((row[name] or "").strip() for name in COLUMNS))
        if fault := _fault(decision):
            notes.append(f"{path.name}, line {number}: {fault}; the line is passed over.")
            continue
        if by_hash.get(decision.sha256, decision) != decision:
            notes.append(f"{path.name}, line {number}: decided before; this later line holds.")
        by_hash[decision.sha256] = decision
    return Decisions(by_hash, tuple(notes))


def _fault(decision: Decision) -> str:
    if len(decision.sha256) != 64 or set(decision.sha256) - set("0123456789abcdef"):
        return f"{decision.sha256!r} is no sha256 (64 digits 0-9a-f)"
    if decision.decision not in (KEEP, DROP, RELABEL):
        return f"{decision.decision!r} is no decision ({KEEP}, {DROP} or {RELABEL})"
    if decision.decision == RELABEL and not decision.group:
        return "relabel needs a group"
    return ""
