"""What a check finds, and the policy that makes it an error or a warning."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from train.config import TrainError

POLICY = Path(__file__).with_name("checks.toml")
"""The policy that holds unless another file changes it."""

ERROR, WARNING = "error", "warning"
WORDS = {
    "unreadable": "files that are no usable photos",
    "leak": "photos that are in two folders that must share none",
    "two_groups": "photos that show the same as one of another group",
    "low_information": "blank photos",
    "label": "photos that are probably in the wrong group",
    "exact_duplicate": "copies of other photos",
    "near_duplicate": "near-duplicates of other photos",
    "tiny": "very small photos",
    "dark": "very dark photos",
    "light": "very light photos",
    "blurry": "blurred photos",
    "odd_aspect_ratio": "oddly long or wide photos",
    "odd_size": "photos of an odd size",
    "balance": "groups with too few photos",
    "drift": "properties that differ from the last run's",
}
"""Every kind of finding, the gravest first, in words."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        kind: a key of `WORDS`.
        path: the file, its place first, as in "photos/cat/1.jpg"; or what of all the photos it is about.
        sha256: of the file; empty where the finding is not about one.
        score: 0 (worst) to 1.
        note: what is wrong, in a few words.
        related: other files that belong to the finding, written like `path`.
    """

    kind: str
    path: str
    sha256: str
    score: float
    note: str
    related: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """All findings of one kind, the worst first, and how grave they are together.

    Attributes:
        kind: a key of `WORDS`.
        severity: "error" or "warning".
        findings: at least one.
    """

    kind: str
    severity: str
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        """Return what and how many they are, and name the first few."""
        named = ", ".join(finding.path for finding in self.findings[:3])
        more = ", …" if len(self.findings) > 3 else ""
        return f"{WORDS[self.kind]}: {len(self.findings)} ({named}{more})"


@dataclass(frozen=True)
class Policy:
    """The numbers of a policy file by kind and name; each kind has "tolerated", a share of all photos."""

    rules: Mapping[str, Mapping[str, float]]

    def judge(self, findings: Iterable[Finding], total: int) -> tuple[Problem, ...]:
        """Return what was found by kind: errors first, then warnings.

        Args:
            findings: in any order.
            total: number of files looked at.
        """
        problems = []
        listed = sorted(findings, key=lambda finding: finding.score)
        for kind in WORDS:
            of_kind = tuple(finding for finding in listed if finding.kind == kind)
            if of_kind:
                much = len(of_kind) > self.rules[kind]["tolerated"] * total
                problems.append(Problem(kind, ERROR if much else WARNING, of_kind))
        return tuple(sorted(problems, key=lambda problem: problem.severity))


def read_policy(path: Path) -> Policy:
    """Read a policy file; what it leaves out is as in the shipped one.

    Raises:
        TrainError: the file cannot be read, or has a name or a value that means nothing.
    """
    rules = tomllib.loads(POLICY.read_text("utf-8"))
    try:
        changes = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TrainError(f"The policy {path} cannot be read: {error}") from error
    for kind, numbers in changes.items():
        if kind not in rules or not isinstance(numbers, dict):
            raise TrainError(f"{path}: there is no check [{kind}]; there are {', '.join(rules)}.")
        for name, number in numbers.items():
            if name not in rules[kind]:
                raise TrainError(f"{path}: [{kind}] has no {name!r}; it has {', '.join(rules[kind])}.")
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise TrainError(f"{path}: {name} of [{kind}] is a number, not {number!r}.")
        rules[kind] |= numbers
    return Policy(rules)
