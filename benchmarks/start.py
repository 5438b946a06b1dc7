"""How long until the page answers, beside an empty Gradio page: `python benchmarks/start.py [--runs 5]`.

Each run is a fresh process; the two kinds take turns. Prints both medians, in seconds from the start of the
process to the first answer with status 200, and their ratio, which should stay below 1.5.
"""

import argparse
import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
EMPTY = """
import sys
import gradio as gr
with gr.Blocks(analytics_enabled=False) as page:
    pass
page.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="fresh starts of each page")
    runs = parser.parse_args().runs
    seconds: dict[str, list[float]] = {"empty": [], "app": []}
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY)
        for _ in range(runs + 1):
            for name, program in (("empty", empty), ("app", ROOT / "app.py")):
                seconds[name].append(seconds_to_answer(program, folder))
    # The first start of each reads its files from the disk; it is left out.
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    for name, values in seconds.items():
        print(f"{name:6} median {medians[name]:.2f} s of", *(f"{value:.2f}" for value in values[1:]))
    print(f"ratio  {medians['app'] / medians['empty']:.2f}")


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def seconds_to_answer(program: Path, folder: str) -> float:
    """Start a page in a fresh process; return the seconds to its first answer, then stop it."""
    port = free_port()
    screenless = {name: value for name, value in os.environ.items() if "DISPLAY" not in name}
    env = screenless | {"CAT_PORT": str(port), "CAT_FEEDBACK_DIR": folder, "GRADIO_TEMP_DIR": folder}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(program), str(port)], cwd=ROOT, env=env, stdout=subprocess.DEVNULL
    )
    try:
        while not answers(port):
            if process.poll() is not None:
                sys.exit(f"{program.name} ended with exit code {process.returncode}.")
            time.sleep(0.01)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    """Say whether the page answers with status 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    main()
