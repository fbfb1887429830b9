"""Tasks that wait for something, in the order in which they came."""

import asyncio
from collections import deque

from gestalt.core import check_thread


class Waiters:
    """Wakes who has waited longest. Who is woken looks again, and may have to wait again."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self) -> None:
        """Wait to be woken. Cancelled when it is woken already, this wakes the next one.

        Raises:
            WrongThread: the loop runs in another thread.
        """
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                self.wake_one()
            if isinstance(error, RuntimeError):
                # What a task says of a future of another loop.
                check_thread(self._loop, "what is waited for")
            raise

    def wake_one(self) -> None:
        """Wake who has waited longest, if anybody waits."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def wake_all(self) -> None:
        """Wake everybody."""
        while self._waiting:
            self.wake_one()
