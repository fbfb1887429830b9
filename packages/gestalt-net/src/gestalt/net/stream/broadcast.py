"""Sending to many peers at once what is encoded once."""

import asyncio
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from gestalt.core.numbers import choice_of
from gestalt.net.batch import listed
from gestalt.net.errors import SendBufferFull
from gestalt.net.wire import Wire

from .connection import Connection
from .errors import ConnectionLost
from .peer import Peer
from .sending_many import Encoding
from .stats import StreamStats

Slow: TypeAlias = Literal["wait", "drop", "disconnect"]


class Broadcaster:
    """Sends to all peers of a server, or to some of them."""

    stats: StreamStats

    @property
    def _sending_wire(self) -> Wire:
        """How what is sent crosses the socket."""
        raise NotImplementedError

    def _receivers(self, to: Iterable[Peer] | None) -> list[Connection]:
        """The connections of these peers, as far as they are connected; by default, of all."""
        raise NotImplementedError

    async def broadcast(
        self,
        body: Any,
        type_id: int | None = None,
        *,
        to: Iterable[Peer] | None = None,
        slow: Slow = "wait",
    ) -> int:
        """Send a message to all peers; it is encoded once.

        Args:
            body: the message.
            type_id: its message type identifier.
            to: these peers only.
            slow: what to do about a peer that has not taken what it was sent before: wait for it
                (others are served first), drop the message for it, or disconnect it.

        Returns:
            To how many peers it was sent.

        Raises:
            PayloadError, CodecError: the message cannot be sent to anybody.
            ValueError: `slow` is none of these.
            WrongThread: this is not the thread of the server's event loop.
        """
        _check_slow(slow)
        connections = self._receivers(to)
        return await self._give(connections, [(self._sending_wire.encode(body, type_id), 1)], slow)

    async def broadcast_many(
        self,
        bodies: Iterable[Any],
        type_id: int | None = None,
        *,
        to: Iterable[Peer] | None = None,
        slow: Slow = "wait",
    ) -> int:
        """Send messages to all peers, in order; each is encoded once, and they are joined once.

        Args:
            bodies: the messages.
            type_id: that of all of them.
            to: these peers only, as far as they are connected now.
            slow: as in `broadcast`. A peer is given 64 KiB at a time; of what it does not take, the
                rest is dropped.

        Returns:
            To how many peers all of them were sent.

        Raises:
            PayloadError, CodecError: one of the messages cannot be sent; then nobody is sent any.
            TypeError: `bodies` is a single message.
            ValueError, WrongThread: as `broadcast` does.
        """
        _check_slow(slow)
        connections = self._receivers(to)
        values = listed(bodies)
        encoding = Encoding(self._sending_wire, values, type_id)
        pieces: list[tuple[bytes, int]] = []
        left = len(values)
        while left:
            pieces.append(encoding.take(PIECE))
            left -= pieces[-1][1]
        return await self._give(connections, pieces, slow)

    async def _give(
        self, connections: list[Connection], pieces: list[tuple[bytes, int]], slow: Slow
    ) -> int:
        """Send pieces, each of so many frames, and return how many were sent all of them."""
        behind = []
        sent = 0
        for connection in connections:
            rest = _give_now(connection, pieces)
            if not rest:
                sent += 1
            elif not connection.closing:
                behind.append((connection, rest))
        if slow == "wait":
            return sent + sum(await asyncio.gather(*(_give_later(*each) for each in behind)))
        for connection, rest in behind:
            self.stats.dropped += sum(count for _, count in rest)
            if slow == "disconnect":
                connection.abort(SendBufferFull("it reads more slowly than it is sent to"))
        return sent


PIECE = 64 * 1024
"""How many bytes of messages are given to a peer before it is looked at again."""


def _check_slow(slow: str) -> None:
    if slow not in ("wait", "drop", "disconnect"):
        raise ValueError(f'slow must be "wait", "drop" or "disconnect", got {choice_of(slow)}')


def _give_now(connection: Connection, pieces: list[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
    """Send as many pieces as there is room for, and return the others."""
    for index, (data, count) in enumerate(pieces):
        if connection.full and not connection.closing:
            connection.flush()
        if connection.full:
            return pieces[index:]
        if count == 1:
            connection.write(data)
        else:
            connection.write_many(data, count)
    return []


async def _give_later(connection: Connection, pieces: list[tuple[bytes, int]]) -> bool:
    try:
        for data, count in pieces:
            await connection.writable()
            connection.write_many(data, count)
    except ConnectionLost:
        return False
    return True
