"""The process of a worker, as the one that keeps it running has it."""

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import Any, Self

from gestalt.core.activation import HandedOver, describe
from gestalt.runner.restarting.child import Child, describe_status
from gestalt.runner.voice import NUMBER, QUESTIONS, READY, RELOADED, VARIABLE

from .questions import Questions


class WorkerProcess:
    """A process that says when it is ready. `start` makes one.

    Attributes:
        pid: its number.
        ready: whether all parts of the application run in it.
        ended: its end, with its status, negative for a signal.
    """

    def __init__(self, child: Child, hearing: int, questions: Questions) -> None:
        self.pid = child.pid
        self.ready = False
        self.reloads = 0
        self.ended = asyncio.create_task(child.wait(), name=f"process {child.pid}")
        self._child = child
        self._hearing = hearing
        self._questions = questions
        self._changed = asyncio.Event()
        self.ended.add_done_callback(self._release)
        asyncio.get_running_loop().add_reader(hearing, self._hear)

    @classmethod
    async def start(
        cls, command: Sequence[str], number: int, *, sockets: Sequence[HandedOver] = ()
    ) -> Self:
        """Start a process.

        Args:
            command: the program and its arguments.
            number: the number of the worker.
            sockets: what was handed over to this process, and is to that one.

        Raises:
            OSError: the system cannot start it.
        """
        hearing, voice = os.pipe()
        os.set_blocking(hearing, False)
        ours, theirs = socket.socketpair()
        questions: Questions | None = None
        try:
            questions = await Questions.open(ours)
            child = await Child.start(
                command,
                environment={
                    NUMBER: str(number),
                    VARIABLE: str(voice),
                    QUESTIONS: str(theirs.fileno()),
                    **describe(sockets),
                },
                descriptors=[voice, theirs.fileno(), *(each.number for each in sockets)],
            )
        except BaseException:
            os.close(hearing)
            if questions is not None:  # pragma: no branch - cancelled while it is opened
                questions.close()
            raise
        finally:
            os.close(voice)
            theirs.close()
        return cls(child, hearing, questions)

    async def ask(self, name: str) -> Any:
        """Ask what everybody can ask by the inspection socket.

        Raises:
            InspectionError: the process says why there is no answer, or has ended.
        """
        return await self._questions.ask(name)

    async def wait_ready(self) -> bool:
        """Wait until it is ready or has ended; whether it was ready."""
        while not (self.ready or self.ended.done()):
            self._changed.clear()
            await self._changed.wait()
        return self.ready

    async def wait_reloaded(self, before: int) -> None:
        """Wait until it has reloaded more often than `before`, or has ended."""
        while self.reloads <= before and not self.ended.done():
            self._changed.clear()
            await self._changed.wait()

    def stop(self) -> None:
        """Ask for a graceful stop."""
        if not self.ended.done():  # pragma: no branch - it has ended meanwhile
            self._child.stop()

    def cut(self) -> None:
        """Ask for the end of all that drains."""
        if not self.ended.done():  # pragma: no branch - it has ended meanwhile
            self._child.cut()

    def hang_up(self) -> None:
        """Ask it to reload what it can without a restart."""
        self._child.hang_up()

    async def end_within(self, seconds: float) -> bool:
        """Wait for its end, and kill it when the time is over; whether it ended by itself."""
        await asyncio.wait([self.ended], timeout=seconds)
        if self.ended.done():
            return True
        self._child.kill()
        await asyncio.wait([self.ended])
        return False

    def describe_end(self) -> str:
        """How it has ended, in words."""
        return f"process {self.pid} ended {describe_status(self.ended.result())}"

    def _hear(self) -> None:
        try:
            said = os.read(self._hearing, 64)
        except BlockingIOError:  # pragma: no cover - its children have its voice, too
            return
        if not said:
            asyncio.get_running_loop().remove_reader(self._hearing)
        self.ready = self.ready or READY in said
        self.reloads += said.count(RELOADED)
        self._changed.set()

    def _release(self, _: object) -> None:
        # What it said last.
        self._hear()
        asyncio.get_running_loop().remove_reader(self._hearing)
        os.close(self._hearing)
        self._questions.close()
        self._child.release()
        self._changed.set()
