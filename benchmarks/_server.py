"""Pages that benchmarks start in processes of their own: the app, and an empty page to compare with."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
CAT = EXAMPLES / "chelsea.jpg"
APP = ("app.py",)
"""What Python is told to run for the app."""
EMPTY = """
import os
import gradio as gr
with gr.Blocks(analytics_enabled=False) as page:
    pass
page.launch(server_name="127.0.0.1", server_port=int(os.environ["CAT_PORT"]), quiet=True)
"""
"""The program of the empty page."""


@contextmanager
def opened(program: Sequence[str] = APP, **settings: object) -> Iterator[tuple[str, int]]:
    """Run a page, without a rate limit, until the block ends; yield its address and process number.

    Args:
        program: what Python is told to run; it listens on CAT_PORT.
        settings: further environment variables.

    Raises:
        SystemExit: the page ends before it answers.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        env = {name: value for name, value in os.environ.items() if "DISPLAY" not in name}
        env |= {"CAT_PORT": str(port), "CAT_RATE": "0", "CAT_FEEDBACK_DIR": folder, "GRADIO_TEMP_DIR": folder}
        env |= {name: str(value) for name, value in settings.items()}
        command = [sys.executable, *program]
        with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL) as page:
            try:
                while not answers(port):
                    if page.poll() is not None:
                        sys.exit(f"The page ended with exit code {page.returncode}.")
                    time.sleep(0.01)
                yield f"http://127.0.0.1:{port}", page.pid
            finally:
                page.terminate()


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    """Say whether the page on a port answers with status 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
