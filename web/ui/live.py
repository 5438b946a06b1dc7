"""The tab "Live": the webcam's frames, each answered with a verdict and its colours while the camera runs.

Where the engine for browsers was built and the browser can run it, frames stay on the visitor's device
(device.js). Else they are sent to the server: Gradio hands over the newest frame when the last one is
answered: old ones are dropped, not queued. A frame comes as bytes inside the message and its answer goes back
inside one, so that nothing lies on the disk.
"""

import html

import gradio as gr

from cat_model import PhotoError
from web import text
from web.gradio_compat import PhotoBox
from web.server.reload import ReloadingPredictor
from web.ui import explanation

EVERY_S = 0.05
"""Between two frames that the browser sends, at least."""
LONGEST_S = 10 * 60
"""A camera left on is asked to start again after so long."""
SIDE = 320
"""Pixels of the longer side of the frame that goes back: half a usual camera's, which is quick to make."""
VISITORS = 16
"""Cameras watched at the same time."""
HINT = text.panel("idle", text.OPEN_CAMERA, text.FRAMES)
ON_DEVICE = f"""<p>{html.escape(text.ON_THIS_DEVICE)}</p>
<p><button type="button" class="start" disabled>{html.escape(text.DEVICE_LIVE["start"])}</button>
<button type="button" class="switch" hidden>{html.escape(text.OTHER_CAMERA)}</button></p>
<p class="problem" role="alert"></p>
<div class="said">{text.panel("idle", text.OPEN_CAMERA)}</div>
<div class="film" hidden><video muted playsinline></video><canvas aria-hidden="true"></canvas></div>
{explanation.LEGEND}
<p class="rate">{html.escape(text.MODEL_LOADS)}</p>"""


def answer(predictor: ReloadingPredictor, frame: str | bytes | None) -> str:
    """Return the HTML of the verdict on a frame, with the frame under its colours."""
    if frame is None:
        return HINT
    try:
        with predictor.room:
            explained = predictor.explain(frame, budget=0, counted=False)
    except PhotoError as error:
        return text.refused(str(error))
    said = html.escape(explained.sentence)
    return (
        f"{text.verdict_panel(explained.verdict)}{explanation.picture(explained, SIDE)}"
        f'<p class="sentence">{said}</p>{explanation.LEGEND}'
    )


def lay_out(predictor: ReloadingPredictor, built: bool) -> None:
    """Lay out the tab's content and wire it.

    Args:
        predictor: answers.
        built: whether the engine for browsers was built.
    """

    def watch(frame: str | bytes | None) -> str:
        return answer(predictor, frame)

    if built:
        gr.HTML(ON_DEVICE, elem_id="device-live")
    with gr.Row(elem_id="server-live"):
        with gr.Column():
            gr.Markdown(text.CANNOT_RUN if built else text.NOT_BUILT)
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
        watch,
        camera,
        seen,
        stream_every=EVERY_S,
        time_limit=LONGEST_S,
        concurrency_id="live",
        concurrency_limit=VISITORS,
        api_visibility="private",
        show_progress="hidden",
    )
