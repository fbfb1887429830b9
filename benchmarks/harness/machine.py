"""Where the numbers come from: the processor, the system and the interpreter."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

Machine = dict[str, str | int | None]
"""What distinguishes one machine from another; never its name, nor a path on it."""


def machine() -> Machine:
    """Tell of this one."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "nats-server": nats_server(),
    }


def processor() -> str | None:
    """The processor's name, where the system tells it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or None


def nats_server() -> str | None:
    """The version of the NATS server on PATH, or None without one."""
    if (found := shutil.which("nats-server")) is None:
        return None
    said = subprocess.run(
        [found, "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    return said.stdout.split()[-1].removeprefix("v") if said.stdout else None
