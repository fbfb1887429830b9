"""Lets an application live through churn, floods and faults, and tells whether anything stays.

    ./dev run soak:run                 ten minutes
    ./dev run soak:run --minutes 600   as long as you like

Each round prints a line. The status is 1 when tasks, descriptors or memory grew.
"""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

from .census import Census, settled, verdict
from .loads import LOADS, Application, application

Load = Callable[[Application], Awaitable[None]]
ROUNDS = 4
"""The least number of rounds from which growth can be told."""


async def soak(seconds: float, loads: Sequence[Load] = LOADS) -> list[str]:
    """Run rounds for that many seconds, at least four, and return what has grown."""
    rounds: list[Census] = []
    end = time.monotonic() + seconds
    async with application() as app:
        before = await settled(Census.take())
        print(f"{'round':>5} {'seconds':>8} {'tasks':>6} {'files':>6} {'MiB':>7} {'handled':>9}")
        while len(rounds) < ROUNDS or time.monotonic() < end:
            began = time.monotonic()
            for load in loads:
                await load(app)
            rounds.append(await settled(rounds[0] if rounds else before))
            now = rounds[-1]
            print(
                f"{len(rounds):5} {time.monotonic() - began:8.1f} {now.tasks:6} "
                f"{now.descriptors:6} {now.memory:7.1f} {app.handled:9}",
                flush=True,
            )
    return verdict(rounds)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="soak:run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="default: %(default)s")
    options = parser.parse_args()
    # What was survived is told by the hundreds: it is counted, and not to be read.
    logging.disable(logging.ERROR)
    found = asyncio.run(soak(options.minutes * 60))
    print("\n".join(found) or "nothing has grown")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
