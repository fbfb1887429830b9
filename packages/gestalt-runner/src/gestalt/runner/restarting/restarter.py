"""Runs the application in a child process, and restarts it gracefully when files change."""

import asyncio
import math
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from gestalt.core import Component
from gestalt.core.telling import first_of
from gestalt.runner.report import logger

from .changes import Watched, changes
from .child import Child, describe_status

# Within the 5 s in which a component closes.
AFTER_CUT = 4.0

NAMED = 3
"""How many files a line of the log names."""


class Restarter(Component):
    """The child, and what is watched for it.

    One that ends by itself, or cannot even be loaded, is started again when a file has changed.

    Args:
        command: the command of the child.
        watched: the files.
        patience: how long the graceful stop of the child may take, in seconds.
    """

    def __init__(self, command: Sequence[str], watched: Watched, *, patience: float) -> None:
        super().__init__(name="reload", stop_timeout=math.inf)
        self._command = command
        self._watched = watched
        self._patience = patience
        self._child: Child | None = None
        self._leaving = False
        self._status = 0

    async def _open(self) -> None:
        self._spawn(self._watch(changes(self._watched)), name="watch")
        # After the first step of that, no change is missed.
        await asyncio.sleep(0)
        logger.info("reload: watching %s", ", ".join(map(str, self._watched.folders)))
        await self._start()

    async def _drain(self) -> None:
        self._leaving = True
        if (child := self._child) is not None:
            child.stop()
            self._status = await child.wait()

    async def _close(self) -> None:
        self._leaving = True
        if (child := self._child) is not None:
            child.cut()
            self._status = await _end(child, AFTER_CUT)

    def hang_up(self) -> None:
        """Hand SIGHUP on: the application reloads what can be without a restart."""
        if self._child is not None:  # pragma: no branch - SIGHUP between two children
            self._child.hang_up()

    def leave(self) -> None:
        """Raise SystemExit with the status of a child that failed in the course of the stop."""
        if self._status > 0:
            raise SystemExit(self._status)

    async def _start(self) -> None:
        child = self._child = await Child.start(self._command)
        self._spawn(self._tend(child), name=f"process {child.pid}")

    async def _tend(self, child: Child) -> None:
        status = await child.wait()
        if self._child is child and not self._leaving:
            self._child = None
            child.release()
            logger.warning(
                "reload: the application ended %s; it starts again when a file changes",
                describe_status(status),
            )

    async def _watch(self, found: AsyncIterator[list[Path]]) -> None:
        async for files in found:
            if self._leaving:  # pragma: no cover - a file changes during the stop
                return
            logger.info("reload: %s changed, the application restarts", _names(files))
            if (child := self._child) is not None:
                self._child = None
                child.stop()
                await _end(child, self._patience)
            if not self._leaving:  # pragma: no branch - the stop begins meanwhile
                await self._start()


async def _end(child: Child, patience: float) -> int:
    """Wait for the end of a child that was asked to stop; its status."""
    try:
        async with asyncio.timeout(patience):
            return await child.wait()
    except TimeoutError:  # pragma: no cover - a child outlives its own deadline
        logger.error(
            "reload: process %d did not end within %s s, and is killed", child.pid, patience
        )
        child.kill()
        return await child.wait()
    finally:
        child.release()


def _names(files: Sequence[Path]) -> str:
    here = Path.cwd()
    return first_of([os.path.relpath(file, here) for file in files], NAMED)
