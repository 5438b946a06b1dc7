"""What people say of verdicts: the row under each answer, its receipt and undo, and the same for programs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from cat_model import PhotoError, Predictor, Verdict
from cat_model.feedback import (
    ANSWER,
    COMMENT_LENGTH,
    NUMBERS,
    PHOTO,
    PHOTO_SIDE,
    FeedbackError,
    Flag,
    new_secret,
    read_receipt,
    receipt,
)
from cat_model.outbox import Outbox
from cat_model.photo import decode
from cat_model.predict import CAT, NOT_A_CAT
from cat_model.serving import Serving
from web import crowd, words

PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True)
class Judged:
    """A verdict that was shown, kept on the server until its visitor says whether it is right.

    Attributes:
        verdict: what was shown.
        photo: where the photo lies for a few minutes; its name holds a hash of its content.
        model: SHA-256 of the model's file that gave it.
        secret: random; two clicks on one verdict are one record.
    """

    verdict: Verdict
    photo: str
    model: str
    secret: str


def judged(verdict: Verdict, photo: str, model: str) -> Judged:
    """Return a verdict that is about to be shown, with a secret of its own."""
    return Judged(verdict, photo, model, new_secret())


class Desk:
    """Takes feedback, for one predictor and one outbox."""

    def __init__(
        self, serving: Serving, outbox: Outbox, lasts: bool = True, wake: Callable[[], None] = lambda: None
    ) -> None:
        """Remember who judges and where feedback goes.

        Args:
            serving: gives the description of a photo in numbers.
            outbox: keeps feedback.
            lasts: whether feedback survives a restart of the page.
            wake: called when there is something to deliver.
        """
        self._serving = serving
        self._outbox = outbox
        self._lasts = lasts
        self._wake = wake

    def flag(
        self, agrees: bool, shown: Judged | None, keep: bool, numbers: bool, comment: str
    ) -> tuple[Any, ...]:
        """Store what the visitor says of the verdict; return the flag row with thanks or with what failed."""
        if shown is None:
            return *row(None)[:5], words.note(words.FORGOTTEN, failed=True), *row(None)[6:]
        claims_cat = shown.verdict.unsure or shown.verdict.is_cat
        consent = PHOTO if keep else NUMBERS if numbers else ANSWER
        try:
            code, said = self._store(shown, claims_cat == agrees, consent, comment)
        except FeedbackError as error:
            failed = words.note(f"{error} {words.PRESS_AGAIN}", failed=True)
            return *[gr.skip()] * 5, failed, gr.skip(), gr.skip()
        thanks = words.thanks(said, code, self._lasts)
        return *[gr.update(interactive=False)] * 5, thanks, gr.update(visible=True), code

    def take_back(self, code: str | None, shown: Judged | None) -> tuple[Any, ...]:
        """Delete what was just stored; return the flag row as it was before, and the verdict made anew."""
        failed = self._undone(code or "")[1]
        if failed:
            return *[gr.skip()] * 5, words.note(failed, failed=True), gr.skip(), gr.skip(), gr.skip()
        return self._anew(shown, words.note(words.DELETED))

    def delete(self, code: str, kept: str | None, shown: Judged | None) -> tuple[Any, ...]:
        """Delete feedback by its receipt code.

        Args:
            code: what the visitor typed.
            kept: the code of what was just stored about the verdict on the page; None where nothing was.
            shown: that verdict.

        Returns:
            The flag row and the verdict, as they were before where the code is the one just given; last,
            what to tell the visitor.
        """
        said, failed = self._undone(code)
        told = words.note(failed or said, failed=bool(failed))
        if failed or kept is None or read_receipt(code) != read_receipt(kept):
            return *[gr.skip()] * 9, told
        return *self._anew(shown, words.note()), told

    def _anew(self, shown: Judged | None, said: str) -> tuple[Any, ...]:
        """Return the flag row as it was before anything was stored, and the verdict made anew."""
        # With another secret: what is said now is another record than the deleted one.
        anew = replace(shown, secret=new_secret()) if shown else None
        fresh = row(shown.verdict if shown else None)
        return *fresh[:5], said, *fresh[6:], anew

    def feedback(
        self,
        photo: str | bytes | None,
        it_is: str | None,
        keep_photo: bool = False,
        keep_numbers: bool = False,
        comment: str = "",
    ) -> dict[str, str]:
        """Say what a photo really shows. It is judged once more, and your answer is stored with the verdict.

        Args:
            photo: as for /predict.
            it_is: "cat" or "not a cat".
            keep_photo: whether the photo (and its description in numbers) may be kept to improve the model.
            keep_numbers: whether its description in numbers may be kept to improve the model.
            comment: a few words, at most 280 characters.

        Returns:
            id: the name of the stored record; receipt: the code that /undo deletes it by.
        """
        if it_is is None:
            raise gr.Error(words.NO_ANSWER, print_exception=False)
        if photo is None:
            raise gr.Error(words.NO_PHOTO, print_exception=False)
        consent = PHOTO if keep_photo else NUMBERS if keep_numbers else ANSWER
        try:
            predictor = self._serving.predictor
            with self._serving.room:
                verdict = predictor.predict(photo)
            shown = judged(verdict, photo, model_of(predictor))
            code, _ = self._store(shown, it_is == CAT, consent, comment or "")
        except (FeedbackError, PhotoError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {"id": code.replace("-", "")[:16], "receipt": code}

    def undo_by_code(self, receipt: str) -> dict[str, str]:
        """Delete feedback, its photo included, by its receipt code.

        Args:
            receipt: the code that was given when the feedback was stored.

        Returns:
            message: that it is deleted, or will be as soon as the store it lies in answers.
        """
        said, failed = self._undone(receipt or "")
        if failed:
            raise gr.Error(failed, print_exception=False)
        return {"message": said}

    def _store(self, shown: Judged, says_cat: bool, consent: str, comment: str) -> tuple[str, str]:
        """Store a flag; return its receipt code and the words of thanks.

        Raises:
            FeedbackError: it could not be stored; the message says why.
        """
        numbers, picture, gone = self._take(shown, consent)
        flag = Flag(shown.verdict, shown.model, says_cat, shown.secret, comment, consent, numbers, picture)
        code = receipt(self._outbox.add(flag), shown.secret)
        self._wake()
        kept = PHOTO if picture is not None else ANSWER if numbers is None else NUMBERS
        said = {ANSWER: words.THANKS, NUMBERS: words.THANKS_WITH_NUMBERS, PHOTO: words.THANKS_WITH_PHOTO}
        return code, words.THANKS_PHOTO_GONE if gone else said[kept]

    def _take(self, shown: Judged, consent: str) -> tuple[np.ndarray | None, Image.Image | None, bool]:
        """Return the numbers and the picture as far as agreed to, and whether the photo is gone already."""
        if consent == ANSWER:
            return None, None, False
        predictor = self._serving.predictor
        try:
            with self._serving.room:
                picture = decode(shown.photo, predictor.limits, PHOTO_SIDE) if consent == PHOTO else None
                same = model_of(predictor) == shown.model  # one exchanged since has other numbers
                return predictor.embedding(shown.photo) if same else None, picture, False
        except PhotoError:
            return None, None, True

    def _undone(self, code: str) -> tuple[str, str]:
        """Delete by a code; return what was done, or (second) what failed."""
        try:
            found = self._outbox.undo(code)
        except FeedbackError as error:
            return "", str(error)
        self._wake()
        return words.DELETED if found else words.DELETION_NOTED, ""


def model_of(predictor: Predictor) -> str:
    """Return the SHA-256 of the model's file."""
    return predictor.bundle.manifest["model"]["sha256"]


def row(verdict: Verdict | None) -> tuple[Any, ...]:
    """Return the flag row for a new verdict or for none.

    Returns:
        Updates of the two buttons, the two boxes (never ticked), the comment, the line below, the button to
        undo, and the receipt code.
    """
    names = words.RIGHT, words.WRONG
    if verdict is not None:
        names = words.RIGHT, words.WRONG_OTHER if verdict.is_cat else words.WRONG_CAT
        names = (words.IT_IS, words.IT_IS_NOT) if verdict.unsure else names
    on = verdict is not None
    right, wrong = (gr.update(value=name, interactive=on) for name in names)
    keep, numbers = (gr.update(value=False, interactive=on) for _ in range(2))
    comment = gr.update(value="", interactive=on)
    return right, wrong, keep, numbers, comment, words.note(), gr.update(visible=False), None


def lay_out(desk: Desk, shown: gr.State, about: str) -> list[Any]:
    """Lay out the row; return what `row` updates, the first five being what can be switched off.

    Args:
        desk: takes what is said.
        shown: holds the verdict on the page, `Judged`.
        about: the privacy text in Markdown.
    """
    with gr.Column(elem_id="flags"):
        gr.Markdown("### Is that right?")
        keep, numbers = (
            gr.Checkbox(label=label, container=False, interactive=False, elem_id=name)
            for label, name in ((words.KEEP, "keep"), (words.NUMBERS, "numbers"))
        )
        comment = gr.Textbox(
            label=words.COMMENT,
            placeholder=words.COMMENT_HINT,
            max_length=COMMENT_LENGTH,
            lines=1,
            max_lines=3,
            interactive=False,
            elem_id="comment",
        )
        with gr.Row():
            right = gr.Button(words.RIGHT, interactive=False, min_width=100, elem_id="right")
            wrong = gr.Button(words.WRONG, interactive=False, min_width=100, elem_id="wrong")
        thanks = gr.HTML(words.note(), elem_id="thanks")
        undo = gr.Button(words.UNDO, visible=False, size="sm", elem_id="undo")
        receipt_code = gr.State()
        with gr.Accordion(words.ABOUT, open=False, elem_id="about"):
            gr.Markdown(about)
            code = gr.Textbox(label=words.CODE, max_lines=1, max_length=80, elem_id="code")
            delete = gr.Button(words.DELETE, size="sm", elem_id="delete")
            deleted = gr.HTML(words.note(), elem_id="deleted")
    parts = [right, wrong, keep, numbers, comment, thanks, undo, receipt_code]
    # Not queued: what a visitor tells us is taken even when the page is too busy to judge photos.
    for button, agrees in ((right, True), (wrong, False)):
        button.click(
            partial(desk.flag, agrees), [shown, keep, numbers, comment], parts, queue=False, **PRIVATE
        )
    undo.click(desk.take_back, [receipt_code, shown], [*parts, shown], queue=False, **PRIVATE)
    gr.on(
        [delete.click, code.submit],
        desk.delete,
        [code, receipt_code, shown],
        [*parts, shown, deleted],
        queue=False,
        **PRIVATE,
    )
    return parts


def add_endpoints(desk: Desk, photo: gr.Image) -> None:
    """Add what programs may call, /feedback and /undo, to the page that is being laid out."""
    with gr.Row(visible=False):
        trigger, result = gr.Button(), gr.JSON()
        it_is = gr.Radio([CAT, NOT_A_CAT], label="it_is")
        keep_photo, keep_numbers = gr.Checkbox(label="keep_photo"), gr.Checkbox(label="keep_numbers")
        comment, code = gr.Textbox("", label="comment"), gr.Textbox(label="receipt")
    trigger.click(
        desk.feedback,
        [photo, it_is, keep_photo, keep_numbers, comment],
        result,
        api_name="feedback",
        concurrency_id=crowd.MODEL,
    )
    trigger.click(desk.undo_by_code, code, result, api_name="undo", queue=False)
