"""A worker: a process that runs the application, or two of them while one replaces the other."""

import asyncio
import math
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from gestalt.core import Component, StateError
from gestalt.runner.errors import InspectionError, WorkerDied
from gestalt.runner.report import logger

from .process import WorkerProcess

READY_TIMEOUT = 120.0
"""How long a process may take to be ready, in seconds. One that takes longer hangs."""

RELOAD_TIMEOUT = 10.0
"""How long a reload of it is waited for, in seconds."""

AFTER_CUT = 4.0
"""How long it may take to end when what drains is cut: within the 5 s in which a component
closes."""

STOPPED = {0, -signal.SIGTERM, -signal.SIGINT}
"""How a process ends whose stop was clean."""


class Worker(Component):
    """Runs a process from its start to its end.

    It runs when the process is ready. It fails when that ends otherwise than with status 0.

    Args:
        number: its number, from 1 on.
        start: starts a process.
        patience: how long the graceful stop of the process may take, in seconds.
        after: what to wait for before the first start.
    """

    def __init__(
        self,
        number: int,
        start: Callable[[int], Coroutine[Any, Any, WorkerProcess]],
        *,
        patience: float,
        after: asyncio.Event | None = None,
    ) -> None:
        super().__init__(name=f"worker {number}", stop_timeout=math.inf)
        self.number = number
        self.was_ready = asyncio.Event()
        self._start_process = start
        self._patience = patience
        self._after = after
        self._current: WorkerProcess | None = None
        # All that have not ended: the present one, and its successor or predecessor.
        self._processes: set[WorkerProcess] = set()
        self._leaving = False
        self._all_stop = False

    def expect_end(self) -> None:
        """The stop of all has begun: a signal that its process got as well may end that first."""
        self._all_stop = True

    async def replace(self) -> None:
        """Start another process, and stop the present one when that is ready.

        Raises:
            WorkerDied: it did not get ready; the present one stays.
            StateError: the worker is about to stop.
        """
        old = self._current
        new = await self._start()
        self._become(new)
        if old is not None:  # pragma: no branch - for type checkers
            old.stop()
            if (failure := await self._end(old)) is not None:
                logger.error("%s", failure)

    async def reload(self) -> None:
        """Have the application reload what it can without a restart, and wait for that.

        A process that is still about to start reloads when it has.
        """
        for each in self._processes - {self._current}:
            each.hang_up()  # pragma: no cover - SIGHUP while another one starts
        process = self._current
        if process is not None and not process.ended.done():  # pragma: no branch - it starts
            before = process.reloads
            process.hang_up()
            async with asyncio.timeout(RELOAD_TIMEOUT):
                await process.wait_reloaded(before)

    async def ask(self, name: str) -> Any:
        """Ask the process what everybody can ask by its inspection socket.

        Raises:
            InspectionError: why there is no answer.
        """
        if self._current is None:
            raise InspectionError("it is being started again")
        return await self._current.ask(name)

    # The life of the component

    async def _open(self) -> None:
        self._leaving = False
        if self._after is not None:
            await self._after.wait()
        self._become(await self._start())
        self.was_ready.set()

    async def _drain(self) -> None:
        self._leaving = True
        for process in self._processes:
            process.stop()
        ends = [self._end(process) for process in self._processes]
        failures = [each for each in await asyncio.gather(*ends) if each is not None]
        if failures:
            raise failures[0]

    async def _close(self) -> None:
        self._leaving = True
        left = [process for process in self._processes if not process.ended.done()]
        for process in left:
            process.cut()
        in_time = await asyncio.gather(*(process.end_within(AFTER_CUT) for process in left))
        self._processes.clear()
        self._current = None
        killed = [process.pid for process, ended in zip(left, in_time, strict=True) if not ended]
        if killed:
            raise WorkerDied(
                f"{self.name}: process {', '.join(map(str, killed))} did not end within "
                f"{AFTER_CUT:g} s when it was cut short, and was killed"
            )

    async def _start(self) -> WorkerProcess:
        process = await self._start_process(self.number)
        self._processes.add(process)
        if self._leaving:
            process.cut()  # pragma: no cover - the stop begins while the system starts it
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                ready = await process.wait_ready()
        except TimeoutError:  # pragma: no cover - two minutes without a word
            process.cut()
            await process.end_within(AFTER_CUT)
            self._processes.discard(process)
            raise WorkerDied(
                f"{self.name}: process {process.pid} was not ready within {READY_TIMEOUT:g} s"
            ) from None
        if not ready:
            self._processes.discard(process)
            raise WorkerDied(
                f"{self.name}: {process.describe_end()} before it was ready",
                status=process.ended.result(),
            )
        if self._leaving:  # pragma: no cover - the stop begins in this turn
            raise StateError(f"{self!r} is about to stop")
        return process

    def _become(self, process: WorkerProcess) -> None:
        logger.info("%s is ready: process %d", self.name, process.pid)
        self._current = process
        self._spawn(self._watch(process), name=f"process {process.pid}")

    async def _watch(self, process: WorkerProcess) -> None:
        await asyncio.wait([process.ended])
        if process is not self._current or self._leaving:
            return
        self._processes.discard(process)
        status = process.ended.result()
        if status == 0 or (self._all_stop and status in STOPPED):
            self.request_stop()
        else:
            self._fail(WorkerDied(f"{self.name}: {process.describe_end()}"))

    async def _end(self, process: WorkerProcess) -> Exception | None:
        """Wait for the end of a process that was asked to stop; what went wrong on the way."""
        in_time = await process.end_within(self._patience)
        self._processes.discard(process)
        if not in_time:
            return WorkerDied(
                f"{self.name}: process {process.pid} did not end within {self._patience:g} s, "
                "and was killed"
            )
        if process.ended.result() not in STOPPED:
            return WorkerDied(f"{self.name}: {process.describe_end()} when it was stopped")
        return None
