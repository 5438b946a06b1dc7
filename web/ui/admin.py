"""The owner's part of the page, behind a password: how feedback is delivered, and whether photos drift."""

import hmac
import html
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr

from cat_model.feedback.delivery import Delivery
from cat_model.monitoring import drift
from cat_model.monitoring.traffic import EDGES, TIMES_MS, Aggregate

ATTEMPTS, PAUSE_S = 5, 60.0
"""So many wrong passwords, whoever sent them, and none is looked at for so long."""
WRONG = "That is not the password."
WAIT = "Too many wrong passwords. Please wait a minute."


class AdminPanel:
    """Shows the owner what the page knows of itself."""

    def __init__(
        self,
        password: str,
        bundle: Path,
        blocks: Callable[[], Sequence[Aggregate]],
        delivery: Delivery,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember the password and what is shown.

        Args:
            password: that opens it.
            bundle: folder of the bundle that is served.
            blocks: returns the counts of the photos that were judged, block by block.
            delivery: of feedback.
            clock: seconds that only go up.
        """
        self._password = password.encode()
        self._bundle = bundle
        self._blocks = blocks
        self._delivery = delivery
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: list[float] = []

    def enter(self, password: str) -> str:
        """Return what is shown for a password, as HTML."""
        refusal = self._refusal(password)
        if refusal:
            return f'<p class="failed">{refusal}</p>'
        return f"{self._feedback()}{self._drift()}"

    def _refusal(self, password: str) -> str:
        with self._lock:
            now = self._clock()
            self._wrong = [when for when in self._wrong if now - when < PAUSE_S]
            if len(self._wrong) >= ATTEMPTS:
                return WAIT
            if hmac.compare_digest(password.encode(), self._password):
                self._wrong = []
                return ""
            self._wrong.append(now)
            return WRONG

    def _feedback(self) -> str:
        status = self._delivery.status
        rows = {
            "goes to": status.destination or "stays here",
            "kept here": status.kept,
            "waits to be delivered": status.backlog,
            "last delivered": status.last_success or "nothing since the start",
            "last error": status.last_error or "none",
            "deletion": status.deletion_problem or "complete",
        }
        return f"<h3>Feedback</h3>{_table(list(rows.items()))}"

    def _drift(self) -> str:
        blocks = self._blocks()
        try:
            found = drift.compare(blocks, drift.read_reference(self._bundle))
        except drift.DriftError as error:
            window = sum(blocks[-drift.WINDOW :], Aggregate())
            return f"<h3>Photos</h3><p>{html.escape(str(error))}</p>{_counts(window)}"
        said = (
            "ALARM: the photos are others than those the model was chosen on." if found.alarm else "No alarm."
        )
        rows = [
            (each.name, f"{each.found:.3f} (alarm above {each.limit:.3f}){' ALARM' if each.alarm else ''}")
            for each in found.tests
        ]
        return (
            f"<h3>Photos</h3><p><strong>{said}</strong> The last {found.window.photos} photos against "
            f"{found.reference.photos} of the reference.</p>{_table(rows)}"
            f"{_bars(found.window.scores, found.reference.scores)}{_counts(found.window)}"
        )


def lay_out(panel: AdminPanel) -> None:
    """Lay out the owner's part, closed at first."""
    with gr.Accordion("For the owner of this page", open=False, elem_id="owner"):
        password = gr.Textbox(label="Password", type="password", max_lines=1, elem_id="password")
        enter = gr.Button("Show", size="sm")
        shown = gr.HTML(elem_id="admin-panel")

    def answer(given: str) -> dict[gr.HTML | gr.Textbox, str]:
        return {shown: panel.enter(given), password: ""}

    gr.on(
        [enter.click, password.submit],
        answer,
        password,
        [shown, password],
        queue=False,
        api_visibility="private",
        show_progress="hidden",
    )


def _counts(window: Aggregate) -> str:
    times = [f"under {limit} ms" for limit in TIMES_MS] + ["longer"]
    rows = [("refused", window.refused)]
    rows += [(name, count) for name, count in zip(times, window.times, strict=True) if count]
    return _table(rows)


def _table(rows: Sequence[tuple[str, object]]) -> str:
    lines = (
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>" for name, value in rows
    )
    return f"<table>{''.join(lines)}</table>"


def _bars(page: Sequence[int], reference: Sequence[int]) -> str:
    """Return a picture of both histograms of scores, the page's dark, the reference's light."""
    width, height = 16, 100
    shares = [[count / max(1, sum(each)) for count in each] for each in (page, reference)]
    top = max(map(max, shares))
    bars = [
        f'<rect x="{2 * width * index + width * which}" y="{height - height * share / top:.1f}" '
        f'width="{width - 2}" height="{height * share / top:.1f}" fill="{colour}"/>'
        for which, (each, colour) in enumerate(zip(shares, ("var(--cat)", "#9aa7b8"), strict=True))
        for index, share in enumerate(each)
    ]
    label = "Probabilities from 0 to 1: the page's photos dark, the reference light; bins end at "
    label += ", ".join(f"{edge:g}" for edge in EDGES)
    across = 2 * width * len(page)
    return (
        f'<svg viewBox="0 0 {across} {height}" role="img" aria-label="{html.escape(label)}" '
        f'style="width:100%;max-width:{across}px">{"".join(bars)}</svg>'
    )
