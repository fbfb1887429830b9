"""The connections of an endpoint, from when they come up until nothing of them runs any more."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import Context
from typing import Any, TypeAlias

from gestalt.core.calling import ENDS, is_awaitable, is_own_cancellation
from gestalt.net.errors import NetError
from gestalt.net.framings import Frame
from gestalt.net.wire import Wire

from .connection import Connection
from .errors import ConnectionLost
from .limits import Limits
from .peer import Peer
from .room import Room
from .stats import StreamStats, Traffic

OnConnected: TypeAlias = Callable[[Peer], Any]
OnDisconnected: TypeAlias = Callable[[Peer, ConnectionLost | None], Any]


class Connections:
    """Knows who is connected, calls `on_connected` and `on_disconnected`, and ends them all.

    Args:
        wire: how messages cross their sockets.
        limits: what a peer may cost.
        room: where large messages get their room from while they arrive.
        stats: counts them, and their faults.
        on_connected: as the endpoint has it.
        on_disconnected: as the endpoint has it.
        admit: told of each that has come up; whether it may stay.
        forget: told of each that is lost.
        serving: whether the endpoint serves.
        spawn: makes a task of the endpoint.
        tell: told of each that ended by a fault.
        failed: told of what a callback raised, and about whom.

    Attributes:
        loop: the event loop, once the endpoint was started.
        context: that of the start, in which callbacks begin.
        dispatch: takes what a connection has received, once the endpoint was started.
        together: whether it takes the frames of a read together.
        peer_ids: where the identifiers of peers are from.
        present: those that are connected, by the identifiers of their peers.
        unread: how many messages wait that no worker has.
    """

    def __init__(
        self,
        wire: Wire,
        limits: Limits,
        room: Room,
        stats: StreamStats,
        *,
        on_connected: OnConnected | None,
        on_disconnected: OnDisconnected | None,
        admit: Callable[[Connection], bool],
        forget: Callable[[Connection], None],
        serving: Callable[[], bool],
        spawn: Callable[..., asyncio.Task[Any]],
        tell: Callable[[NetError], None],
        failed: Callable[[BaseException, Peer], None],
    ) -> None:
        self.wire = wire
        self.limits = limits
        self.room = room
        self.loop: asyncio.AbstractEventLoop
        self.context: Context
        self.dispatch: Callable[[Connection, Iterable[Frame]], None]
        self.together = False
        self.peer_ids = itertools.count(1)
        self.present: dict[int, Connection] = {}
        self.unread: Callable[[], int] = int
        self._stats = stats
        # What those have carried that are lost.
        self._carried = Traffic()
        stats.follow(self.traffic)
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self._admit = admit
        self._forget = forget
        self._serving = serving
        self._spawn = spawn
        self._tell = tell
        self._failed = failed
        # Lost, with messages that are not handled yet, and why they were lost.
        self._leaving: dict[Connection, ConnectionLost | None] = {}
        # Lost, and something of it still runs here: handlers or callbacks.
        self._lingering: set[Connection] = set()
        # Whoever waits until a connection has gone, or is done with everything that it received.
        self._awaiting_progress: list[asyncio.Future[None]] = []
        self._draining = False

    def __len__(self) -> int:
        """How many there are, with those that have gone while something of theirs still runs."""
        return len(self.present) + len(self._lingering)

    def handles(self) -> bool:
        """Whether handlers run: until the end of the stop, or until it is cut."""
        return self._draining or self._serving()

    # Called by the endpoint

    def traffic(self) -> Traffic:
        """What all connections have carried, and what of it is not handled yet."""
        carried = self._carried
        received, received_bytes = carried.received, carried.received_bytes
        sent, sent_bytes = carried.sent, carried.sent_bytes
        waiting, in_flight = self.unread(), 0
        for connection in self.present.values():
            received += connection.received
            received_bytes += connection.received_bytes
            sent += connection.sent
            sent_bytes += connection.sent_bytes
            # Most of many are idle, and this is one look in place of two.
            if (worker := connection.worker) is not None and not worker.idle:
                waiting += worker.waiting
                in_flight += worker.in_flight
        for connection in self._lingering:
            if connection.worker is not None:
                waiting += connection.worker.waiting
                in_flight += connection.worker.in_flight
        return Traffic(received, received_bytes, sent, sent_bytes, waiting, in_flight)

    def of(self, peers: Iterable[Peer] | None = None) -> list[Connection]:
        """The connections of these peers, as far as they are connected; by default, of all."""
        present = self.present
        if peers is None:
            return list(present.values())
        found = [(peer, present.get(peer.id)) for peer in peers]
        return [each for peer, each in found if each is not None and each.peer is peer]

    async def finish(self) -> None:
        """Let every connection finish what it has received and is to send, and close it.

        None is closed before all handlers are done: they may send to any of them.
        """
        self._draining = True
        try:
            for connection in list(self.present.values()):
                connection.end_reading()
            while self._busy:
                await self.progress()
            for connection in list(self.present.values()):
                connection.finish()
            while self.present or self._busy:
                await self.progress()
        finally:
            self._draining = False

    async def abort(self) -> None:
        """Close every connection at once."""
        for connection in list(self.present.values()):
            connection.abort()
        while self.present:
            await next(iter(self.present.values())).wait_closed()
        # Their workers were cancelled: nobody handles the rest any more.
        for connection in self._lingering:
            if connection.worker is not None:
                self._stats.abandoned += connection.worker.waiting
        for connection in list(self._leaving):
            self._gone(connection)
        self._lingering.clear()

    async def progress(self) -> None:
        """Wait until a connection has gone, or is done with everything that it received."""
        waiter = self.loop.create_future()
        self._awaiting_progress.append(waiter)
        await waiter

    def forsake(self, connection: Connection) -> None:
        """Note that a connection has ended that had only just come up.

        Whoever is cancelled while he makes one has it ended; uvloop then does not say so.
        """
        if self.present.get(connection.peer.id) is connection:
            connection.connection_lost(None)

    # Called by connections

    def connected(self, connection: Connection) -> None:
        """Take a connection that has come up."""
        if not self._admit(connection):
            connection.transport.abort()
            return
        self.present[connection.peer.id] = connection
        self._stats.connected += 1
        self._call(self._on_connected, connection)

    def lost(self, connection: Connection, error: ConnectionLost | None) -> None:
        """Note that a connection is lost."""
        self._forget(connection)
        if self.present.pop(connection.peer.id, None) is None:
            return
        carried = self._carried
        carried.received += connection.received
        carried.received_bytes += connection.received_bytes
        carried.sent += connection.sent
        carried.sent_bytes += connection.sent_bytes
        self._leaving[connection] = error
        self._lingering.add(connection)
        if connection.cut or not connection.busy:
            self._gone(connection)
        if connection.worker is not None:
            # A handler of another peer may have ended it.
            self.context.copy().run(connection.worker.end)
        self._settle(connection)

    def abandoned(self, messages: int) -> None:
        """Note that messages which have come are not handled."""
        self._stats.abandoned += messages

    def handled(self, connection: Connection) -> None:
        """Note that everything that a connection had received is handled."""
        if connection.lost:
            self._gone(connection)
            self._settle(connection)
        if self._awaiting_progress:
            self._wake()

    # The mechanism

    @property
    def _busy(self) -> bool:
        """Whether something that was received is not handled yet."""
        return any(each.busy for each in (*self.present.values(), *self._lingering))

    def _gone(self, connection: Connection) -> None:
        """Nothing comes any more of a lost connection; or nobody is to wait for that."""
        if connection not in self._leaving:
            return
        error = self._leaving.pop(connection)
        if error is not None and connection.fault is not None:
            self._stats.faults += 1
            self._tell(error)
        self._call(self._on_disconnected, connection, error)

    def _settle(self, connection: Connection) -> None:
        """Forget a lost connection when nothing of it runs any more."""
        if not (connection.callbacks or connection.busy):
            self._lingering.discard(connection)
        self._wake()

    def _wake(self) -> None:
        """Let those who wait for progress look again."""
        waiters, self._awaiting_progress = self._awaiting_progress, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _call(
        self, callback: Callable[..., Any] | None, connection: Connection, *args: Any
    ) -> None:
        """Call a plain or an asynchronous callback."""
        if callback is None:
            return
        context = self.context.copy()
        try:
            result = context.run(callback, connection.peer, *args)
        except ENDS:
            raise
        except BaseException as error:
            self._failed(error, connection.peer)
        else:
            if is_awaitable(result):
                connection.callbacks += 1
                awaiting = self._await_callback(result, connection.peer)
                name = f"callback about {connection.peer!r}"
                task = context.run(self._spawn, awaiting, name=name)
                task.add_done_callback(lambda _: self._called(connection))

    async def _await_callback(self, result: Any, peer: Peer) -> None:
        try:
            await result
        except ENDS:
            raise
        except BaseException as error:
            own = is_own_cancellation(error)
            if not own or self.handles():
                self._failed(error, peer)
            if own:
                raise

    def _called(self, connection: Connection) -> None:
        connection.callbacks -= 1
        if connection.lost:
            self._settle(connection)


class PeersView(Mapping[int, Peer]):
    """The peers of an endpoint by their identifiers, as they come and go."""

    __slots__ = ("_present",)

    def __init__(self, connections: Connections) -> None:
        self._present = connections.present

    def __getitem__(self, peer_id: int) -> Peer:
        return self._present[peer_id].peer

    def __iter__(self) -> Iterator[int]:
        return iter(self._present)

    def __len__(self) -> int:
        return len(self._present)

    def __repr__(self) -> str:
        return f"<{len(self)} peers>"
