"""What a worker is asked by the process that keeps it running: what everybody can ask by its
inspection socket, on a connection that nobody else has, and that needs no file.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, Self

from gestalt.core import State
from gestalt.runner.errors import InspectionError

LONGEST_ANSWER = 16 * 1024 * 1024
"""In bytes."""


class Asked(Protocol):
    """What is asked of a worker."""

    @property
    def number(self) -> int:
        """Its number."""

    @property
    def state(self) -> State:
        """Where it is in its life."""

    def ask(self, name: str) -> Awaitable[Any]:
        """Ask its process; raises InspectionError, which says why there is no answer."""


class Questions:
    """The end of the one who asks. `open` makes it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # What was asked and is not answered yet, in the order of the answers.
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._reading = asyncio.create_task(self._read(), name="answers of a worker")

    @classmethod
    async def open(cls, connection: socket.socket) -> Self:
        """Ask on a connection, which is closed by `close`."""
        return cls(*await asyncio.open_connection(sock=connection, limit=LONGEST_ANSWER))

    async def ask(self, name: str) -> Any:
        """Ask, and wait for the answer; who asks for the same meanwhile gets the same.

        Raises:
            InspectionError: the process says why there is none, or has ended.
        """
        answer = self._waiting.get(name)
        if answer is None:
            if self._reading.done():
                raise InspectionError("it has ended")
            answer = self._waiting[name] = asyncio.get_running_loop().create_future()
            # Nobody may wait for it any more.
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._writer.write(json.dumps({"ask": name}).encode() + b"\n")
        return await asyncio.shield(answer)

    def close(self) -> None:
        """Ask nothing any more."""
        self._reading.cancel()
        self._writer.transport.abort()

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                answer = json.loads(line)
                waiting = self._waiting.pop(next(iter(self._waiting)))
                if "answer" in answer:
                    waiting.set_result(answer["answer"])
                else:
                    waiting.set_exception(InspectionError(str(answer.get("error", "no answer"))))
        except (OSError, ValueError):  # pragma: no cover - it is killed within an answer
            # It has ended, or what came is longer than an answer can be.
            pass
        finally:
            for waiting in self._waiting.values():
                waiting.set_exception(InspectionError("it has ended"))
            self._waiting.clear()


async def ask_within(seconds: float, worker: Asked, name: str) -> Any:
    """Ask a worker, with a deadline.

    Raises:
        InspectionError: why there is no answer.
    """
    try:
        async with asyncio.timeout(seconds):
            return await worker.ask(name)
    except TimeoutError:
        raise InspectionError(f"no answer within {seconds:g} s") from None


def at_work(workers: Sequence[Asked]) -> list[Asked]:
    """Those that have not ended with their work done."""
    return [worker for worker in workers if worker.state is not State.STOPPED]
