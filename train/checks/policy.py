"""The issues that checks find, and the policy that makes them errors or warnings."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from train.config import TrainError

POLICY = Path(__file__).with_name("policy.toml")
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
"""Every kind of issue, the gravest first, in words."""


@dataclass(frozen=True)
class Issue:
    """One issue that a check found.

    Attributes:
        kind: a key of `WORDS`.
        path: the file, the name of its folder first, as in "photos/cat/1.jpg"; or the property of all photos
            that the issue is about.
        sha256: of the file; empty where the issue is not about one.
        score: 0 (worst) to 1.
        note: what is wrong, in a few words.
        related: other files that belong to the issue, written like `path`.
    """

    kind: str
    path: str
    sha256: str
    score: float
    note: str
    related: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """All issues of one kind, the worst first, and how grave they are together.

    Attributes:
        kind: a key of `WORDS`.
        severity: "error" or "warning".
        issues: at least one.
    """

    kind: str
    severity: str
    issues: tuple[Issue, ...]

    def __str__(self) -> str:
        """Return what and how many they are, and name the first few."""
        named = ", ".join(issue.path for issue in self.issues[:3])
        more = ", …" if len(self.issues) > 3 else ""
        return f"{WORDS[self.kind]}: {len(self.issues)} ({named}{more})"


@dataclass(frozen=True)
class Policy:
    """The numbers of a policy file by kind and name; each kind has "tolerated", a share of all photos."""

    rules: Mapping[str, Mapping[str, float]]

    def classify(self, issues: Iterable[Issue], total: int) -> tuple[Problem, ...]:
        """Group issues by kind and call each kind an error or a warning; errors come first.

        Args:
            issues: in any order.
            total: number of files looked at.
        """
        problems = []
        listed = sorted(issues, key=lambda issue: issue.score)
        for kind in WORDS:
            of_kind = tuple(issue for issue in listed if issue.kind == kind)
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
