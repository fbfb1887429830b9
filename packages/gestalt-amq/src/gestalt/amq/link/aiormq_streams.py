"""The streams that aiormq reads and writes by, which keep the frames of the hot paths from it."""

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol

import aiormq.connection
from yarl import URL

from gestalt.amq.wire import HEARTBEAT_FRAME, Demultiplexer, WireError

# The frame of connection.tune, up to its values: a method of 12 bytes on channel 0.
_TUNE_START = bytes.fromhex("01 0000 0000000c 000a 001e")
_TUNE = struct.Struct(">HIH")


class Owner(Protocol):
    """What the streams tell the link."""

    def begin_read(self) -> None:
        """What the broker sent is taken now."""

    def end_read(self) -> None:
        """It is taken."""

    def note_garbage(self, error: WireError) -> None:
        """What the broker sent is no AMQP."""

    def note_writable(self, writable: bool) -> None:
        """The socket takes more, or no more for now."""

    def note_lost(self, error: Exception | None) -> None:
        """The connection has ended."""


class Reader(asyncio.StreamReader):
    """aiormq's input, without the frames that the link takes itself.

    Args:
        demultiplexer: takes its frames off what comes.
        limits: the most channels, and the largest frame, that this side wants; 0 for any.

    Attributes:
        heard: when something came last, by the monotonic clock.
    """

    def __init__(
        self,
        demultiplexer: Demultiplexer,
        loop: asyncio.AbstractEventLoop,
        limits: tuple[int, int],
    ) -> None:
        super().__init__(loop=loop)
        self._demultiplexer = demultiplexer
        self._limits = limits
        self._tuned = not any(limits)
        self._fed = self.heard = time.monotonic()

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # what protocols give
        cold = self._demultiplexer.feed(data)
        self.heard = time.monotonic()
        if not cold and self.heard - self._fed > 1.0:
            # A broker that sends messages sends no heartbeats; aiormq waits for some frame.
            cold = HEARTBEAT_FRAME
        if cold:
            self._fed = self.heard
            super().feed_data(cold if self._tuned else self._tune(cold))

    def _tune(self, data: bytes) -> bytes:
        """Lower the limits that the broker proposes: aiormq agrees to whatever those are."""
        if not data.startswith(_TUNE_START):
            return data
        self._tuned = True
        start, stop = len(_TUNE_START), len(_TUNE_START) + _TUNE.size
        channels, frame, heartbeat = _TUNE.unpack(data[start:stop])
        tuned = _TUNE.pack(
            _lower(channels, self._limits[0]), _lower(frame, self._limits[1]), heartbeat
        )
        return data[:start] + tuned + data[stop:]


def _lower(theirs: int, ours: int) -> int:
    # 0 is for no limit, on either side.
    return min(filter(None, (theirs, ours)), default=0)


class StreamProtocol(asyncio.StreamReaderProtocol):
    """Feeds the reader, and tells the link what becomes of the connection."""

    def __init__(self, reader: Reader, loop: asyncio.AbstractEventLoop, owner: Owner) -> None:
        super().__init__(reader, loop=loop)
        self._owner = owner
        # As the base class does, with two calls less for each read.
        self._feed = reader.feed_data

    def data_received(self, data: bytes) -> None:
        self._owner.begin_read()
        try:
            self._feed(data)
        except WireError as error:
            self._owner.note_garbage(error)
        finally:
            self._owner.end_read()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._owner.note_writable(False)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._owner.note_writable(True)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._owner.note_lost(exc)


class Streams(aiormq.connection.TransportFactory):
    """Gives aiormq the streams of a transport that is connected already."""

    def __init__(self, make: Callable[[], tuple[Reader, asyncio.StreamWriter]]) -> None:
        self._make = make

    async def create(
        self,
        url: URL,  # noqa: ARG002 - what aiormq gives
        **kwargs: Any,  # noqa: ARG002
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return self._make()
