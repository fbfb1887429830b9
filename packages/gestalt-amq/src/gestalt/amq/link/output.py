"""What is sent within one turn of the event loop, written to the socket at once."""

import asyncio
from collections import deque
from collections.abc import Callable

from gestalt.amq.errors import AmqError, LinkLost
from gestalt.core import check_thread

# So much is written without waiting for the end of the turn, in bytes.
WRITE_SIZE = 65536


class Output:
    """Gathers what a connection sends, until the end of a turn of the event loop.

    A read of the connection is a turn of its own: what is sent while it is worked on leaves with
    its end. Everything else leaves in the next turn of the loop.

    Args:
        name: of the connection, for errors.
        on_refused: is told, in a later turn, that the transport takes no more.

    Attributes:
        writable: is set while the socket takes more.
    """

    def __init__(self, name: str, on_refused: Callable[[AmqError], None]) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self._loop = asyncio.get_running_loop()
        self._name = name
        self._on_refused = on_refused
        self._transport: asyncio.Transport | None = None
        self._gathered: list[bytes] = []
        self._size = 0
        # What is to be called before what was gathered is written.
        self._callbacks: deque[Callable[[], None]] = deque()
        # The same in the next turn.
        self._next: deque[Callable[[], None]] = deque()
        # Whether the end of the turn comes by itself: it is scheduled, or the end of a read.
        self._ending = False

    def open(self, transport: asyncio.Transport) -> None:
        """Write there from now on."""
        self._transport = transport

    def write(self, data: list[bytes], size: int, *, at_once: bool = False) -> None:
        """Send at once, or with whatever else is sent in this turn of the loop.

        Args:
            data: the pieces.
            size: of all of them, in bytes.

        Raises:
            WrongThread: this is not the thread of the event loop.
        """
        if not self._gathered:
            check_thread(self._loop, self._name)
        self._gathered += data
        self._size += size
        if at_once or self._size >= WRITE_SIZE:
            self.flush()
        elif not self._ending:
            self._end_soon()

    def before_flush(self, callback: Callable[[], None]) -> None:
        """Call a function at the end of this turn, before what was sent in it is written."""
        self._callbacks.append(callback)
        if not self._ending:
            self._end_soon()

    def in_next_turn(self, callback: Callable[[], None]) -> None:
        """Call a function in the next turn, after what was scheduled before; that ends the turn."""
        self._next.append(callback)
        self._loop.call_soon(self._end_next_turn)

    def begin_read(self) -> None:
        """What the broker sent is taken now: the turn ends with `end_turn`."""
        self._ending = True

    def end_turn(self) -> None:
        """Call what waits for the end of the turn, and send what was gathered in it."""
        callbacks = self._callbacks
        try:
            while callbacks:
                try:
                    callbacks.popleft()()
                except Exception as error:
                    # As the event loop does; in a read, it would be the end of the connection.
                    text = f"{self._name}: an error at the end of a turn"
                    self._loop.call_exception_handler({"message": text, "exception": error})
        finally:
            # Also where one raises what ends the event loop, which may go on.
            self._ending = bool(self._next)
            if callbacks:
                self._end_soon()
            self.flush()

    def flush(self) -> None:
        """Send now."""
        if self._gathered and self._transport is not None:
            data = b"".join(self._gathered)
            self._gathered.clear()
            self._size = 0
            try:
                self._transport.write(data)
            except RuntimeError as error:
                # aiormq has ended the output, and the connection will follow. Whoever sends now
                # is to have his message counted as sent before he is told.
                reason = LinkLost(f"the connection is ending: {error}")
                self._loop.call_soon(self._on_refused, reason)

    def end(self) -> None:
        """The connection is over: nothing is sent any more, and nobody waits to send."""
        self.writable.set()
        self._gathered.clear()

    def _end_next_turn(self) -> None:
        self._callbacks.append(self._next.popleft())
        self.end_turn()

    def _end_soon(self) -> None:
        self._ending = True
        self._loop.call_soon(self.end_turn)
