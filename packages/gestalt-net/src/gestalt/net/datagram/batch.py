"""Many datagrams for one address, which the system is given together."""

import contextlib
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from gestalt.core import StateError
from gestalt.net.accepted import ACCEPTED
from gestalt.net.address import Address
from gestalt.net.errors import DatagramTooLarge, SendFailed

from .sender import DatagramSender
from .socket import LARGEST_IPV4

MAX_SEGMENTS = 64
"""How many datagrams every Linux that has it takes at once (UDP_MAX_SEGMENTS)."""


class DatagramBatch:
    """Made by `DatagramEndpoint.batch`, for one task."""

    __slots__ = (
        "_capacity",
        "_encode",
        "_failure",
        "_frames",
        "_open",
        "_refused",
        "_sender",
        "_size",
        "_to",
        "_total",
    )

    def __init__(
        self, sender: DatagramSender, encode: Callable[..., bytes], to: Address | str | None
    ) -> None:
        self._sender = sender
        self._encode = encode
        self._to = to
        # What waits to be sent; how large each of them is, and how many there can be.
        self._frames: list[bytes] = []
        self._size = -1
        self._capacity = 0
        # Within the block, and not sending just now.
        self._open = False
        self._total = 0
        self._refused = 0
        self._failure: SendFailed | DatagramTooLarge | None = None

    def send(self, body: Any, type_id: int | None = None) -> Coroutine[Any, Any, None]:
        """Send a message with others; `await` it, which waits while the system has no room.

        Args:
            body, type_id: as in `DatagramEndpoint.send`.

        Raises:
            DatagramTooLarge: it is larger than `max_size`.
            StateError: the endpoint is not running, or this is not within the block, or another
                task's `send` is not done.
            PayloadError: the framing cannot carry it.
            CodecError: the codec cannot encode it.
            In each case, the message was not sent.
        """
        frame = self._encode(body, type_id)
        frames = self._frames
        if len(frame) == self._size and len(frames) < self._capacity:
            frames.append(frame)
            return ACCEPTED
        return self._send_next(frame)

    @property
    def refused(self) -> int:
        """How many messages the system has refused, so far or in the last block."""
        return self._refused

    @property
    def sent(self) -> int:
        """How many messages the system has taken, so far or in the last block."""
        return self._total - self._refused

    async def __aenter__(self) -> Self:
        """Look up whom the batch is for.

        Raises:
            NotConnected, AddressError, StateError, OSError: as `DatagramEndpoint.send` does.
        """
        self._to = await self._sender.look_up(self._to)
        self._total = self._refused = 0
        self._failure = None
        self._open = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._size = -1
        if exc is not None:
            self._open = False
            # Its own error goes on.
            with contextlib.suppress(OSError, StateError):
                self._transmit()
            self._frames.clear()
            return
        await self._flush()
        self._open = False
        if self._failure is not None:
            raise SendFailed(
                f"{self._refused} of {self._total} datagrams were not sent; the first: "
                f"{self._failure}"
            ) from self._failure

    def _send_next(self, frame: bytes) -> Coroutine[Any, Any, None]:
        """Send what waits, and have a frame wait that is not like the others."""
        if not self._open:
            raise StateError("a batch sends within its block, for one task at a time")
        self._sender.check_thread()
        size = len(frame)
        if 0 < size < self._size and len(self._frames) < self._capacity:
            # The last one may be smaller.
            self._size = -1
            self._frames.append(frame)
            return ACCEPTED
        self._sender.check_size(size)
        if self._sender.must_yield:
            return self._send_later(frame)
        try:
            self._transmit()
        except OSError:
            return self._send_later(frame)
        self._begin(frame, size)
        return ACCEPTED

    def _begin(self, frame: bytes, size: int) -> None:
        self._frames.append(frame)
        self._size = size
        self._capacity = (
            min(MAX_SEGMENTS, LARGEST_IPV4 // size) if 0 < size <= self._sender.segment_limit else 1
        )

    async def _send_later(self, frame: bytes) -> None:
        await self._flush()
        self._begin(frame, len(frame))

    async def _flush(self) -> None:
        """Send what waits, together if that can be; where it cannot, one by one."""
        frames = self._frames
        sender = self._sender
        self._open = False
        try:
            if sender.must_yield:
                await sender.yield_turn()
            while len(frames) > 1:
                try:
                    self._transmit()
                except BlockingIOError:
                    await sender.room()
                except OSError as error:
                    sender.note_segments_refused(error, len(frames[0]))
                    break
            while frames:
                await self._send_alone(frames[0])
                del frames[0]
                self._total += 1
        finally:
            self._open = True

    def _transmit(self) -> None:
        """Send what waits now, or raise."""
        frames = self._frames
        if len(frames) > 1:
            self._sender.transmit_segments(frames, self._to)
        elif frames:
            self._sender.transmit(frames[0], self._to)
        self._total += len(frames)
        frames.clear()

    async def _send_alone(self, frame: bytes) -> None:
        sender = self._sender
        try:
            try:
                sender.transmit(frame, self._to)
            except Exception as error:
                await sender.retry(frame, self._to, error)
        except (SendFailed, DatagramTooLarge) as failure:
            self._refused += 1
            self._failure = self._failure or failure
