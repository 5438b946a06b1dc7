"""What the page does, for one predictor and one outbox; app.py wires it to buttons and endpoints."""

import secrets
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr

from cat_model import Explanation, PhotoError, Predictor, Verdict
from cat_model.feedback import PHOTO_SIDE, FeedbackError, Outbox
from cat_model.photo import decode
from cat_model.predict import CAT, EXPLAIN_BUDGET
from web import why, words


@dataclass(frozen=True)
class Judged:
    """A verdict that was shown, kept on the server until its visitor says whether it is right.

    Attributes:
        verdict: what was shown.
        photo: where the photo lies for a few minutes; its name holds a hash of its content.
        token: random; two clicks on one verdict are one record.
    """

    verdict: Verdict
    photo: str
    token: str


class Page:
    """What the page does, for one predictor and one outbox."""

    def __init__(self, predictor: Predictor, outbox: Outbox) -> None:
        """Remember who judges and where feedback goes."""
        self._predictor = predictor
        self._outbox = outbox
        self._warm_up: threading.Thread | None = None

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

    def feedback(
        self, photo: str | bytes | None, it_is: str | None, keep_photo: bool = False
    ) -> dict[str, str]:
        """Say what a photo really shows. It is judged once more, and your answer is stored with the verdict.

        Args:
            photo: as for /predict.
            it_is: "cat" or "not a cat".
            keep_photo: whether the photo may be kept to improve the model.

        Returns:
            id: the name of the stored record.
        """
        if it_is is None:
            raise gr.Error(words.NO_ANSWER, print_exception=False)
        verdict = self._verdict_or_error(photo)
        kept = decode(photo, self._predictor.limits, PHOTO_SIDE) if keep_photo else None
        try:
            record = self._outbox.add(verdict, it_is == CAT, secrets.token_hex(8), kept)
        except FeedbackError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {"id": record.id}

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
            explanation = self._predictor.explain(require(photo), int(budget))
        except PhotoError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return why.as_json(explanation)

    def judge(self, photo: str | None) -> tuple[Any, ...]:
        """Answer the photo now on the page: panel, probabilities, state, flag row made fresh, reasons."""
        if photo is None:
            return words.IDLE, gr.update(visible=False), None, *flag_row(None), *why.parts(None)
        try:
            explanation = self._predictor.explain(photo, budget=0)
        except PhotoError as error:
            refused = words.refused(str(error))
            return refused, gr.update(visible=False), None, *flag_row(None), *why.parts(None)
        verdict = explanation.verdict
        judged = Judged(verdict, photo, secrets.token_hex(8))
        bars = gr.update(value=words.shares(verdict), visible=True)
        panel = words.verdict_panel(verdict)
        if self._warm_up is None:  # not before the first answer: that one is as quick as it was
            self._warm_up = why.warm_up(self._predictor)
        return panel, bars, judged, *flag_row(verdict), *why.parts(explanation)

    def look_closer(self, judged: Judged | None) -> Iterator[tuple[Any, ...]]:
        """Explain the photo now on the page by SHAP; yield the parts of its reasons, with the progress."""
        if judged is None:
            yield *why.closer_done(None), why.note(words.FORGOTTEN)
            return
        try:
            for step in why.steps(self._predictor, judged.photo):
                if isinstance(step, Explanation):
                    yield *why.closer_done(step), why.note()
                else:
                    yield *why.closer_busy(), why.progress(step)
        except PhotoError as error:
            yield *why.closer_done(None), why.note(str(error))

    def flag(self, agrees: bool, judged: Judged | None, keep: bool) -> tuple[Any, ...]:
        """Store what the visitor says of the verdict; return the flag row with thanks or with what failed."""
        if judged is None:
            return *flag_row(None)[:-1], words.note(words.FORGOTTEN, failed=True)
        photo, thanks = None, words.THANKS
        if keep:
            try:
                photo = decode(judged.photo, self._predictor.limits, PHOTO_SIDE)
                thanks = words.THANKS_WITH_PHOTO
            except PhotoError:
                thanks = words.THANKS_PHOTO_GONE
        claims_cat = judged.verdict.unsure or judged.verdict.is_cat
        try:
            self._outbox.add(judged.verdict, claims_cat == agrees, judged.token, photo)
        except FeedbackError as error:
            return gr.skip(), gr.skip(), gr.skip(), words.note(f"{error} {words.PRESS_AGAIN}", failed=True)
        return *[gr.update(interactive=False)] * 3, words.note(thanks)

    def _verdict_or_error(self, photo: str | bytes | None) -> Verdict:
        try:
            return self._predictor.predict(require(photo))
        except PhotoError as error:
            raise gr.Error(str(error), print_exception=False) from error


def require(photo: str | bytes | None) -> str | bytes:
    """Return a photo that was sent; whoever sent none is told so."""
    if photo is None:
        raise gr.Error(words.NO_PHOTO, print_exception=False)
    return photo


def flag_row(verdict: Verdict | None) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]:
    """Return the two buttons, the box (never ticked) and the line below, for a new verdict or for none."""
    names = (words.IT_IS, words.IT_IS_NOT) if verdict and verdict.unsure else (words.RIGHT, words.WRONG)
    on = verdict is not None
    right, wrong = (gr.update(value=name, interactive=on) for name in names)
    return right, wrong, gr.update(value=False, interactive=on), words.note()
