"""One page that shows what was found, with thumbnails, the gravest first; it needs no other file."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from cat_model.photo import PhotoError, decode
from train.checks_policy import Finding, Problem
from train.looks import in_threads

LISTED = 150
"""Findings of a kind that the page shows; checks.json lists all."""
SIDE = 128
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
h2.error { color: #b00020 } h2.warning { color: #8a5a00 }
.findings { display: flex; flex-wrap: wrap; gap: .75rem }
figure { margin: 0; width: 17rem; border: 1px solid #ccc; border-radius: .4rem; padding: .5rem }
figcaption, code { font-size: 12px; overflow-wrap: anywhere } img { height: 6rem; margin-right: .25rem }
"""


def page(problems: Sequence[Problem], notes: Sequence[str], places: Mapping[str, Path]) -> str:
    """Return the report as HTML.

    Args:
        problems: errors first.
        notes: sentences that go before them.
        places: folders that the findings' paths start from, by the first part of the path.
    """
    shown = {path for problem in problems for f in problem.findings[:LISTED] for path in _files(f)}
    thumbnails = dict(in_threads(lambda path: (path, _thumbnail(path, places)), sorted(shown), "thumbnails"))
    sections = "\n".join(_section(problem, thumbnails) for problem in problems)
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Checks of photos</title>'
        f"<style>{STYLE}</style><h1>Checks of photos</h1>{said}"
        "<p>To decide about a photo, put its line into the decisions file: <code>drop</code>, "
        "<code>keep</code>, or <code>relabel</code> with the right group between the next two commas.</p>"
        f"{sections or '<p>Nothing was found.</p>'}</html>"
    )


def _files(finding: Finding) -> tuple[str, ...]:
    """Return the photos of a finding; findings about all photos have none."""
    return (finding.path, *finding.related[:3]) if finding.sha256 else ()


def _section(problem: Problem, thumbnails: Mapping[str, str]) -> str:
    figures = "\n".join(_figure(finding, thumbnails) for finding in problem.findings[:LISTED])
    more = len(problem.findings) - LISTED
    rest = f"<p>and {more} more, listed in checks.json</p>" if more > 0 else ""
    title = f'<h2 class="{problem.severity}">{problem.severity}: {escape(str(problem))}</h2>'
    return f'<section>{title}<div class="findings">{figures}</div>{rest}</section>'


def _figure(finding: Finding, thumbnails: Mapping[str, str]) -> str:
    pictures = "".join(
        f'<img src="{thumbnails[path]}" alt="" title="{escape(path)}">'
        for path in _files(finding)
        if thumbnails[path]
    )
    related = f"<br>with {escape(', '.join(finding.related))}" if finding.related else ""
    line = f"<br><code>{finding.sha256},drop,,</code>" if finding.sha256 else ""
    caption = f"<b>{escape(finding.path)}</b><br>{escape(finding.note)}{related}{line}"
    return f"<figure>{pictures}<figcaption>{caption}</figcaption></figure>"


def _thumbnail(path: str, places: Mapping[str, Path]) -> str:
    place, _, rest = path.partition("/")
    try:
        image = decode(places[place] / rest, at_least=SIDE)
    except PhotoError:
        return ""
    image.thumbnail((2 * SIDE, SIDE), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=70)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
