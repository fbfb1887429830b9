"""Whether enough workers can do their work."""

import asyncio
from collections.abc import Sequence

from gestalt.runner.errors import InspectionError

from .questions import Asked, ask_within, at_work


class WorkersReady:
    """A check: at least half of the workers have to be ready, of those that have work to do.

    Each is asked what its own health endpoint would say. One whose event loop is blocked says so,
    and one that is started again is not ready.

    Args:
        workers: all of them.
        timeout: how long each may take to answer, in seconds.
    """

    def __init__(self, workers: Sequence[Asked], *, timeout: float) -> None:
        self._workers = workers
        self._timeout = timeout

    async def __call__(self) -> str | None:
        """Why too few of them are ready; None as soon as enough have said that they are."""
        asked = at_work(self._workers)
        needed = (len(asked) + 1) // 2
        ready = 0
        troubles: dict[str, list[int]] = {}
        asking = [asyncio.create_task(self._ask(worker), name="ready?") for worker in asked]
        try:
            for answer in asyncio.as_completed(asking):
                number, trouble = await answer
                if trouble is not None:
                    troubles.setdefault(trouble, []).append(number)
                elif (ready := ready + 1) == needed:
                    return None
        finally:
            for task in asking:
                task.cancel()
        if not asked:
            return None
        return f"{ready} of {len(asked)} are ready, and {needed} have to be: {_told(troubles)}"

    async def _ask(self, worker: Asked) -> tuple[int, str | None]:
        try:
            answer = await ask_within(self._timeout, worker, "health")
        except InspectionError as error:
            return worker.number, str(error)
        failed = answer["ready"].get("failed", ())
        reasons = [f"{each['check']}: {each['reason']}" for each in failed]
        return worker.number, ", ".join(reasons) or None


def _told(troubles: dict[str, list[int]]) -> str:
    """What keeps which from being ready, those together that have the same."""
    return "; ".join(
        f"{'worker' if len(numbers) == 1 else 'workers'} {', '.join(map(str, sorted(numbers)))} "
        f"({trouble})"
        for trouble, numbers in sorted(troubles.items(), key=lambda item: min(item[1]))
    )
