"""The model as MLflow serves it: this file is copied into the registered model and run when it is loaded.

It imports nothing that is slow or offline: whoever serves it needs MLflow, and what `cat_model` needs.
"""

import base64
import binascii
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

import cat_model
from cat_model import PhotoError, Predictor

BUNDLE = "bundle"
"""Name of the artifact that is the bundle's folder."""
IMAGE, ERROR, EXPLAIN = "image", "error", "explain"
VERDICT: tuple[str, ...] = ("probability", "is_cat", "unsure", "label", "model_version")
REASONS: tuple[str, ...] = ("explanation", "sentence")


class CatModel(PythonModel):
    """Answers about one photo a row; a photo that cannot be used gets a sentence in the column `error`."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._predictor: Predictor | None = None

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle; MLflow calls this.

        Raises:
            BundleError: it is damaged or cannot be served.
        """
        self._predictor = cat_model.load(context.artifacts[BUNDLE])

    def predict(  # pyright: ignore[reportIncompatibleMethodOverride] - MLflow's has no body, so gives None
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return a row for each row; MLflow calls this.

        Args:
            context: not used: the bundle is loaded.
            model_input: the column `image` has a photo's file a row, as base64 text or as bytes.
            params: `explain`: whether to add the columns `explanation`, 14 × 14 numbers, and `sentence`.

        Returns:
            The columns of a verdict, and `error`: a sentence, or None where there is a verdict.
        """
        reasons = bool((params or {}).get(EXPLAIN))
        rows = [self._row(image, reasons) for image in model_input[IMAGE]]
        columns = [*VERDICT, *(REASONS if reasons else ()), ERROR]
        # Without a dtype pandas makes NaN of None, which JSON does not have.
        return pd.DataFrame(rows, columns=columns, dtype=object)

    def _row(self, image: object, reasons: bool) -> dict[str, Any]:
        assert self._predictor is not None  # MLflow calls load_context first
        answer: dict[str, Any] = dict.fromkeys((*VERDICT, *REASONS, ERROR))
        try:
            photo = _file(image)
            if not reasons:
                return answer | self._predictor.predict(photo).as_dict()
            explained = self._predictor.explain(photo, 0)
        except PhotoError as error:
            return answer | {ERROR: str(error)}
        why = {"explanation": explained.values.tolist(), "sentence": explained.sentence}
        return answer | explained.verdict.as_dict() | why


def _file(image: object) -> bytes:
    """Return the bytes of a photo's file.

    Raises:
        PhotoError: they are not there, or no base64.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if not isinstance(image, str):
        raise PhotoError(
            f"The column {IMAGE!r} holds no photo here: base64 text or bytes, please.", "missing"
        )
    try:
        return base64.b64decode(image, validate=True)
    except (binascii.Error, ValueError):
        raise PhotoError(f"What the column {IMAGE!r} holds here is no valid base64.") from None


set_model(CatModel())  # how MLflow learns which model this file defines
