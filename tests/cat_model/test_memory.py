"""Memory of one photo that is kept for the next one."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from cat_model.memory import keep_freed
from pipelines.score.local import keep_memory
from web.server.app import KEPT_BYTES

{"page": lambda: keep_freed(KEPT_BYTES), "scoring": keep_memory, "nobody": lambda: None}[sys.argv[1]]()
for turn in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [b"a" * 14_000_000 for _ in range(2)]  # a photo as it was decoded, and made smaller
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="Only glibc's malloc is told what to keep.")
def test_memory_of_a_photo_is_kept_for_the_next():
    def faults(who):
        command = [sys.executable, "-c", FAULTS, who]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)

    plain, page, scoring = map(faults, ("nobody", "page", "scoring"))
    assert plain > 1000 > 10 * page
    assert plain > 1000 > 10 * scoring
