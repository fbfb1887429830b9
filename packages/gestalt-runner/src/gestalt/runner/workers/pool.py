"""All workers: kept running, restarted one after another, stopped together."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from gestalt.core import State, StateError, Supervisor
from gestalt.runner.errors import WorkerDied
from gestalt.runner.report import logger

from .process import WorkerProcess
from .worker import Worker

PERIOD = 60.0

STOP_OF_START = 3.0
"""How long workers may drain when the start of others is given up, in seconds: within the 5 s that
are waited for that."""


class Workers(Supervisor):
    """Keeps a number of workers running.

    One that dies is started again, after a delay that grows. When there are more than twice as many
    deaths as workers within a minute, but at least six, all are stopped. The first one starts
    alone: what is wrong with the application is told once.

    SIGUSR2 replaces the processes one after another; each new one is ready before the old one is
    asked to stop.

    Args:
        count: how many.
        start: starts the process of the worker with this number.
        patience: how long the graceful stop of a process may take, in seconds.
    """

    def __init__(
        self,
        count: int,
        start: Callable[[int], Coroutine[Any, Any, WorkerProcess]],
        *,
        patience: float,
    ) -> None:
        first = Worker(1, start, patience=patience)
        others = [
            Worker(number, start, patience=patience, after=first.was_ready)
            for number in range(2, count + 1)
        ]
        self._workers = [first, *others]
        super().__init__(
            *self._workers,
            together=True,
            max_restarts=max(5, 2 * count),
            period=PERIOD,
            name="workers",
        )
        self._rolling: asyncio.Task[None] | None = None
        self._roll_again = False
        self._previous: Any = None

    @property
    def workers(self) -> Sequence[Worker]:
        """All of them."""
        return self._workers

    def expect_end(self) -> None:
        """The stop of all has begun, with a signal that the terminal may have sent to all."""
        for worker in self._workers:
            worker.expect_end()

    async def reload(self) -> None:
        """Have the application reload what it can without a restart, in every worker."""
        reloads = [worker.reload() for worker in self._workers]
        for worker, result in zip(
            self._workers, await asyncio.gather(*reloads, return_exceptions=True), strict=True
        ):
            if isinstance(result, TimeoutError):  # pragma: no cover - a reload of ten seconds
                logger.warning("%s has not reloaded yet", worker.name)
            elif isinstance(result, BaseException):  # pragma: no cover - a fault of its own
                raise result

    async def _open(self) -> None:
        try:
            await super()._open()
        except asyncio.CancelledError:
            # Those that are ready work already.
            self._drain_within(STOP_OF_START)
            await self._stop_children()
            raise
        loop = asyncio.get_running_loop()

        def asked(*_: object) -> None:
            loop.call_soon_threadsafe(self._request_roll)

        self._previous = signal.signal(signal.SIGUSR2, asked)

    async def _close(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGUSR2, self._previous)
            self._previous = None
        await super()._close()

    def _tell_restart(self, what: str, error: BaseException, delay: float) -> None:
        if isinstance(error, WorkerDied):
            logger.warning("%s; it starts again in %.1f s", error, delay)
        else:
            super()._tell_restart(what, error, delay)  # pragma: no cover - it cannot be started

    def _request_roll(self) -> None:
        if self._rolling is not None and not self._rolling.done():
            self._roll_again = True
        elif self.state is State.RUNNING:  # pragma: no branch - SIGUSR2 during the stop
            self._rolling = self._spawn(self._roll(), name="rolling restart")

    async def _roll(self) -> None:
        while True:
            self._roll_again = False
            logger.info("the workers restart, one after another")
            for worker in self._workers:
                if worker.state is not State.RUNNING:  # pragma: no cover - it has died in this turn
                    # It is about to start anyway, or has done its work.
                    continue
                try:
                    await worker.replace()
                except (OSError, StateError, WorkerDied) as error:
                    if self.state is State.RUNNING:  # pragma: no branch - the stop cuts it
                        logger.error("%s; it and those after it stay as they are", error)
                    return
            logger.info("all workers have restarted")
            if not self._roll_again:
                return
