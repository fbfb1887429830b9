"""Taking messages of a datagram endpoint by `async for`."""

from collections.abc import AsyncIterator
from typing import Any

from gestalt.net.pace import TimeSlice

from .backlog import Backlog
from .decoding import Decode
from .message import DatagramMessage


class DatagramIteration(AsyncIterator[DatagramMessage[Any]]):
    """An iteration over what an endpoint receives; several may share its backlog.

    Args:
        backlog: where datagrams wait.
        decode: gives the message of one, or None where it is none.
        time_slice: how long the iteration has been at it.
    """

    __slots__ = ("_backlog", "_decode", "_time_slice")

    def __init__(self, backlog: Backlog, decode: Decode, time_slice: TimeSlice) -> None:
        self._backlog = backlog
        self._decode = decode
        self._time_slice = time_slice

    async def __anext__(self) -> DatagramMessage[Any]:
        while True:
            if self._time_slice.over():
                await self._time_slice.give_way()
            received = await self._backlog.take()
            if received is None:
                raise StopAsyncIteration
            message = self._decode(*received)
            if message is not None:
                return message
