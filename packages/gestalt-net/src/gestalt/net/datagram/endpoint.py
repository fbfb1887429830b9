"""An endpoint for datagrams."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from functools import partial
from struct import error as StructError
from threading import get_ident
from typing import Any

from gestalt.core import Handler, StateError, WrongThread
from gestalt.net.accepted import ACCEPTED
from gestalt.net.address import Address
from gestalt.net.batch import check_batch_handler
from gestalt.net.inherited import SCHEMES
from gestalt.net.keyed import check_handling
from gestalt.net.pace import Pace, TimeSlice
from gestalt.net.reporting import OnError, Reporting
from gestalt.net.tracing import traced
from gestalt.net.wire import Wire

from .backlog import Backlog, Overflow, check_backlog
from .batching import BatchMaker, BatchReader, BatchWorker
from .completion_socket import watched
from .decoding import decoder
from .failures import DatagramFailures
from .iteration import DatagramIteration
from .keyed import Key, KeyedWorker
from .measured import MeasuredEndpoint
from .message import DatagramMessage
from .multicast import change_membership, interface_index
from .reader import DatagramReader
from .sender import DatagramSender
from .sending_many import ManySender
from .sockaddr import address_of
from .socket import (
    LARGEST_IPV6,
    DatagramOptions,
    DatagramSocket,
    largest_datagram,
    lost_datagrams,
    open_socket,
)
from .stats import DatagramStats


class DatagramEndpoint(ManySender, MeasuredEndpoint):
    """Sends and receives messages, one a datagram.

        async with DatagramEndpoint("udp://0.0.0.0:9000", wire, on_message=handlers) as endpoint:
            await endpoint.wait_stopped()

        async with DatagramEndpoint(None, wire, peer="udp://gateway:9000") as endpoint:
            await endpoint.send(Position(-34.9, 138.6))
            async for message in endpoint:
                ...

    Datagrams may be lost, come twice or in another order: this is what UDP is. What is lost at
    this end is counted, in `stats` and `system_drops`.

    `on_message` is a plain function, which is called within the loop's read callback, or an async
    one, whose messages are handled in order, one at a time. Without it, the application takes
    messages by `async for`. While an asynchronous handler or the application lags, datagrams wait
    in a backlog of bounded length; when it is full, some are dropped.

    A datagram that is not exactly one frame, that the codec refuses or that no handler takes, is
    dropped, counted, and goes to `on_error` as a DatagramDropped. An exception of a handler goes
    there as a HandlerError, and an answer that nobody receives at the peer's address as a
    PeerUnreachable. Without `on_error`, they go to the log, a few lines a second of each kind. None
    of them stops the endpoint.

    Stopping receives nothing any more; what waits is handled, for up to `stop_timeout`.

    Args:
        address: where to receive: `udp://host:port`. Without a host, on every interface, IPv4 and
            IPv6; a multicast group is joined. None is any free port. `fd://3` and `systemd://name`
            are what this process was started with, and take no `peer`.
        wire: how messages are put into datagrams.
        on_message: takes each `DatagramMessage`.
        on_messages: in its place, takes a `DatagramMessageBatch` of what the system had, up to 64.
        peer: where `send` sends to by default. Datagrams from elsewhere are then not received,
            unless it is a multicast group, or `broadcast` is among the options.
        on_error: takes a DatagramDropped, a PeerUnreachable or a HandlerError. When it is an async
            function, 100 calls may be under way; errors beyond that are counted as `unreported`,
            and logged.
        concurrency: how many messages an asynchronous handler may work on at a time; with more than
            one, they are not in order.
        key: for `on_message`, a plain function that gives what messages have in common that are to
            be handled one after the other, in order, and others meanwhile.
        backlog: how many datagrams may wait to be handled.
        overflow: which datagram to drop when the backlog is full.
        max_size: how many bytes a datagram may have, sent or received; by default, and at most,
            what UDP can carry: 65,507 over IPv4, 65,527 over IPv6. What is above the network's MTU,
            mostly 1,500 less 28 or 48, travels in pieces, and is lost when one of them is.
        groups: multicast groups to join, their addresses only.
        options: what the operating system is asked for.
        name: how the endpoint is called in messages.
        stop_timeout: how long stopping may drain, in seconds.

    Raises:
        AddressError: an address is none for datagrams.
        ValueError: an argument is out of its range, or there is a `key` and no `on_message`.
        TypeError: `key` is no plain function.
    """

    def __init__(
        self,
        address: str | Address | None,
        wire: Wire,
        *,
        on_message: Handler | None = None,
        on_messages: Handler | None = None,
        peer: str | Address | None = None,
        on_error: OnError | None = None,
        concurrency: int = 1,
        key: Key | None = None,
        backlog: int = 1024,
        overflow: Overflow = "drop-oldest",
        max_size: int | None = None,
        groups: Iterable[str] = (),
        options: DatagramOptions | None = None,
        name: str | None = None,
        stop_timeout: float = 10.0,
    ) -> None:
        super().__init__(name=name, stop_timeout=stop_timeout)
        check_batch_handler(on_messages, on_message, key)
        check_handling(on_message, concurrency, key)
        check_backlog(backlog, overflow)
        if max_size is not None and max_size < 1:
            raise ValueError(f"max_size must be at least 1 byte, got {max_size}")
        self.wire = wire
        # What is larger, the system refuses.
        self._encode, self._header = wire.encode, wire.header_for(LARGEST_IPV6)
        self.options: DatagramOptions = options or DatagramOptions()
        self.stats: DatagramStats = DatagramStats()
        self._bind_to = None if address is None else Address.parse(address, ("udp", *SCHEMES))
        self._peer = None if peer is None else Address.parse(peer, ("udp",))
        self._on_message = on_message
        self._on_messages = on_messages
        self._reporting = Reporting(self, on_error, report=self._report_error, spawn=self._spawn)
        self._failures = DatagramFailures(self.stats, self._reporting.tell)
        self._concurrency = concurrency
        self._key = key
        self._backlog_limit = backlog
        self._overflow: Overflow = overflow
        self._max_size = max_size
        self._groups = tuple(groups)
        self._address: Address | None = None
        self._sock: DatagramSocket | None = None
        self._backlog: Backlog | None = None
        self._reader: DatagramReader | None = None
        self._sender = DatagramSender(self, self.stats)

    # What an application uses

    @property
    def address(self) -> Address:
        """Where the endpoint receives, or received at last; port 0 is replaced by the one it got.

        Raises:
            StateError: the endpoint was never started.
        """
        if self._address is None:
            raise StateError(f"{self!r} has no address before it is started")
        return self._address

    @property
    def peer(self) -> Address | None:
        """Where messages go by default, as it was given."""
        return self._peer

    @property
    def system_drops(self) -> int | None:
        """How many datagrams the system has dropped since the start, mostly for want of room.

        None on systems other than Linux.

        Raises:
            StateError: the endpoint is not running.
        """
        return lost_datagrams(self._running_socket().raw)

    def send(
        self, body: Any, type_id: int | None = None, *, to: Address | str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Send a message; `await` it, which waits as long as the system has no room for it.

        It returns when the system has taken it; nobody knows whether it arrives. Cancelled while
        it waits, it sends nothing.

        Args:
            body: what the codec of the wire takes; without a codec, bytes.
            type_id: the message type identifier, where the framing carries one and the codec has
                no types of its own.
            to: whom to send it to; by default the `peer`. A name is looked up each time: use
                `resolve` for sending often.

        Raises:
            NotConnected: there is neither `to` nor a peer.
            DatagramTooLarge: it is larger than `max_size`, or than the network takes.
            SendFailed: the system refused it, for want of a route or by a rule.
            AddressError: `to` is no address, or not of the socket's family.
            StateError: the endpoint is not running; WrongThread where this is awaited in another
                thread than that of its event loop.
            PayloadError: the framing cannot carry it.
            CodecError: the codec cannot encode it.
            OSError: the name in `to` is not known.
            In each case, the message was not sent.
        """
        # What Wire.encode and DatagramSender.transmit do, where nothing is in the way. Functions
        # are called as locals: Python 3.11 is slow to find attributes that are called but are no
        # methods.
        encode = self._encode
        header = self._header
        if header is not None and type(body) is bytes:
            try:
                frame = header(len(body), type_id or 0) + body
            except StructError:
                frame = encode(body, type_id)  # it tells what is wrong
        else:
            frame = encode(body, type_id)
        sender = self._sender
        if get_ident() != sender.thread:
            try:
                sender.check_thread()
            except WrongThread:
                # As with streams: its event loop may be about to await it.
                return self._send_there(frame, to)
        stats = self.stats
        sent = stats.sent
        if sent >= sender.yield_at:
            return sender.send_after_yield(frame, to)
        try:
            if to is None:
                to_peer = sender.to_peer
                to_peer(frame)
            else:
                to_address = sender.to_address
                to_address(frame, sender.target if to is sender.last else sender.find(to))
        except Exception as error:
            return sender.retry(frame, to, error)
        stats.sent = sent + 1
        stats.sent_bytes += len(frame)
        return ACCEPTED

    async def _send_there(self, frame: bytes, to: Address | str | None) -> None:
        self._sender.check_thread()
        await self._sender.send_after_yield(frame, to)

    def send_nowait(
        self, body: Any, type_id: int | None = None, *, to: Address | str | None = None
    ) -> None:
        """Send a message now, or raise.

        Raises:
            SendBufferFull: the system has no room for it.
            AddressError: `to` has a name for its host: see `resolve`.
            Exception: as `send` does.
            In each case, the message was not sent.
        """
        self._sender.check_thread()
        frame = self._encode(body, type_id)
        try:
            self._sender.transmit(frame, to)
        except Exception as error:
            self._sender.retry_nowait(frame, to, error)

    async def resolve(self, address: str | Address) -> Address:
        """Look up the name in `address`; return what `send` takes without another look.

        Raises:
            OSError: the name is not known, or has no address of the socket's family.
            AddressError: it is no address for datagrams.
            StateError: the endpoint is not running.
        """
        return await self._running_socket().resolve(Address.parse(address, ("udp",)))

    def join(self, group: str, interface: str | int | None = None) -> None:
        """Receive what is sent to a multicast group, until `leave` or the end.

        Args:
            group: its address.
            interface: the network interface, by its name or number; by default, that of the
                options.

        Raises:
            AddressError: it is no group, not for the socket's family, or there is no such
                interface.
            OSError: the system refused.
            StateError: the endpoint is not running.
        """
        self._change_membership(group, interface, join=True)

    def leave(self, group: str, interface: str | int | None = None) -> None:
        """Undo a `join` with the same arguments; it raises the same errors."""
        self._change_membership(group, interface, join=False)

    def __aiter__(self) -> AsyncIterator[DatagramMessage[Any]]:
        """The messages as they come, until the endpoint stops.

        Several tasks may iterate: each message goes to one of them. A read that is cancelled, such
        as by a timeout, loses nothing, and the iteration can go on.

        Raises:
            StateError: the endpoint has `on_message`, or was never started.
        """
        if self._on_message is not None or self._on_messages is not None:
            taker = "on_message" if self._on_messages is None else "on_messages"
            raise StateError(f"{self!r} gives its messages to {taker}")
        if self._backlog is None:
            raise StateError(f"{self!r} has no messages before it is started")
        return DatagramIteration(self._backlog, self._decode, TimeSlice(self._pace))

    # The life of the component

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        raw, target = await open_socket(self._bind_to, self._peer, self.options)
        address = address_of(raw.getsockname())
        unreachable = partial(self._failures.unreachable, self._peer or address)
        self._sock = sock = watched(loop, raw, unreachable, self._spawn)
        max_size = min(self._max_size or LARGEST_IPV6, largest_datagram(raw.family))
        handler, wire = traced(
            "datagram", self.name, self._on_message or self._on_messages, self.wire
        )
        self._encode, self._header = wire.encode, wire.header_for(LARGEST_IPV6)
        self._pace = Pace(loop)
        self._backlog = Backlog(loop, self._backlog_limit, self._overflow, self.stats)
        self._decode = decoder(self.wire, self, self._failures.drop)
        reader: Callable[..., DatagramReader] = DatagramReader
        if self._on_messages is not None:
            maker = BatchMaker(self.wire, self, self._failures.drop)
            reader = partial(BatchReader, maker=maker, worker=partial(BatchWorker, maker=maker))
        self._reader = reader(
            sock,
            self.wire,
            max_size,
            decode=self._decode,
            backlog=self._backlog,
            handler=handler,
            concurrency=self._concurrency,
            time_slice=TimeSlice(self._pace),
            spawn=self._spawn,
            stats=self.stats,
            failures=self._failures,
        )
        if self._key is not None and handler is not None:
            self._reader.worker = KeyedWorker(
                handler,
                self._key,
                self._backlog_limit,
                self._overflow,
                stats=self.stats,
                decode=self._decode,
                failures=self._failures,
                concurrency=self._concurrency,
                pace=self._pace,
                spawn=self._spawn,
            )
        sock.watch_readable(self._reader.read)
        self._sender.open(loop, sock, target, max_size)
        self._address = address
        for group in self._groups:
            self.join(group)

    async def _drain(self) -> None:
        self._stop_receiving()
        if self._reader is not None and self._reader.worker is not None:
            await self._reader.worker.finish()

    async def _close(self) -> None:
        self._stop_receiving()
        self._sender.close()
        if self._reader is not None and self._reader.worker is not None:
            self._reader.worker.abandon()
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()
        self._reporting.flush()

    def _stop_receiving(self) -> None:
        if self._sock is not None:
            self._sock.unwatch_readable()
        if self._backlog is not None:
            self._backlog.close()

    def _running_socket(self) -> DatagramSocket:
        if self._sock is None:
            raise StateError(f"{self!r} is not running")
        self._sender.check_thread()
        return self._sock

    def _change_membership(self, group: str, interface: str | int | None, *, join: bool) -> None:
        sock = self._running_socket().raw
        if interface is None:
            interface = self.options.multicast_interface
        change_membership(sock, group, interface_index(interface), join=join)
