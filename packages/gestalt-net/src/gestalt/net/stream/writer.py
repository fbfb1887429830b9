"""The sending half of a connection: writes are gathered, and what waits is bounded."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Self, cast

from gestalt.core import check_thread
from gestalt.net.accepted import ACCEPTED
from gestalt.net.errors import SendBufferFull


class FrameWriter:
    """Gathers the frames of one turn of the event loop and writes them at once.

    While the transport holds bytes that the socket did not take, further frames are gathered here,
    up to a high-water mark. So it is always known which messages have certainly not left.
    """

    __slots__ = (
        "_blocked",
        "_flushes",
        "_in_flight",
        "_loop",
        "_more",
        "_waiters",
        "frames",
        "full",
        "high_water",
        "room",
        "sent",
        "sent_bytes",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop, high_water: int) -> None:
        self._loop = loop
        self.high_water = high_water
        self.frames: list[bytes] = []
        # How many bytes may be appended to `frames` without calling `write`: 0 where nothing is
        # queued, so that no flush is due, and where `full` is set. It is one look for all of them.
        self.room = 0
        # How many messages the bytes in the transport make up.
        self._in_flight = 0
        self._blocked = False
        self._waiters: list[asyncio.Future[None]] = []
        # Set where `write` must not be called: above the mark, and when the connection is closing.
        self.full = False
        self._flushes = 0
        # How many messages `frames` holds beyond one each.
        self._more = 0
        # How many messages, and bytes, were given to the transport.
        self.sent = 0
        self.sent_bytes = 0

    def write(self, frame: bytes) -> None:
        """Queue a frame; the caller has looked at `full` before.

        Raises:
            WrongThread: this is not the thread of the event loop.
        """
        # Once per turn: looking for every frame would take an eighth of a small message's time.
        # Another thread must not get further: `full` set beside a flush would stay set for ever.
        check_thread(self._loop, self)
        self._gather(frame)

    def _gather(self, frame: bytes) -> None:
        """Queue a frame, in the thread of the event loop."""
        if not self.frames:
            self._loop.call_soon(self.flush)
            self.room = self.high_water
        self.frames.append(frame)
        self.room -= len(frame)
        if self.room <= 0:
            self.refuse()

    def write_many(self, data: bytes, count: int) -> None:
        """Queue several frames, already joined, as `write` does one."""
        self.write(data)
        self._more += count - 1

    async def space(self) -> int:
        """Wait until there is room, and give how many bytes.

        Rather than less than half of all, it is all in the next turn: to fill up what is left costs
        many frames that are joined already another join, and who reads them another read.

        Raises:
            ConnectionLost, WrongThread: as `writable` does.
        """
        await self.writable()
        while self.frames and 2 * self.room < self.high_water and not self._blocked:
            self.check_thread()
            self.flush()
            await asyncio.sleep(0)
            await self.writable()
        return self.room if self.frames else self.high_water

    async def ready(self) -> Self:
        """Wait until there is room.

        Raises:
            ConnectionLost: the connection is closed, or was lost meanwhile.
        """
        await self.writable()
        return self

    def send(self, frame: bytes) -> Coroutine[Any, Any, None]:
        """Queue a frame now, or when it is awaited, as soon as `full` is cleared.

        Raises:
            ConnectionLost: when it is awaited; the connection is closed, or was lost meanwhile.
        """
        if self.full:
            return self._send_later(frame)
        check_thread(self._loop, self)
        self._gather(frame)
        return ACCEPTED

    async def _send_later(self, frame: bytes) -> None:
        if self.full:
            # It looks at the thread.
            await self.writable()
            self._gather(frame)
        else:
            self.write(frame)

    def refuse(self) -> None:
        """Let nobody write."""
        self.full = True
        self.room = 0

    def hold_back(self) -> None:
        """Let nothing leave any more: what was gathered is certainly not sent."""
        self.refuse()
        if not self._blocked:
            self._blocked = True
            self._in_flight = 0

    def write_now(self, frame: bytes) -> None:
        """Queue a frame, or raise.

        Raises:
            SendBufferFull: the peer has not taken what it was sent before.
            ConnectionLost: the connection is closed.
        """
        if self.full:
            self.check_thread()
            self.check_open()
            self.flush()
            if self.full:
                raise SendBufferFull(
                    f"{self!r} takes no more: {sum(map(len, self.frames))} bytes wait, and "
                    f"{self.transport.get_write_buffer_size()} are with the system"
                )
        self.write(frame)

    async def writable(self) -> None:
        """Wait until `full` is cleared.

        Raises:
            ConnectionLost: the connection is closed, or was lost meanwhile.
        """
        while self.full:
            self.check_thread()
            self.check_open()
            self.flush()
            if self.full:
                waiter = self._loop.create_future()
                self._waiters.append(waiter)
                try:
                    await waiter
                finally:
                    # A cancelled waiter must not stay behind while the peer is stalled.
                    if waiter in self._waiters:
                        self._waiters.remove(waiter)
            else:
                # One that never has to wait must let others run, too.
                await asyncio.sleep(0)

    def flush(self) -> None:
        """Hand what was gathered to the transport, if it has nothing left of what came before."""
        frames = self.frames
        if not frames:
            self.room = 0
            return
        if self._blocked:
            return
        # What another thread appends, in spite of all, is in the one list or in the other.
        self.frames = []
        self.room = 0
        count = len(frames)
        data = frames[0] if count == 1 else b"".join(frames)
        if self._more:
            count += self._more
            self._more = 0
        self._in_flight = count
        self.full = False
        self._flushes += 1
        self.sent += count
        self.sent_bytes += len(data)
        # Not writelines: it ignores flow control on Python 3.12.0 to 3.12.8 and 3.13.0 to 3.13.1.
        self.transport.write(data)
        if self.transport.is_closing():
            # It failed, and will take nothing any more: what it was given is in doubt.
            self._blocked = True
            self.refuse()

    @property
    def unsent_messages(self) -> int:
        """How many messages wait here, which have certainly not left."""
        return len(self.frames) + self._more

    @property
    def blocked(self) -> bool:
        """Whether the transport holds bytes that the socket did not take."""
        return self._blocked

    @property
    def unsent(self) -> int:
        """How many bytes were accepted, and not taken by the socket yet."""
        return sum(map(len, self.frames)) + self.transport.get_write_buffer_size()

    @property
    def progress(self) -> tuple[int, int]:
        """Changes whenever the peer has taken something."""
        return self._flushes, self.transport.get_write_buffer_size()

    def check_thread(self) -> None:
        """Raise WrongThread when this is not the thread of the event loop."""
        check_thread(self._loop, self)

    def check_open(self) -> None:
        """Raise ConnectionLost when the connection is closing or closed."""
        raise NotImplementedError

    def _start_sending(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        # Blocked while the transport holds any byte. Not high=0: the TLS transport of asyncio then
        # pauses with nothing in it, and never resumes.
        self.transport.set_write_buffer_limits(high=1, low=0)

    def _flush_all(self) -> None:
        """Hand everything to the transport; for the end of a connection."""
        if self.frames:
            # What the transport still holds of earlier messages does not leave the count.
            blocked, in_flight = self._blocked, self._in_flight
            self._blocked = False
            self.flush()
            if blocked:
                self._blocked = True
                self._in_flight += in_flight
        self.refuse()

    def _stop_sending(self) -> None:
        self.refuse()
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():  # pragma: no branch - cancelled in this turn
                waiter.set_result(None)

    # Called by the transport

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._in_flight = 0
        self.flush()
        if not self.full:
            self._wake()
