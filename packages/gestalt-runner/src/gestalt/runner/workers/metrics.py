"""The metrics of all workers, on one page."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from gestalt.runner.errors import InspectionError
from gestalt.runner.exporters import JoinedPage, prometheus_page

from .questions import Asked, ask_within, at_work

logger = logging.getLogger("gestalt.runner")

TIMEOUT = 3.0
"""How long a worker may take to give its metrics, in seconds."""

LABEL = "worker"
"""The label that tells the worker; the metrics of this process have none."""


class WorkersPage:
    """Makes the page of this process and of all workers.

    A worker that gives no metrics costs none but its own: a line of the log says why when that
    begins, and `gestalt_worker_answered` is 0 as long as it lasts.

    Args:
        workers: all of them.
        timeout: how long each may take, in seconds.
    """

    def __init__(self, workers: Sequence[Asked], *, timeout: float = TIMEOUT) -> None:
        self._workers = workers
        self._timeout = timeout
        # Those that gave none when they were asked last.
        self._silent: set[int] = set()

    async def __call__(self) -> bytes:
        """The page.

        Raises:
            ExtraNotInstalled: prometheus-client is missing.
        """
        joined = JoinedPage()
        own = await prometheus_page()
        asked = at_work(self._workers)
        found = await asyncio.gather(*map(self._ask, asked))
        pages = {worker.number: page for worker, page in zip(asked, found, strict=True)}
        # In a thread, so that the workers are watched meanwhile.
        answered = await asyncio.to_thread(self._join, joined, own.decode(), pages)
        joined.add_gauge(
            "gestalt_worker_answered",
            "Whether a worker has given its metrics: 1 or 0.",
            LABEL,
            {str(number): int(number in answered) for number in pages},
        )
        return joined.render()

    async def _ask(self, worker: Asked) -> str | None:
        try:
            page = await ask_within(self._timeout, worker, "metrics")
        except InspectionError as error:
            self._tell(worker.number, str(error))
            return None
        return str(page)

    def _join(self, joined: JoinedPage, own: str, pages: Mapping[int, str | None]) -> set[int]:
        """Put the pages together; those that gave one which can be read."""
        joined.add(own)
        answered = set()
        for number, page in pages.items():
            if page is None:
                continue
            try:
                joined.add(page, {LABEL: str(number)})
            except Exception as error:
                # The parser is not ours, nor is all that is on the page.
                self._tell(number, f"its page cannot be read, by {type(error).__name__}")
            else:
                answered.add(number)
        self._silent -= answered
        return answered

    def _tell(self, number: int, why: str) -> None:
        if number not in self._silent:
            self._silent.add(number)
            logger.warning("worker %d gives no metrics: %s", number, why)
