"""Datagram sockets where the event loop completes calls, and cannot watch sockets: on Windows."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from .sockaddr import SocketAddress
from .socket import DatagramSocket

LARGEST = 65_536
"""More bytes than a datagram can have: Windows refuses one that does not fit, and drops it."""

PAUSE = 0.005
"""How many seconds pass before another attempt where there is nothing to wait for."""


class CompletionSocket(DatagramSocket):
    """An open socket, of which a task takes the datagrams.

    The `ProactorEventLoop` has `sock_recvfrom` in place of `add_reader`. Its datagram transport is
    not used: on Python 3.11 it hears no more after the first answer that nobody receives, it loses
    empty datagrams, and it buffers what it sends.

    Args:
        loop, raw, on_unreachable: as for DatagramSocket.
        spawn: makes a task that ends with the endpoint.
    """

    __slots__ = ("_readable", "_received", "_spawn", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        raw: socket.socket,
        on_unreachable: Callable[[OSError], None],
        spawn: Callable[..., asyncio.Task[None]],
    ) -> None:
        super().__init__(loop, raw, on_unreachable)
        self._spawn = spawn
        self._readable: asyncio.Task[None] | None = None
        self._received: tuple[bytes, SocketAddress] | OSError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.recvfrom = self._recvfrom

    def watch_readable(self, call: Callable[[], None]) -> None:
        self._readable = self._spawn(self._read(call), name="read")

    def unwatch_readable(self) -> None:
        if self._readable is not None:
            self._readable.cancel()
            self._readable = None

    def watch_writable(self, call: Callable[[], None]) -> None:
        # Nothing tells when there is room, but for a transport, which would not say what it sent.
        def again() -> None:
            self._timer = self._loop.call_later(PAUSE, again)
            call()

        self._timer = self._loop.call_later(PAUSE, again)

    def unwatch_writable(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def unreachable(self, error: OSError) -> None:
        self._on_unreachable(error)

    async def _read(self, call: Callable[[], None]) -> None:
        while True:
            try:
                self._received = _checked(await self._loop.sock_recvfrom(self.raw, LARGEST))
            except OSError as error:
                self._received = error
            failed = isinstance(self._received, OSError)
            call()
            # What there is more is taken within the call, so that others have their turn now.
            await asyncio.sleep(PAUSE if failed else 0)

    def _recvfrom(self, _size: int) -> tuple[bytes, SocketAddress]:
        """What the task has received, then what there is more; or raise what the system raises."""
        received, self._received = self._received, None
        if received is None:
            return _checked(self.raw.recvfrom(LARGEST))
        if isinstance(received, OSError):
            raise received
        return received


def _checked(received: tuple[bytes, Any]) -> tuple[bytes, SocketAddress]:
    if received[1] is None:
        # From Python 3.12 on, this is how the event loop tells of ERROR_PORT_UNREACHABLE.
        raise ConnectionResetError(  # pragma: no cover - Python 3.12, on Windows
            "nobody receives there"
        )
    return received


def watched(
    loop: asyncio.AbstractEventLoop,
    raw: socket.socket,
    on_unreachable: Callable[[OSError], None],
    spawn: Callable[..., asyncio.Task[None]],
) -> DatagramSocket:
    """The socket as this event loop can have it; the arguments are those of CompletionSocket."""
    try:
        loop.remove_reader(raw)
    except NotImplementedError:
        return CompletionSocket(loop, raw, on_unreachable, spawn)
    return DatagramSocket(loop, raw, on_unreachable)
