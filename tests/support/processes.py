"""Whether other processes run."""

from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended does not, though nobody has waited for it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        # It may go at any time, also between the open and the read.
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
