"""What people say of verdicts: the row under each answer, its receipt and undo, and the same for programs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from cat_model import PhotoError, Predictor, Verdict
from cat_model.feedback.outbox import Outbox
from cat_model.feedback.record import (
    ANSWER,
    COMMENT_LENGTH,
    NUMBERS,
    PHOTO,
    PHOTO_SIDE,
    Feedback,
    FeedbackError,
    new_secret,
    read_receipt,
    receipt,
)
from cat_model.photo import decode
from cat_model.verdict import CAT
from web import text
from web.server.reload import ReloadingPredictor
from web.ui.explanation import PRIVATE, Updates


@dataclass(frozen=True)
class Shown:
    """A verdict that was shown, kept on the server until its visitor says whether it is right.

    Attributes:
        verdict: what was shown.
        photo: where the photo lies for a few minutes; its name holds a hash of its content.
        model: SHA-256 of the model's file that gave it.
        secret: random; two clicks on one verdict are one record.
        thorough: whether the whole photo was searched for it.
    """

    verdict: Verdict
    photo: str | bytes
    model: str
    secret: str
    thorough: bool = False


def shown(verdict: Verdict, photo: str | bytes, model: str, thorough: bool = False) -> Shown:
    """Return a verdict that is about to be shown, with a secret of its own."""
    return Shown(verdict, photo, model, new_secret(), thorough)


class FeedbackHandlers:
    """Takes feedback and deletes it, for one predictor and one outbox."""

    def __init__(
        self,
        predictor: ReloadingPredictor,
        outbox: Outbox,
        lasts: bool = True,
        wake: Callable[[], None] = lambda: None,
        deletes: Callable[[], bool] = lambda: True,
    ) -> None:
        """Remember who answers and where feedback goes.

        Args:
            predictor: gives the description of a photo in numbers.
            outbox: keeps feedback.
            lasts: whether feedback survives a restart of the page.
            wake: called when there is something to deliver.
            deletes: tells whether the stores are known to keep nothing of what is deleted.
        """
        self._predictor = predictor
        self._outbox = outbox
        self._wake = wake
        self.deletes = deletes
        self.lasts = lasts

    def store(self, about: Shown, says_cat: bool, consent: str, comment: str) -> tuple[str, str]:
        """Store what somebody says of a verdict; return its receipt code and the words of thanks.

        Raises:
            FeedbackError: it could not be stored; the message says why.
        """
        numbers, picture, gone = self._take(about, consent)
        said = Feedback(
            about.verdict, about.model, says_cat, about.secret, comment, consent, numbers, picture
        )
        code = receipt(self._outbox.add(said), about.secret)
        self._wake()
        kept = PHOTO if picture is not None else ANSWER if numbers is None else NUMBERS
        thanks = {ANSWER: text.THANKS, NUMBERS: text.THANKS_WITH_NUMBERS, PHOTO: text.THANKS_WITH_PHOTO}
        return code, text.THANKS_PHOTO_GONE if gone else thanks[kept]

    def delete(self, code: str) -> tuple[str, str]:
        """Delete feedback by a code; return what was done, or (second) what failed."""
        try:
            found = self._outbox.undo(code)
        except FeedbackError as error:
            return "", str(error)
        self._wake()
        said = text.DELETED if found else text.DELETION_NOTED
        return said if self.deletes() else f"{said} {text.MAY_STAY}", ""

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
            raise gr.Error(text.NO_ANSWER, print_exception=False)
        if photo is None:
            raise gr.Error(text.NO_PHOTO, print_exception=False)
        try:
            predictor = self._predictor.predictor
            with self._predictor.room:
                verdict = predictor.predict(photo)
            about = shown(verdict, photo, model_of(predictor))
            code, _ = self.store(about, it_is == CAT, consent_of(keep_photo, keep_numbers), comment or "")
        except (FeedbackError, PhotoError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {"id": code.replace("-", "")[:16], "receipt": code}

    def undo(self, receipt: str) -> dict[str, str]:
        """Delete feedback, its photo included, by its receipt code.

        Args:
            receipt: the code that was given when the feedback was stored.

        Returns:
            message: that it is deleted, or will be as soon as the store it lies in answers.
        """
        said, failed = self.delete(receipt or "")
        if failed:
            raise gr.Error(failed, print_exception=False)
        return {"message": said}

    def _take(self, about: Shown, consent: str) -> tuple[np.ndarray | None, Image.Image | None, bool]:
        """Return the numbers and the picture as far as agreed to, and whether the photo is gone already."""
        if consent == ANSWER:
            return None, None, False
        predictor = self._predictor.predictor
        try:
            with self._predictor.room:
                picture = decode(about.photo, predictor.limits, PHOTO_SIDE) if consent == PHOTO else None
                same = model_of(predictor) == about.model  # one exchanged since has other numbers
                return predictor.embedding(about.photo) if same else None, picture, False
        except PhotoError:
            return None, None, True


def consent_of(keep_photo: bool, keep_numbers: bool) -> str:
    """Return what somebody agrees to who ticked these boxes."""
    return PHOTO if keep_photo else NUMBERS if keep_numbers else ANSWER


def model_of(predictor: Predictor) -> str:
    """Return the SHA-256 of the model's file."""
    return predictor.bundle.manifest["model"]["sha256"]


def _say_if_not_reached(event: Any, line: gr.HTML) -> None:  # noqa: ANN401 - Gradio's Dependency
    """Have the browser say in a line that an event did not reach the server."""
    said = text.as_json(text.note(text.PRESS_LATER, failed=True))
    event.failure(None, None, line, js=f"() => {said}", **PRIVATE)


@dataclass(frozen=True)
class FeedbackRow:
    """The row under the answer.

    Attributes:
        right: says that the answer is right.
        wrong: says that it is wrong.
        keep: box to keep the photo.
        numbers: box to keep its description in numbers.
        comment: a few words.
        thanks: the line below.
        undo: takes the feedback back.
        receipt: its code; None where nothing was stored.
        shown: the verdict on the page, `Shown` or None.
        about: the privacy text.
        code: box for a receipt code.
        deleted: the line below that.
    """

    right: gr.Button
    wrong: gr.Button
    keep: gr.Checkbox
    numbers: gr.Checkbox
    comment: gr.Textbox
    thanks: gr.HTML
    undo: gr.Button
    receipt: gr.State
    shown: gr.State
    about: gr.Markdown
    code: gr.Textbox
    deleted: gr.HTML

    @classmethod
    def lay_out(cls, handlers: FeedbackHandlers, about: str) -> "FeedbackRow":
        """Lay out the row and wire it.

        Args:
            handlers: take what is said.
            about: the privacy text in Markdown.
        """
        with gr.Column(elem_id="flags"):
            gr.Markdown("### Is that right?")
            keep, numbers = (
                gr.Checkbox(label=label, container=False, interactive=False, elem_id=name)
                for label, name in ((text.KEEP, "keep"), (text.NUMBERS, "numbers"))
            )
            comment = gr.Textbox(
                label=text.COMMENT,
                placeholder=text.COMMENT_HINT,
                max_length=COMMENT_LENGTH,
                lines=1,
                max_lines=3,
                interactive=False,
                elem_id="comment",
            )
            with gr.Row():
                right = gr.Button(text.RIGHT, interactive=False, min_width=100, elem_id="right")
                wrong = gr.Button(text.WRONG, interactive=False, min_width=100, elem_id="wrong")
            thanks = gr.HTML(text.note(), elem_id="thanks")
            undo = gr.Button(text.UNDO, visible=False, size="sm", elem_id="undo")
            with gr.Accordion(text.ABOUT, open=False, elem_id="about"):
                told = gr.Markdown(about, elem_id="privacy-details")
                code = gr.Textbox(label=text.CODE, max_lines=1, max_length=80, elem_id="code")
                delete = gr.Button(text.DELETE, size="sm", elem_id="delete")
                deleted = gr.HTML(text.note(), elem_id="deleted")
        kept = gr.State(), gr.State()
        row = cls(right, wrong, keep, numbers, comment, thanks, undo, *kept, told, code, deleted)
        row._wire(handlers, delete)
        return row

    @property
    def inputs(self) -> list[Any]:
        """What can be switched off: two buttons, two boxes, the comment."""
        return [self.right, self.wrong, self.keep, self.numbers, self.comment]

    @property
    def components(self) -> list[Any]:
        """Everything that a callback may update."""
        return [*self.inputs, self.thanks, self.undo, self.receipt, self.shown, self.deleted]

    def ready(self) -> Updates:
        """Return the row switched on, for the verdict that it has."""
        return {each: gr.update(interactive=True) for each in self.inputs}

    def fresh(self, about: Shown | None, *, ready: bool = True) -> Updates:
        """Return the row for a new verdict, with boxes never ticked; or switched off for none.

        Args:
            about: the verdict.
            ready: whether it is the last word; the row stays switched off until then.
        """
        right, wrong = text.RIGHT, text.WRONG
        if about is not None:
            wrong = text.WRONG_OTHER if about.verdict.is_cat else text.WRONG_CAT
            if about.verdict.unsure:
                right, wrong = text.IT_IS, text.IT_IS_NOT
        on = ready and about is not None
        return {
            self.right: gr.update(value=right, interactive=on),
            self.wrong: gr.update(value=wrong, interactive=on),
            self.keep: gr.update(value=False, interactive=on),
            self.numbers: gr.update(value=False, interactive=on),
            self.comment: gr.update(value="", interactive=on),
            self.thanks: text.note(),
            self.undo: gr.update(visible=False),
            self.receipt: None,
            self.shown: about,
        }

    def _wire(self, handlers: FeedbackHandlers, delete: gr.Button) -> None:
        said = [self.shown, self.keep, self.numbers, self.comment]
        # Not queued: what a visitor tells us is taken even when the page is too busy to judge photos.
        for button, agrees in ((self.right, True), (self.wrong, False)):
            told = button.click(
                partial(self.tell, handlers, agrees), said, self.components, queue=False, **PRIVATE
            )
            _say_if_not_reached(told, self.thanks)
        undone = self.undo.click(
            partial(self.take_back, handlers),
            [self.receipt, self.shown],
            self.components,
            queue=False,
            **PRIVATE,
        )
        _say_if_not_reached(undone, self.thanks)
        deleted = gr.on(
            [delete.click, self.code.submit],
            partial(self.delete_by_code, handlers),
            [self.code, self.receipt, self.shown],
            self.components,
            queue=False,
            **PRIVATE,
        )
        _say_if_not_reached(deleted, self.deleted)

    def tell(
        self,
        handlers: FeedbackHandlers,
        agrees: bool,
        *said: Any,  # noqa: ANN401 - values of components
    ) -> Updates:
        """Store what the visitor says of the verdict; return the row with thanks or with what failed."""
        about, keep, numbers, comment = said
        if about is None:
            return {**self.fresh(None), self.thanks: text.note(text.FORGOTTEN, failed=True)}
        claims_cat = about.verdict.unsure or about.verdict.is_cat
        try:
            code, thanks = handlers.store(about, claims_cat == agrees, consent_of(keep, numbers), comment)
        except FeedbackError as error:
            return {self.thanks: text.note(f"{error} {text.PRESS_AGAIN}", failed=True)}
        return {
            **{each: gr.update(interactive=False) for each in self.inputs},
            self.thanks: text.thanks(thanks, code, handlers.lasts),
            self.undo: gr.update(visible=True),
            self.receipt: code,
        }

    def take_back(self, handlers: FeedbackHandlers, code: str | None, about: Shown | None) -> Updates:
        """Delete what was just stored; return the row as it was before."""
        said, failed = handlers.delete(code or "")
        if failed:
            return {self.thanks: text.note(failed, failed=True)}
        return {**self._anew(about), self.thanks: text.note(said)}

    def delete_by_code(
        self, handlers: FeedbackHandlers, code: str, kept: str | None, about: Shown | None
    ) -> Updates:
        """Delete feedback by its receipt code; the row is as it was before if that is the one just given."""
        said, failed = handlers.delete(code)
        told = {self.deleted: text.note(failed or said, failed=bool(failed))}
        if failed or kept is None or read_receipt(code) != read_receipt(kept):
            return told
        return {**self._anew(about), **told}

    def _anew(self, about: Shown | None) -> Updates:
        """Return the row as it was before anything was stored, about the same verdict."""
        # With another secret: what is said now is another record than the deleted one.
        return self.fresh(replace(about, secret=new_secret()) if about else None)
