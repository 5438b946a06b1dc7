"""What is made to exhaust a decoder costs little time and memory, measured in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from cat_model.photo import DEFAULT_LIMITS
from tests import attacks

ROOT = Path(__file__).parents[2]
MEGABYTES = 300
CPU_SECONDS = 10
"""Far more than it takes (under one second), far less than without the limits (20 seconds to hours)."""
PROGRAM = f"""
import resource, sys, warnings
warnings.simplefilter("ignore")
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))
from cat_model.photo import PhotoError, decode
try:
    print("a photo of", *decode(sys.argv[1], at_least=448).size)
except PhotoError as error:
    print("refused:", error)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1024)
"""


def outcome(data: bytes, folder: Path) -> str:
    """Decode a file in a process of its own; return what it says, after a look at its peak memory."""
    assert len(data) < DEFAULT_LIMITS.file_bytes
    path = folder / "attack"
    path.write_bytes(data)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended
    said, peak = ended.stdout.splitlines()
    assert float(peak) < MEGABYTES
    return said


pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="Peak memory is read from /proc, which only Linux has."
)


@pytest.mark.parametrize("name", attacks.REFUSED)
def test_it_is_refused(name, tmp_path):
    assert outcome(attacks.REFUSED[name](), tmp_path).startswith("refused: This ")


@pytest.mark.parametrize("name", attacks.ANSWERED)
def test_what_is_beside_the_picture_is_not_looked_at(name, tmp_path):
    assert outcome(attacks.ANSWERED[name](), tmp_path).startswith("a photo of")


LONG_TO_MAKE = [name for name in attacks.LARGEST if name.endswith("fades in")] + ["HEIC in tiles"]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in LONG_TO_MAKE else ()) for name in attacks.LARGEST],
)
def test_the_largest_of_each_kind_fits(name, tmp_path):
    assert outcome(attacks.LARGEST[name](), tmp_path).startswith("a photo of")
