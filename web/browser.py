"""What the visitor's browser does by itself, in JavaScript."""

import json
from collections.abc import Iterable

from web import words
from web.shrink import SEND_SMALLER

OFF = "{__type__: 'update', interactive: false}"
HIDE = "{__type__: 'update', visible: false}"
MOMENT_MS = 500
"""How long somebody is in the queue before he is said to wait."""

# For the answer, the bars, the section of reasons and the five buttons and boxes of feedback.
SHOW_LOOKING = f"() => [{json.dumps(words.LOOKING)}, {HIDE}, {HIDE}, {', '.join([OFF] * 5)}]"
SHOW_BUSY = f"""async () => {{
    const panel = {json.dumps(words.BUSY)}, lost = {json.dumps(words.LOST)};
    try {{
        const answer = await fetch("busy");
        return answer.ok ? panel.replace(lost, await answer.text()) : panel;
    }} catch {{
        return panel;
    }}
}}"""


def on_load(examples: Iterable[str], at_once: int) -> str:
    """Return what the browser runs when it has the page: names, who is before one, smaller uploads.

    Args:
        examples: what each example photo is called, in order.
        at_once: how many photos the page takes up at a time.
    """
    return f"""() => {{
        const names = {json.dumps(list(examples))}, {{ one, many }} = {json.dumps(words.BEFORE)};
        const name = () => {{
            for (const it of document.querySelectorAll("#answer, #thanks")) it.setAttribute("role", "status");
            const buttons = document.querySelectorAll("#examples button");
            buttons.forEach((button, i) => button.setAttribute("aria-label", names[i]));
        }};
        // Gradio tells the place among those who wait, "queue: 2/5"; who is being served comes on top.
        // Everybody passes through the queue, most at once: who is still there after a moment is told.
        let waits = false, timer = null;
        const tell = () => {{
            const answer = document.getElementById("answer");
            const detail = answer?.querySelector(".verdict.idle p:last-child");
            const place = answer?.querySelector(".progress-text")?.textContent.match(/(\\d+)\\/\\d+/);
            if (place) timer ??= setTimeout(() => {{ waits = true; tell(); }}, {MOMENT_MS});
            else {{ clearTimeout(timer); timer = null; waits = false; }}
            const before = waits ? place[1] - 1 + {at_once} : 0;
            const said = before ? (before == 1 ? one : many.replace("N", before)) : "";
            if (detail && detail.textContent != said) detail.textContent = said;
        }};
        // Some parts of the page come, and come again, after this has run.
        const all = () => {{ name(); tell(); }};
        all();
        const changes = {{ subtree: true, childList: true, characterData: true }};
        new MutationObserver(all).observe(document.body, changes);
        {SEND_SMALLER}
    }}"""
