"""Memory and processor time of another process, as Linux's /proc tells them."""

import os
from pathlib import Path


def resident_mb(pid: int, field: str = "VmRSS") -> int:
    """Return the memory of a process in MB (10⁶ bytes): now, or at its peak by the field "VmHWM"."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 // 1_000_000 for line in lines if line.startswith(field))


def processor_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
