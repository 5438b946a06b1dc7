"""The page where shap is not installed, as in the smallest image: what needs it is not offered."""

import gradio as gr
import pytest

from cat_model import extras
from web.server.api import Endpoints
from web.server.reload import ReloadingPredictor
from web.ui.explanation import ExplanationSection


@pytest.fixture(params=[True, False])
def shap(request, monkeypatch) -> bool:
    monkeypatch.setattr(extras, "installed", lambda package: request.param)
    return request.param


def test_a_closer_look_is_offered_only_where_shap_is(shap):
    with gr.Blocks():
        section = ExplanationSection.lay_out(gr.HTML())
    assert section.closer.visible is shap


def test_a_program_that_asks_for_one_is_told_what_is_missing(monkeypatch, predictor, examples):
    monkeypatch.setattr(extras, "installed", lambda package: False)
    endpoints = Endpoints(ReloadingPredictor(lambda: predictor, predictor.bundle.folder))
    with pytest.raises(
        gr.Error, match=r"100 evaluations needs the package shap, which is not installed: pip"
    ):
        endpoints.explain(str(examples / "chelsea.jpg"), 100)
