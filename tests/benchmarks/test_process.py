"""Processor time of a process and of what it has started."""

import subprocess
import sys
from pathlib import Path

from benchmarks._process import family_seconds, processor_seconds

BUSY = "import subprocess, sys, time\nwhile time.process_time() < 0.5: pass\n"
PARENT = (
    "import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', sys.argv[1]])\nchild.wait()\n"
)


def test_a_family_is_a_process_and_what_it_has_started():
    child = f"{BUSY}print('ready', flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", PARENT, child], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        assert family_seconds(parent.pid) >= processor_seconds(parent.pid) + 0.4
        for pid in children(parent.pid):
            subprocess.run(["kill", str(pid)], check=True)
        parent.wait(30)


def children(pid):
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
