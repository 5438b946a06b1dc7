"""The box that takes a photo by upload, drag, paste or webcam, and hands the file over as it came."""

import base64
import binascii
from abc import ABCMeta
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData


class _WithoutStub(type(gr.Image)):
    """Makes a component class without what Gradio does besides: write a .pyi file beside this one."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
        return ABCMeta.__new__(cls, name, bases, body)


class PhotoBox(gr.Image, metaclass=_WithoutStub):
    """gr.Image, except that the app gets the visitor's very file, and only a file that was uploaded.

    gr.Image (6.31) opens every file with Pillow, without our limits, before the app sees it; it downloads any
    web address it is sent, of any size; and it takes the path of any file on the server from a request that
    leaves out `meta`.
    """

    is_template = True  # the browser shows it as what it derives from, gr.Image

    def preprocess(self, payload: ImageData | None) -> str | bytes | None:
        """Return the path of the uploaded file, or the bytes of a data: address; None without a photo."""
        if payload is None:
            return None
        if payload.url and payload.url.startswith("data:"):
            try:
                return base64.b64decode(payload.url.partition(",")[2], validate=True)
            except binascii.Error:
                raise gr.Error("This data: address is not valid base64.", print_exception=False) from None
        path = Path(payload.path or "/").resolve()
        if not path.is_relative_to(Path(self.GRADIO_CACHE).resolve()):
            raise gr.Error("Please upload the photo first.", print_exception=False)
        return str(path)

    def example_payload(self) -> dict[str, Any]:
        """Return what the page's API help shows as an example: a file of one's own."""
        return {"path": "photo.jpg", "url": "photo.jpg", "meta": {"_type": "gradio.FileData"}}

    def example_value(self) -> dict[str, Any]:
        """Return the same, for gr.load."""
        return self.example_payload()

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """Refuse web addresses: the app fetches nothing for a stranger."""
        if str(url_or_file_path).lower().startswith(("http:", "https:")):
            raise gr.Error("Please upload the photo itself, not its address.", print_exception=False)
        return await super().async_move_resource_to_block_cache(url_or_file_path)
