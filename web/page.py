"""What the page does with photos; app.py wires it to buttons and endpoints."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import gradio as gr

from cat_model import Explanation, PhotoError, Verdict
from cat_model.predict import EXPLAIN_BUDGET
from cat_model.serving import Serving
from web import flags, why, words


class Page:
    """What the page does with photos, for one predictor."""

    def __init__(self, serving: Serving) -> None:
        """Remember who judges."""
        self._serving = serving

    def predict(self, photo: str | bytes | None) -> dict[str, float | bool | str]:
        """Say whether a photo shows a cat: probability, is_cat, unsure, label, model_version.

        Args:
            photo: a JPEG, PNG, WebP, GIF, BMP or AVIF file.

        Returns:
            probability: that it shows a cat, 0 to 1; is_cat: whether that reaches the model's threshold;
            unsure: whether the model is often wrong at this probability; label: "cat", "not a cat" or
            "not sure"; model_version: which model said so.
        """
        return asdict(self._verdict_or_error(photo))

    def explain(self, photo: str | bytes | None, budget: int = EXPLAIN_BUDGET) -> dict[str, Any]:
        """Say whether a photo shows a cat, and which parts of it spoke for that and which against.

        Args:
            photo: as for /predict.
            budget: evaluations of the model, 8 to 512; 0 explains by the model's own shares, at once.

        Returns:
            What /predict returns, and: logit; base, which with the sum of the values is the logit; values, a
            grid of rows over the photo; evaluations spent; sentence; overlay, a data: address of a picture.
        """
        if budget not in (0, *why.BUDGETS):
            raise gr.Error(why.BUDGET_REFUSED, print_exception=False)
        try:
            with self._serving.room:
                explanation = self._serving.explain(require(photo), int(budget))
        except PhotoError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return why.as_json(explanation)

    def judge(self, photo: str | bytes | None) -> tuple[Any, ...]:
        """Answer the photo now on the page: panel, probabilities, state, flag row made fresh, reasons."""
        if photo is None:
            return words.IDLE, gr.update(visible=False), None, *flags.row(None), *why.parts(None)
        try:
            with self._serving.room:
                predictor = self._serving.predictor
                explanation = predictor.explain(photo, budget=0)
        except PhotoError as error:
            refused = words.refused(str(error))
            return refused, gr.update(visible=False), None, *flags.row(None), *why.parts(None)
        verdict = explanation.verdict
        # What came inside a message, not as a file, is not kept in the memory for later questions.
        lies = photo if isinstance(photo, str) else ""
        judged = flags.judged(verdict, lies, flags.model_of(predictor))
        bars = gr.update(value=words.shares(verdict), visible=True)
        panel = words.verdict_panel(verdict)
        return panel, bars, judged, *flags.row(verdict), *why.parts(explanation)

    def look_closer(self, judged: flags.Judged | None) -> Iterator[tuple[Any, ...]]:
        """Explain the photo now on the page by SHAP; yield the parts of its reasons, with the progress."""
        if judged is None:
            yield *why.closer_done(None), why.note(words.FORGOTTEN)
            return
        try:
            for step in why.steps(self._serving, judged.photo):
                if isinstance(step, Explanation):
                    yield *why.closer_done(step), why.note()
                else:
                    yield *why.closer_busy(), why.progress(step)
        except PhotoError as error:
            yield *why.closer_done(None), why.note(str(error))

    def _verdict_or_error(self, photo: str | bytes | None) -> Verdict:
        try:
            with self._serving.room:
                return self._serving.predict(require(photo))
        except PhotoError as error:
            raise gr.Error(str(error), print_exception=False) from error


def require(photo: str | bytes | None) -> str | bytes:
    """Return a photo that was sent; whoever sent none is told so."""
    if photo is None:
        raise gr.Error(words.NO_PHOTO, print_exception=False)
    return photo
