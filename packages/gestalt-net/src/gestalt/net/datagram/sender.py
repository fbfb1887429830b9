"""The sending half of a datagram endpoint."""

import asyncio
import errno
import socket
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, NoReturn

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

from .socket import (
    SEGMENT,
    SOL_UDP,
    UDP_SEGMENT,
    SocketAddress,
    is_name,
    largest_datagram,
    largest_together,
    numeric,
)

if TYPE_CHECKING:
    from .endpoint import DatagramEndpoint

BURST = 128
"""How many datagrams are sent, while the system takes them, before others have their turn."""

ATTEMPTS = 4
"""How often a datagram is tried that meets the answers to those before it."""

TARGETS = 4096
"""How many addresses are remembered as the system has them."""

NOT_TOGETHER = {errno.EINVAL, errno.EMSGSIZE, errno.EIO, errno.EOPNOTSUPP}
"""What the system answers where one datagram may pass: mostly, it is above the network's MTU."""


class DatagramSender:
    """Sends frames on a socket, and waits where it has no room."""

    __slots__ = (
        "_endpoint",
        "_family",
        "_loop",
        "_max_size",
        "_peer_target",
        "_sock",
        "_stats",
        "_targets",
        "_waiters",
        "last",
        "pause_at",
        "target",
        "thread",
        "to_address",
        "to_peer",
        "together",
    )

    def __init__(self, endpoint: "DatagramEndpoint") -> None:
        self._endpoint = endpoint
        self._stats = endpoint.stats
        self._loop: asyncio.AbstractEventLoop
        self._sock: socket.socket | None = None
        # Which thread's event loop it belongs to.
        self.thread = 0
        # What sends on the socket, or raises.
        self.to_peer: Callable[[bytes], int] = self._not_running
        self.to_address: Callable[[bytes, SocketAddress], int] = self._not_running
        self._max_size = 0
        self._family: int
        self._targets: dict[Address | str, SocketAddress] = {}
        # Whom was sent to at last, and what the system calls it: a hash of an Address takes longer.
        self.last: Address | str | None = None
        self.target: SocketAddress = ()
        # Up to which size datagrams can be given to the system together.
        self.together = 0
        self._peer_target: SocketAddress | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        # At how many datagrams in all it is others' turn.
        self.pause_at = BURST

    def open(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        target: SocketAddress | None,
        max_size: int,
    ) -> None:
        """Send on this socket from now on, by default to `target`."""
        self._loop = loop
        self.thread = get_ident()
        self._sock = sock
        self._max_size = max_size
        self._family = sock.family
        self._peer_target = target
        self.together = largest_together(sock)
        self.to_address = sock.sendto
        if target is None:
            self.to_peer = self._to_nobody
        elif _is_connected(sock):
            self.to_peer = sock.send
            self._peer_target = None
        else:
            self.to_peer = lambda frame: sock.sendto(frame, target)
        # The largest that there can be is left for the system to check.
        if max_size < largest_datagram(sock.family):
            self.to_address = self._limited(self.to_address)
            if target is not None:
                self.to_peer = self._limited(self.to_peer)

    def check_thread(self) -> None:
        """Raise WrongThread when this is not the thread of the event loop."""
        if self._sock is not None:
            check_thread(self._loop, self._endpoint)

    def close(self) -> None:
        """Send nothing any more; whoever waits to send is told so."""
        if self._sock is not None:
            self._loop.remove_writer(self._sock)
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

    def find(self, to: Address | str) -> SocketAddress:
        """What the system calls an address.

        Raises:
            AddressError: its host is a name, is missing, or is not of the socket's family.
            StateError: the endpoint is not running.
        """
        if self._sock is None:
            raise StateError(f"{self._endpoint!r} is not running")
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

    def transmit_together(self, frames: list[bytes], to: Address | str | None) -> None:
        """Send frames of one size now, or raise what the system raises, and send none.

        The last one may be smaller.
        """
        target = self.target_of(to)
        if self._sock is None:
            self._not_running()
        segment = (SOL_UDP, UDP_SEGMENT, SEGMENT.pack(len(frames[0])))
        self._sock.sendmsg((b"".join(frames),), (segment,), 0, target)
        self._stats.sent += len(frames)
        # They take about an eighth of the time.
        self.pause_at += len(frames) * 7 // 8

    def note_refused_together(self, error: OSError, size: int) -> None:
        """Note that the system did not take several datagrams of this size."""
        if isinstance(error, ConnectionRefusedError):
            self._endpoint._unreachable(error)
        elif error.errno in NOT_TOGETHER:
            self.together = min(self.together, size - 1)

    @property
    def others_turn(self) -> bool:
        """Whether it is others' turn: see `let_others`."""
        return self._stats.sent >= self.pause_at

    async def let_others(self) -> None:
        """Let others run: a sender that never has to wait would keep the event loop to itself."""
        self.pause_at = self._stats.sent + BURST
        await asyncio.sleep(0)

    async def send_after_others(self, frame: bytes, to: Address | str | None) -> None:
        """Let others run, then send a frame."""
        await self.let_others()
        try:
            self.transmit(frame, to)
        except Exception as error:
            await self.transmit_later(frame, to, error)

    async def transmit_later(
        self, frame: bytes, to: Address | str | None, error: Exception
    ) -> None:
        """Send a frame that could not be sent at once because of `error`."""
        attempts = 1
        while True:
            if isinstance(error, BlockingIOError):
                await self.room()
            elif isinstance(error, ConnectionRefusedError) and attempts < ATTEMPTS:
                # This is about an earlier datagram: the present one was not tried.
                attempts += 1
                self._endpoint._unreachable(error)
            elif isinstance(error, AddressError) and to is not None:
                address = Address.parse(to, ("udp",))
                if not is_name(address.host):
                    raise error
                to = await self._endpoint.resolve(address)
            else:
                self._raise_failure(error, len(frame))
            try:
                self.transmit(frame, to)
            except Exception as another:
                error = another
            else:
                return

    def transmit_now(self, frame: bytes, to: Address | str | None, error: Exception) -> None:
        """Send a frame that could not be sent at once because of `error`; do not wait."""
        attempts = 1
        while isinstance(error, ConnectionRefusedError) and attempts < ATTEMPTS:
            attempts += 1
            self._endpoint._unreachable(error)
            try:
                self.transmit(frame, to)
            except Exception as another:
                error = another
            else:
                return
        self._raise_failure(error, len(frame))

    def watch_again(self) -> None:
        """Wait anew for room on the socket, where somebody does."""
        if self._sock is not None and self._waiters:
            self._loop.remove_writer(self._sock)
            self._loop.add_writer(self._sock, self._wake)

    async def room(self) -> None:
        """Wait until the system may have room again, or the endpoint has closed."""
        if self._sock is None:
            return
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        if len(self._waiters) == 1:
            self._loop.add_writer(self._sock, self._wake)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if not self._waiters and self._sock is not None:
                self._loop.remove_writer(self._sock)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _to_nobody(self, *_: object) -> NoReturn:
        raise NotConnected(f"{self._endpoint!r} has no peer, and `to` was not given")

    def _not_running(self, *_: object) -> NoReturn:
        raise StateError(f"{self._endpoint!r} is not running")

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
        target = self._targets[to] = numeric(Address.parse(to, ("udp",)), self._family)
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
