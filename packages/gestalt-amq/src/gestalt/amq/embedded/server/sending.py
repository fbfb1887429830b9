"""What a connection sends: in batches, bounded, and not for ever to a client that does not read."""

import asyncio
import socket
import struct
from collections.abc import Callable

# What waits in memory for a client, in bytes, before the broker stops to deliver to it, and before
# it stops to read from it as well: until then, what it asks and publishes is answered.
OUTPUT_LIMIT = 256 * 1024
_ANSWERS_LIMIT = 4 * OUTPUT_LIMIT
# By SO_LINGER: whoever is cut hears of it at once, as from RabbitMQ.
_RESET = struct.pack("ii", 1, 0)


class Sending:
    """The output of one connection.

    Args:
        transport: the transport.
        timeout: how long the client may read nothing of what waits for it, in seconds.
        limit: how much may wait for the client before it is cut, in bytes.
        begun: called with the first that is written in a batch.
        overfull: called when more waits than the answers to what is read may take.

    Attributes:
        frozen: nothing is sent at present, by the will of whoever controls the broker.
        last: when something was sent, on the loop's clock.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        timeout: float,
        limit: int,
        begun: Callable[[], None],
        overfull: Callable[[], None],
    ) -> None:
        self.frozen = False
        self._loop = asyncio.get_running_loop()
        self.last = self._loop.time()
        self._transport = transport
        self._timeout = timeout
        self._limit = limit
        self._begun = begun
        self._overfull = overfull
        self._batch: list[bytes] = []
        self._size = 0
        # How much was written, how much of it had left when that was looked at last, and since when
        # no more has.
        self._written = 0
        self._left = 0
        self._stuck_since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        transport.set_write_buffer_limits(high=OUTPUT_LIMIT)

    def write(self, data: bytes) -> None:
        """Send with all else that is written in the same batch."""
        if not self._batch:
            self._begun()
        self._batch.append(data)
        self._size += len(data)
        if self._size > OUTPUT_LIMIT:
            # It may be more than the client takes: that is to be known before there is more.
            self.flush()

    def flush(self) -> None:
        """Send what was written, unless it is frozen."""
        batch = self._batch
        if not batch or self.frozen or self._stopped:
            return
        self._batch = []
        self._written += self._size
        self._size = 0
        self.last = self._loop.time()
        transport = self._transport
        transport.write(batch[0] if len(batch) == 1 else b"".join(batch))
        waiting = transport.get_write_buffer_size()
        if waiting > self._limit:
            # It is others who send to it: direct replies are not held back.
            self.reset()
        elif waiting:
            if waiting > _ANSWERS_LIMIT:
                self._overfull()
            if self._timer is None:
                self._left, self._stuck_since = self._written - waiting, self.last
                self._watch()

    def reset(self) -> None:
        """Cut the connection; the client's next read or write fails."""
        if self._stopped:  # pragma: no cover - two find it out at once
            return
        self.stop()
        sock = self._transport.get_extra_info("socket")
        if sock is not None:  # pragma: no branch - a transport without a socket
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def stop(self) -> None:
        """Drop what waits, and send nothing any more."""
        self._stopped = True
        self._batch = []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        """Cut a client that reads nothing of what waits for it, alive as it may be otherwise."""
        self._timer = None
        waiting = self._transport.get_write_buffer_size()
        if not waiting:  # pragma: no cover - it was written in this turn
            return
        now = self._loop.time()
        left = self._written - waiting
        if left > self._left or self.frozen:
            self._stuck_since = now
        elif now - self._stuck_since >= self._timeout:
            self.reset()
            return
        self._left = left
        self._timer = self._loop.call_later(self._timeout / 10, self._watch)
