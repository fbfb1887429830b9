"""What the connections of a broker share: the model, the time, and the end of each batch."""

import asyncio
from typing import Protocol

from gestalt.amq.embedded.model import BrokerModel
from gestalt.amq.wire import AmqpError

from .infos import Described
from .listener import Listener
from .settings import Settings

MEMORY_REASON = "low on memory"


class Client(Described, Protocol):
    """What is asked of the connection of a client."""

    @property
    def user(self) -> str | None: ...
    def hold(self, reason: str) -> None: ...
    def release(self, reason: str) -> None: ...
    def unblock(self) -> None: ...
    def flush(self) -> None: ...
    def close(self, error: AmqpError) -> None: ...
    def abort(self) -> None: ...


class Hub:
    """The connections of one running broker, around its model.

    Args:
        model: the model.
        settings: the settings.
    """

    def __init__(self, model: BrokerModel, settings: Settings) -> None:
        self.model = model
        self.settings = settings
        size = settings.max_message_size
        self.max_message_size = size if size is not None else model.semantics.max_message_size
        self.loop = asyncio.get_running_loop()
        self.listener: Listener
        self.connections: dict[Client, None] = {}
        # How many there were.
        self.connected = 0
        # Why publishers are blocked, or None when they are not.
        self.block_reason: str | None = None
        self.frozen = False
        self._closed = False
        self._with_output: dict[Client, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._forced_reason: str | None = None
        self._emptied: asyncio.Future[None] | None = None

    def add(self, connection: Client) -> None:
        """A client has connected."""
        self.connections[connection] = None
        self.connected += 1
        # Those that are not open yet are not refused by name: they end when their time is over.
        if self._closed or len(self.connections) > 2 * self.settings.limits.connections:
            connection.abort()
        elif self.frozen:
            connection.hold("frozen")

    def remove(self, connection: Client) -> None:
        """A connection has ended."""
        self.connections.pop(connection, None)
        self._with_output.pop(connection, None)
        if not self.connections and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def has_output(self, connection: Client) -> None:
        """A connection has something to send when the batch is done."""
        self._with_output[connection] = None

    def settle(self) -> None:
        """End a batch: block or unblock publishers, send all output, and set the timer."""
        self._check_memory()
        outputs = self._with_output
        if outputs:
            self._with_output = {}
            for connection in outputs:
                connection.flush()
        due = self.model.schedule.next_due
        if due is not None and not self._closed and (self._timer is None or due < self._timer_due):
            self._set_timer(due)

    def freeze(self, frozen: bool) -> None:
        """Stop, or resume, all reading and writing."""
        self.frozen = frozen
        for connection in list(self.connections):
            if frozen:
                connection.hold("frozen")
            else:
                connection.release("frozen")
        self.settle()

    def block(self, reason: str | None) -> None:
        """Block publishers for this reason, or with None let the memory alone decide again."""
        self._forced_reason = reason
        self.settle()

    async def wait_empty(self) -> None:
        """Wait until no connection is left."""
        while self.connections:
            self._emptied = self.loop.create_future()
            await self._emptied

    def close(self, error: AmqpError) -> None:
        """Close all connections as the protocol says; those that come yet are cut."""
        self.freeze(False)
        self._end()
        for connection in list(self.connections):
            connection.close(error)
        self.settle()

    def abort(self) -> None:
        """Cut all connections, also those that come yet."""
        self._end()
        for connection in list(self.connections):
            connection.abort()

    def report(self, error: Exception, message: str) -> None:  # pragma: no cover - its own faults
        """Hand an error of the broker itself to the event loop's exception handler."""
        self.loop.call_exception_handler({"message": message, "exception": error})

    def _end(self) -> None:
        """Do nothing later any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _check_memory(self) -> None:
        reason = self._forced_reason
        if reason is None and self.model.memory > self.settings.memory_limit:
            reason = MEMORY_REASON
        if reason == self.block_reason:
            return
        self.block_reason = reason
        if reason is None:
            for connection in list(self.connections):
                connection.unblock()

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        delay = max(0.0, due - self.model.schedule.now())
        self._timer = self.loop.call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.model.schedule.run_due()
        self.settle()
