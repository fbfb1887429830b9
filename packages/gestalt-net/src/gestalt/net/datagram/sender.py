"""The sending half of a datagram endpoint."""

import asyncio
import errno
import socket
from collections.abc import Callable
from threading import get_ident
from typing import NoReturn

from gestalt.core import StateError, check_thread
from gestalt.net.address import Address
from gestalt.net.errors import (
    AddressError,
    DatagramTooLarge,
    NetError,
    NotConnected,
    SendBufferFull,
    SendFailed,
)

from .sockaddr import SocketAddress, is_name, sockaddr_of
from .socket import (
    SEGMENT,
    SOL_UDP,
    UDP_SEGMENT,
    DatagramSocket,
    largest_datagram,
    largest_segment,
)
from .stats import DatagramStats

BURST = 128
"""How many datagrams are sent, while the system takes them, before others have their turn."""

ATTEMPTS = 4
"""How often a datagram is tried that meets the answers to those before it."""

TARGETS = 4096
"""How many addresses are remembered as the system has them."""

SEGMENTS_REFUSED = {errno.EINVAL, errno.EMSGSIZE, errno.EIO, errno.EOPNOTSUPP}
"""What the system answers where one datagram may pass: mostly, it is above the network's MTU."""


class DatagramSender:
    """Sends frames on a socket, and waits where it has no room.

    Args:
        owner: who sends, as errors call it.
        stats: where what was sent is counted.

    Attributes:
        thread: whose event loop it belongs to, as `get_ident` has it; 0 before it is opened.
        to_peer: sends a frame to the default peer, or raises.
        to_address: sends a frame to a socket address, or raises.
        last: whom was sent to at last, unless by default: a look at this takes less time than a
            hash of an Address.
        target: what the system calls `last`.
        segment_limit: up to which size, in bytes, several datagrams can be given to the system at
            once.
        yield_at: at how many sent datagrams, in all, `send` is to yield: see `yield_turn`.
    """

    __slots__ = (
        "_family",
        "_loop",
        "_max_size",
        "_owner",
        "_peer_target",
        "_sock",
        "_stats",
        "_targets",
        "_unreachable",
        "_waiters",
        "last",
        "segment_limit",
        "target",
        "thread",
        "to_address",
        "to_peer",
        "yield_at",
    )

    def __init__(self, owner: object, stats: DatagramStats) -> None:
        self._owner = owner
        self._stats = stats
        self._loop: asyncio.AbstractEventLoop
        self._sock: DatagramSocket | None = None
        self._unreachable: Callable[[OSError], None]
        self.thread: int = 0
        self.to_peer: Callable[[bytes], int] = self._not_running
        self.to_address: Callable[[bytes, SocketAddress], int] = self._not_running
        self._max_size = 0
        self._family: int
        self._targets: dict[Address | str, SocketAddress] = {}
        self.last: Address | str | None = None
        self.target: SocketAddress = ()
        self.segment_limit: int = 0
        # What the system calls the default peer, where the socket is not connected to it.
        self._peer_target: SocketAddress | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self.yield_at: int = BURST

    def open(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: DatagramSocket,
        target: SocketAddress | None,
        max_size: int,
    ) -> None:
        """Send on this socket from now on.

        Args:
            loop: the event loop, which runs in this thread.
            sock: the socket.
            target: the default peer, if there is one.
            max_size: how many bytes a datagram may have.
        """
        raw = sock.raw
        self._loop = loop
        self.thread = get_ident()
        self._sock = sock
        # An error may be met when the socket is closed already.
        self._unreachable = sock.unreachable
        self._max_size = max_size
        self._family = raw.family
        self._peer_target = target
        self.segment_limit = largest_segment(raw)
        self.to_address = raw.sendto
        if target is None:
            self.to_peer = self._to_nobody
        elif _is_connected(raw):
            self.to_peer = raw.send
            self._peer_target = None
        else:
            self.to_peer = lambda frame: raw.sendto(frame, target)
        # The largest that there can be is left for the system to check.
        if max_size < largest_datagram(raw.family):
            self.to_address = self._limited(self.to_address)
            if target is not None:
                self.to_peer = self._limited(self.to_peer)

    def check_thread(self) -> None:
        """Raise WrongThread when this is not the thread of the event loop."""
        if self._sock is not None:
            check_thread(self._loop, self._owner)

    def close(self) -> None:
        """Send nothing any more; whoever waits to send is told so."""
        if self._sock is not None:
            self._sock.unwatch_writable()
        self._sock = None
        self.to_peer = self.to_address = self._not_running
        self._targets.clear()
        self.last = None
        self._wake()

    def transmit(self, frame: bytes, to: Address | str | None) -> None:
        """Send a frame now, or raise what the system, or `DatagramEndpoint.send`, raises."""
        if to is None:
            self.to_peer(frame)
        else:
            self.to_address(frame, self.target if to is self.last else self.find(to))
        self._stats.sent += 1
        self._stats.sent_bytes += len(frame)

    def find(self, to: Address | str) -> SocketAddress:
        """What the system calls an address.

        Raises:
            AddressError: its host is a name, is missing, or is not of the socket's family.
            StateError: the endpoint is not running.
        """
        if self._sock is None:
            self._not_running()
        self.target = self._targets.get(to) or self._new_target(to)
        self.last = to
        return self.target

    def target_of(self, to: Address | str | None) -> SocketAddress | None:
        """What the system calls an address; the default peer's, None where it is known already.

        Raises:
            NotConnected: there is neither `to` nor a peer.
            AddressError, StateError: as in `find`.
        """
        if to is not None:
            return self.target if to is self.last else self.find(to)
        if self._sock is None:
            self._not_running()
        if self.to_peer == self._to_nobody:
            self._to_nobody()
        return self._peer_target

    async def look_up(self, to: Address | str | None) -> Address | str | None:
        """What can be sent to without looking up a name: `to` itself, or its address.

        Raises:
            NotConnected, AddressError, StateError: as `target_of` does.
            OSError: the name is not known, or has no address of the socket's family.
        """
        if to is None:
            self.target_of(to)
            return to
        try:
            self.target_of(to)
        except AddressError as error:
            return await self._resolve(to, error)
        return to

    async def _resolve(self, to: Address | str, error: AddressError) -> Address:
        """The address of a name, for want of which `error` was raised; else raise this."""
        address = Address.parse(to, ("udp",))
        if not is_name(address.host):
            raise error
        self.check_thread()
        return await self._open_socket().resolve(address)

    def transmit_segments(self, frames: list[bytes], to: Address | str | None) -> None:
        """Send frames of one size now, or raise what the system raises, and send none.

        The last one may be smaller.
        """
        target = self.target_of(to)
        segment = (SOL_UDP, UDP_SEGMENT, SEGMENT.pack(len(frames[0])))
        data = b"".join(frames)
        self._open_socket().raw.sendmsg((data,), (segment,), 0, target)
        self._stats.sent += len(frames)
        self._stats.sent_bytes += len(data)
        # They take about an eighth of the time.
        self.yield_at += len(frames) * 7 // 8

    def note_segments_refused(self, error: OSError, size: int) -> None:
        """Note that the system did not take several datagrams of this size at once."""
        if isinstance(error, ConnectionRefusedError):
            self._unreachable(error)
        elif error.errno in SEGMENTS_REFUSED:
            self.segment_limit = min(self.segment_limit, size - 1)

    @property
    def must_yield(self) -> bool:
        """Whether to let others run before the next datagram: see `yield_turn`."""
        return self._stats.sent >= self.yield_at

    async def yield_turn(self) -> None:
        """Let others run: a sender that never has to wait would keep the event loop to itself."""
        self.yield_at = self._stats.sent + BURST
        await asyncio.sleep(0)

    async def send_after_yield(self, frame: bytes, to: Address | str | None) -> None:
        """Let others run, then send a frame."""
        await self.yield_turn()
        try:
            self.transmit(frame, to)
        except Exception as error:
            await self.retry(frame, to, error)

    async def retry(self, frame: bytes, to: Address | str | None, error: Exception) -> None:
        """Send a frame that could not be sent at once because of `error`."""
        attempts = 1
        while True:
            if isinstance(error, BlockingIOError):
                await self.room()
            elif isinstance(error, ConnectionRefusedError) and attempts < ATTEMPTS:
                # This is about an earlier datagram: the present one was not tried.
                attempts += 1
                self._unreachable(error)
            elif isinstance(error, AddressError) and to is not None:
                to = await self._resolve(to, error)
            else:
                self._raise_failure(error, len(frame))
            try:
                self.transmit(frame, to)
            except Exception as another:
                error = another
            else:
                return

    def retry_nowait(self, frame: bytes, to: Address | str | None, error: Exception) -> None:
        """Send a frame that could not be sent at once because of `error`; do not wait."""
        attempts = 1
        while isinstance(error, ConnectionRefusedError) and attempts < ATTEMPTS:
            attempts += 1
            self._unreachable(error)
            try:
                self.transmit(frame, to)
            except Exception as another:  # pragma: no cover - a second refusal has to come just now
                error = another
            else:
                return
        self._raise_failure(error, len(frame))

    async def room(self) -> None:
        """Wait until the system may have room again, or the endpoint has closed."""
        sock = self._open_socket()
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        if len(self._waiters) == 1:
            sock.watch_writable(self._wake)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if not self._waiters and self._sock is not None:
                self._sock.unwatch_writable()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():  # pragma: no branch - cancelled in this turn
                waiter.set_result(None)

    def _to_nobody(self, *_: object) -> NoReturn:
        raise NotConnected(f"{self._owner!r} has no peer, and `to` was not given")

    def _open_socket(self) -> DatagramSocket:
        if self._sock is None:  # pragma: no cover - who calls this has found a target, which tells
            self._not_running()
        return self._sock

    def _not_running(self, *_: object) -> NoReturn:
        raise StateError(f"{self._owner!r} is not running")

    def check_size(self, size: int) -> None:
        """Raise DatagramTooLarge where that is known without the system."""
        if size > self._max_size:
            raise self._too_large(size)

    def _limited(self, transmit: Callable[..., int]) -> Callable[..., int]:
        """What sends as `transmit` does, up to max_size."""

        def transmit_limited(frame: bytes, *target: SocketAddress) -> int:
            self.check_size(len(frame))
            return transmit(frame, *target)

        return transmit_limited

    def _too_large(self, size: int) -> DatagramTooLarge:
        return DatagramTooLarge(
            f"a datagram of {size} bytes is more than max_size, {self._max_size}"
        )

    def _new_target(self, to: Address | str) -> SocketAddress:
        if len(self._targets) >= TARGETS:
            self._targets.clear()
        target = self._targets[to] = sockaddr_of(Address.parse(to, ("udp",)), self._family)
        return target

    def _raise_failure(self, error: Exception, size: int) -> NoReturn:
        """Raise what `error`, from sending `size` bytes, means to the caller.

        Raises:
            SendBufferFull, DatagramTooLarge, SendFailed: as it says.
            Exception: the error itself, where it is not the system's.
        """
        if not isinstance(error, OSError) or isinstance(error, NetError):
            raise error
        if isinstance(error, BlockingIOError):
            raise SendBufferFull(f"the system has no room for {size} bytes") from error
        if error.errno == errno.EMSGSIZE:
            if size > self._max_size:
                raise self._too_large(size) from error
            raise DatagramTooLarge(
                f"a datagram of {size} bytes is more than the system takes"
            ) from error
        raise SendFailed(f"a datagram of {size} bytes was not sent: {error.strerror}") from error


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
