"""Taking messages of a stream by `async for`."""

from collections.abc import AsyncIterator
from typing import Any

from gestalt.net.pace import SEVERAL, Pace, TimeSlice
from gestalt.net.wire import Wire

from .inbox import Inbox
from .message import StreamMessage


class StreamIteration(AsyncIterator[StreamMessage[Any]]):
    """An iteration over what a client receives; several may share its inbox.

    Args:
        inbox: where frames wait.
        wire: how messages cross the socket.
        pace: lets others have their turn.
    """

    __slots__ = ("_decode", "_inbox", "_several", "_time_slice", "_unseen")

    def __init__(self, inbox: Inbox, wire: Wire, pace: Pace) -> None:
        self._inbox = inbox
        self._decode = wire.decode
        self._time_slice = TimeSlice(pace)
        # How many messages are taken between two looks at the clock, and how many of them are left.
        self._several = 0 if wire.tagged else SEVERAL
        self._unseen = 0

    async def __anext__(self) -> StreamMessage[Any]:
        inbox = self._inbox
        decode = self._decode
        if self._unseen:
            self._unseen -= 1
        else:
            if self._time_slice.over():
                await self._time_slice.give_way()
            if self._time_slice.quick:
                self._unseen = self._several
        while (taken := await inbox.take()) is not None:
            connection, (payload, type_id) = taken
            try:
                body = payload if decode is None else decode(payload, type_id)
            except Exception as error:
                inbox.discard(connection)
                connection.fail(error)
            else:
                return StreamMessage(body, type_id, connection.peer)
        raise StopAsyncIteration
