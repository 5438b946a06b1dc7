"""The HTML report of the checks: every kind of issue with thumbnails, the gravest first."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path

from cat_model.photo import PhotoError
from train import html_page
from train.checks.policy import Issue, Problem
from train.data.scan import in_threads

LISTED = 150
"""Issues of a kind that the page shows; checks.json lists all."""
STYLE = "h2.error { color: #b00020 } h2.warning { color: #8a5a00 }"
ADVICE = (
    "<p>To decide about a photo, put its line into the decisions file: <code>drop</code>, "
    "<code>keep</code>, or <code>relabel</code> with the right group between the next two commas.</p>"
)


def page(problems: Sequence[Problem], notes: Sequence[str], folders: Mapping[str, Path]) -> bytes:
    """Return the report as HTML.

    Args:
        problems: errors first.
        notes: sentences that go before them.
        folders: that the issues' paths start from, by the first part of the path.
    """
    shown = {path for problem in problems for issue in problem.issues[:LISTED] for path in _files(issue)}
    paths = sorted(shown)
    made = in_threads(partial(_thumbnail, folders), paths, "thumbnails")
    thumbnails = dict(zip(paths, made, strict=True))
    said = [f"<p>{escape(note)}</p>" for note in notes]
    sections = [_section(problem, thumbnails) for problem in problems] or ["<p>Nothing was found.</p>"]
    return html_page.page("Checks of photos", [*said, ADVICE, *sections], STYLE)


def _files(issue: Issue) -> tuple[str, ...]:
    """Return the photos of an issue; issues about all photos have none."""
    return (issue.path, *issue.related[:3]) if issue.sha256 else ()


def _section(problem: Problem, thumbnails: Mapping[str, bytes]) -> str:
    figures = html_page.gallery(_figures(problem.issues[:LISTED], thumbnails))
    more = len(problem.issues) - LISTED
    rest = f"<p>and {more} more, listed in checks.json</p>" if more > 0 else ""
    title = f'<h2 class="{problem.severity}">{problem.severity}: {escape(str(problem))}</h2>'
    return f"<section>{title}{figures}{rest}</section>"


def _figures(issues: Sequence[Issue], thumbnails: Mapping[str, bytes]) -> Iterator[str]:
    for issue in issues:
        pictures = [(path, thumbnails[path]) for path in _files(issue) if thumbnails[path]]
        related = f"<br>with {escape(', '.join(issue.related))}" if issue.related else ""
        line = f"<br><code>{issue.sha256},drop,,</code>" if issue.sha256 else ""
        yield html_page.photos(
            pictures, f"<b>{escape(issue.path)}</b><br>{escape(issue.note)}{related}{line}"
        )


def _thumbnail(folders: Mapping[str, Path], path: str) -> bytes:
    """Return a small JPEG of a photo; empty where it cannot be read."""
    folder, _, rest = path.partition("/")
    try:
        return html_page.thumbnail(folders[folder] / rest)
    except PhotoError:
        return b""
