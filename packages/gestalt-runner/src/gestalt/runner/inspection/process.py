"""What the system says of this process."""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

WORKER = "GESTALT_WORKER"
"""The variable that tells a worker its number."""


def process() -> dict[str, Any]:
    """Facts of this process; what the system does not tell is None."""
    # Windows has none, and no inspection.
    import resource

    return {
        "python": sys.version.partition(" ")[0],
        "cpu": time.process_time(),
        "memory": _memory(),
        "descriptors": _descriptors(),
        "descriptors_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "threads": threading.active_count(),
    }


def command() -> str:
    """How the process was started, without the interpreter."""
    path = Path(sys.argv[0] if sys.argv and sys.argv[0] else "python")
    if path.name == "gestalt" or path.parts[-3:-1] == ("gestalt", "runner"):
        return " ".join(["gestalt", *sys.argv[1:]])[:200]
    # The arguments of a program that is not ours may hold secrets.
    return f"python -m {path.parent.name}" if path.name == "__main__.py" else path.name


def _memory() -> int | None:
    """What is resident, in bytes."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):  # pragma: no cover - systems without /proc
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _descriptors() -> int | None:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            # One of them is that of the folder itself.
            return sum(1 for _ in Path(folder).iterdir()) - 1
        except OSError:  # pragma: no cover - systems without /proc
            continue
    return None  # pragma: no cover - Windows
