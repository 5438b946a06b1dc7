"""The tab "Live": the webcam's frames, each answered with a verdict and its colours while the camera runs.

Gradio hands over the newest frame when the last one is answered: old ones are dropped, not queued. A frame
comes as bytes inside the message and its answer goes back inside one, so that nothing lies on the disk.
"""

import html

import gradio as gr

from cat_model import PhotoError
from cat_model.serving import Serving
from web import why, words
from web.photo_box import PhotoBox

EVERY_S = 0.05
"""Between two frames that the browser sends, at least."""
LONGEST_S = 10 * 60
"""A camera left on is asked to start again after so long."""
SIDE = 320
"""Pixels of the longer side of the frame that goes back: half a usual camera's, which is quick to make."""
VISITORS = 16
"""Cameras watched at the same time."""
HINT = words.panel("idle", "Start the camera and press Record", "Frames are looked at and forgotten.")


class Watcher:
    """Answers frames."""

    def __init__(self, serving: Serving) -> None:
        """Remember who judges."""
        self._serving = serving

    def watch(self, frame: str | bytes | None) -> str:
        """Return the HTML of the verdict on a frame, with the frame under its colours."""
        if frame is None:
            return HINT
        try:
            with self._serving.room:
                explanation = self._serving.explain(frame, budget=0, counted=False)
        except PhotoError as error:
            return words.refused(str(error))
        said = html.escape(explanation.sentence)
        return (
            f"{words.verdict_panel(explanation.verdict)}{why.picture(explanation, SIDE)}"
            f'<p class="sentence">{said}</p>{why.LEGEND}'
        )


def tab(serving: Serving) -> None:
    """Lay out the tab's content and wire it."""
    with gr.Row():
        with gr.Column():
            camera = PhotoBox(
                label="Your camera",
                type="filepath",
                sources=["webcam"],
                streaming=True,
                webcam_options=gr.WebcamOptions(
                    mirror=False, constraints={"video": {"width": {"ideal": 640}, "height": {"ideal": 480}}}
                ),
                height=320,
                buttons=[],
                elem_id="camera",
            )
        with gr.Column():
            seen = gr.HTML(HINT, elem_id="live")
    camera.stream(
        Watcher(serving).watch,
        camera,
        seen,
        stream_every=EVERY_S,
        time_limit=LONGEST_S,
        concurrency_id="live",
        concurrency_limit=VISITORS,
        api_visibility="private",
        show_progress="hidden",
    )
