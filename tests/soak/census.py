"""What a process holds, and whether it grows without end."""

import asyncio
import gc
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096 / 2**20
SETTLING = 10.0
"""How long, in seconds, tasks and descriptors may take to go after a round."""

MEMORY = 4.0
"""By how many MiB the later rounds may hold more than the earlier ones."""


@dataclass(frozen=True)
class Census:
    """What is there at one moment.

    Attributes:
        tasks: tasks of the event loop.
        descriptors: open files and sockets of the process.
        memory: what is resident, in MiB.
    """

    tasks: int
    descriptors: int
    memory: float

    @classmethod
    def take(cls) -> "Census":
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text().split()[1])
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        return cls(len(asyncio.all_tasks()), descriptors, resident * PAGE)


async def settled(before: Census) -> Census:
    """What is there when nothing more goes, or when no more is there than before."""
    deadline = time.monotonic() + SETTLING
    while True:
        census = Census.take()
        done = census.tasks <= before.tasks and census.descriptors <= before.descriptors
        if done or time.monotonic() > deadline:
            return census
        await asyncio.sleep(0.05)


def verdict(rounds: Sequence[Census]) -> list[str]:
    """What has grown, in a sentence each; the first round warms up, and does not count."""
    rest = rounds[1:]
    if len(rest) < 2:
        return []
    found = []
    base = rest[0]
    for what in ("tasks", "descriptors"):
        before, after = getattr(base, what), getattr(rest[-1], what)
        if after > before:
            found.append(f"{what} grew from {before} to {after}")
    # Memory goes up and down by itself: the later half is held against the earlier one.
    half = len(rest) // 2
    before = statistics.median(census.memory for census in rest[:half])
    after = statistics.median(census.memory for census in rest[half:])
    if after - before > max(MEMORY, before * 0.05):
        found.append(f"memory grew from {before:.1f} to {after:.1f} MiB")
    return found
