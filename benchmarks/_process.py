"""Memory and processor time of processes, as Linux's /proc tells them."""

import os
from contextlib import suppress
from pathlib import Path


def resident_mb(pid: int, field: str = "VmRSS") -> int:
    """Return the memory of a process in MB (10⁶ bytes): now, or at its peak by the field "VmHWM"."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 // 1_000_000 for line in lines if line.startswith(field))


def processor_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family_seconds(pid: int) -> float:
    """Return the processor time of a process, of those that it has started and so on, as far as they run."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    family = [pid]
    for member in family:  # grows while it is gone through
        family += [child for child, parent in parents.items() if parent == member]
    seconds = 0.0
    for member in family:
        with suppress(FileNotFoundError, ProcessLookupError):
            seconds += processor_seconds(member)
    return seconds
