"""The endpoints for programs: /predict, /explain, /feedback, /undo."""

from typing import Any

import gradio as gr

from cat_model import PhotoError
from cat_model.extras import MissingExtraError
from cat_model.predictor import EXPLAIN_BUDGET
from cat_model.verdict import CAT, NOT_A_CAT
from web import text
from web.gradio_compat import PhotoBox
from web.server.queue import MODEL
from web.server.reload import ReloadingPredictor
from web.ui import explanation
from web.ui.feedback import FeedbackHandlers


class Endpoints:
    """What programs may ask about photos, for one predictor."""

    def __init__(self, predictor: ReloadingPredictor) -> None:
        """Remember who answers."""
        self._predictor = predictor

    def predict(self, photo: str | bytes | None) -> dict[str, float | bool | str]:
        """Say whether a photo shows a cat: probability, is_cat, unsure, label, model_version.

        Args:
            photo: a JPEG, PNG, WebP, GIF, BMP, AVIF or HEIC file.

        Returns:
            probability: that it shows a cat, 0 to 1; is_cat: whether that reaches the model's threshold;
            unsure: whether the model is often wrong at this probability; label: "cat", "not a cat" or
            "not sure"; model_version: which model said so; frame: which picture of an animation was looked
            at, counted from 0; left out for the first.
        """
        return self._verdict(photo, thorough=False)

    def search(self, photo: str | bytes | None) -> dict[str, float | bool | str]:
        """Say whether a photo shows a cat after searching every part of it: finds tiny cats, takes longer.

        Args:
            photo: as for /predict.

        Returns:
            What /predict returns.
        """
        return self._verdict(photo, thorough=True)

    def explain(self, photo: str | bytes | None, budget: int = EXPLAIN_BUDGET) -> dict[str, Any]:
        """Say whether a photo shows a cat, and which parts of it spoke for that and which against.

        Args:
            photo: as for /predict.
            budget: evaluations of the model, 8 to 512; 0 explains by the model's own attributions, at once.

        Returns:
            What /predict returns, and: logit; base, which with the sum of the values is the logit; values, a
            grid of rows over the photo; evaluations spent; sentence; overlay, a data: address of a picture.
        """
        if budget not in (0, *explanation.BUDGETS):
            raise gr.Error(explanation.BUDGET_REFUSED, print_exception=False)
        try:
            with self._predictor.room:
                explained = self._predictor.explain(require(photo), int(budget))
        except (PhotoError, MissingExtraError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        return explanation.as_json(explained)

    def _verdict(self, photo: str | bytes | None, *, thorough: bool) -> dict[str, float | bool | str]:
        try:
            with self._predictor.room:
                return self._predictor.predict(require(photo), thorough).as_dict()
        except PhotoError as error:
            raise gr.Error(str(error), print_exception=False) from error


def require(photo: str | bytes | None) -> str | bytes:
    """Return a photo that was sent; whoever sent none is told so."""
    if photo is None:
        raise gr.Error(text.NO_PHOTO, print_exception=False)
    return photo


def add(predictor: ReloadingPredictor, handlers: FeedbackHandlers, photo: PhotoBox) -> None:
    """Add the endpoints to the page that is being laid out.

    Args:
        predictor: answers.
        handlers: take feedback.
        photo: the page's box, which takes programs' photos as well.
    """
    endpoints = Endpoints(predictor)
    with gr.Row(visible=False):
        trigger, result = gr.Button(), gr.JSON()
        budget = gr.Number(EXPLAIN_BUDGET, precision=0, label="budget")
        it_is = gr.Radio([CAT, NOT_A_CAT], label="it_is")
        keep_photo, keep_numbers = gr.Checkbox(label="keep_photo"), gr.Checkbox(label="keep_numbers")
        comment, code = gr.Textbox("", label="comment"), gr.Textbox(label="receipt")
    trigger.click(endpoints.predict, photo, result, api_name="predict", concurrency_id=MODEL)
    trigger.click(endpoints.search, photo, result, api_name="search", concurrency_id=MODEL)
    trigger.click(endpoints.explain, [photo, budget], result, api_name="explain", concurrency_id=MODEL)
    trigger.click(
        handlers.feedback,
        [photo, it_is, keep_photo, keep_numbers, comment],
        result,
        api_name="feedback",
        concurrency_id=MODEL,
    )
    trigger.click(handlers.undo, code, result, api_name="undo", queue=False)
