"""Datagram sockets: how they are opened, watched and closed."""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from gestalt.core import keep_from_children
from gestalt.net.address import Address
from gestalt.net.errors import AddressError
from gestalt.net.inherited import SCHEMES, inherited
from gestalt.net.sharing import refusal, share_port

from .multicast import change_membership, interface_index, packed_group, set_multicast
from .sockaddr import SocketAddress, address_of, resolve

LARGEST_IPV4 = 65_507
"""65,535 bytes less the headers of IPv4 (20) and UDP (8)."""

LARGEST_IPV6 = 65_527
"""65,535 bytes less the header of UDP; that of IPv6 does not count (RFC 8200, section 3)."""

# Linux only, and not in the socket module: SO_MEMINFO gives nine integers, the last one of which
# counts what the socket has dropped (include/uapi/linux/sock_diag.h).
SO_MEMINFO = 55
MEMINFO = struct.Struct("@9I")

# Linux only, and not in the socket module: how large each datagram is of those that are sent by one
# call (udp(7)).
SOL_UDP = 17
UDP_SEGMENT = 103
SEGMENT = struct.Struct("@H")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatagramOptions:
    """What the operating system is asked for: immutable, shared by any number of endpoints.

    Args:
        reuse_address: whether several sockets may have the same address; each of them then receives
            what is sent to a multicast group.
        reuse_port: whether several sockets of one user may have the same address, and share what
            comes: all from one sender goes to one of them.
        broadcast: whether datagrams may be sent to a broadcast address.
        dual_stack: whether an IPv6 socket on every interface takes IPv4, too.
        receive_buffer: how many bytes the system may keep until they are received; what comes
            beyond is lost. The system has a limit of its own (on Linux, net.core.rmem_max), and
            counts more than the payloads. None leaves it to the system.
        send_buffer: how many bytes may wait for the network before `send` waits, too; None leaves
            it to the system.
        multicast_ttl: through how many networks datagrams to a group may go; 1 by default.
        multicast_loop: whether this host receives what it sends to a group.
        multicast_interface: where groups are sent to and joined, as a name ("eth0") or a number;
            None leaves it to the system's routes.
    """

    reuse_address: bool = False
    reuse_port: bool = False
    broadcast: bool = False
    dual_stack: bool = True
    receive_buffer: int | None = 1024 * 1024
    send_buffer: int | None = None
    multicast_ttl: int | None = None
    multicast_loop: bool = True
    multicast_interface: str | int | None = None

    def __post_init__(self) -> None:
        for name in ("receive_buffer", "send_buffer"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be positive, got {value}")
        if self.multicast_ttl is not None and not 0 <= self.multicast_ttl <= 255:
            raise ValueError(f"multicast_ttl must be 0 to 255, got {self.multicast_ttl}")


async def open_socket(
    address: Address | None, peer: Address | None, options: DatagramOptions
) -> tuple[socket.socket, SocketAddress | None]:
    """Open a socket, bind it to `address`, and connect it to `peer`.

    A socket cannot be connected to a group or a broadcast address: it would receive no answers.

    Returns:
        The socket, and the peer's address as the system has it.

    Raises:
        OSError: a name is not known, or an address cannot be used.
        AddressError: there is no such interface.
    """
    if address is not None and address.scheme in SCHEMES:
        return _take_over(address, peer, options), None
    target: SocketAddress | None = None
    family = socket.AF_UNSPEC
    if peer is not None:
        family, target = await resolve(peer, family)
    family, local, dual_stack = await _local(address, family, options)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        keep_from_children(sock.fileno())
        sock.setblocking(False)
        if options.reuse_port:
            share_port(sock, address)
        _set_options(sock, options, dual_stack=dual_stack)
        try:
            sock.bind(local)
        except OSError as error:
            reason = refusal(error, shared=options.reuse_port)
            raise OSError(error.errno, f"{address} cannot be bound: {reason}") from error
        if packed_group(local[0]) is not None:
            index = interface_index(options.multicast_interface)
            change_membership(sock, local[0], index, join=True)
        if target is not None and not options.broadcast and packed_group(target[0]) is None:
            sock.connect(target)
    except BaseException:
        sock.close()
        raise
    return sock, target


def _take_over(address: Address, peer: Address | None, options: DatagramOptions) -> socket.socket:
    """A socket that this process was started with."""
    if peer is not None:
        raise AddressError(f"{address} is a socket that others have, too: it takes no peer")
    with ExitStack() as made:
        sockets = [made.enter_context(each) for each in inherited(address, socket.SOCK_DGRAM)]
        sock = _only(sockets, address)
        keep_from_children(sock.fileno())
        sock.setblocking(False)
        _set_options(sock, options, dual_stack=False, bound=True)
        made.pop_all()
    return sock


def _only(sockets: Sequence[socket.socket], address: Address) -> socket.socket:
    if len(sockets) > 1:
        raise AddressError(f"{address} names {len(sockets)} sockets, and an endpoint has one")
    if sockets[0].family not in (socket.AF_INET, socket.AF_INET6):
        raise AddressError(f"{address} is no socket for UDP")
    return sockets[0]


class DatagramSocket:
    """An open socket, which the event loop watches.

    Args:
        loop: the event loop.
        raw: the socket, which closes with this.
        on_unreachable: takes the error by which the system tells, on whatever call comes next, that
            an earlier datagram was answered by "nobody receives here".

    Attributes:
        raw: the socket.
        recvfrom: takes a datagram of so many bytes at most, and where it came from; or raises what
            the system raises.
    """

    __slots__ = (
        "_loop",
        "_on_readable",
        "_on_unreachable",
        "_on_writable",
        "_renewing",
        "raw",
        "recvfrom",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        raw: socket.socket,
        on_unreachable: Callable[[OSError], None],
    ) -> None:
        self._loop = loop
        self.raw: socket.socket = raw
        self.recvfrom: Callable[[int], tuple[bytes, SocketAddress]] = raw.recvfrom
        self._on_unreachable = on_unreachable
        self._on_readable: Callable[[], None] | None = None
        self._on_writable: Callable[[], None] | None = None
        self._renewing = False

    def watch_readable(self, call: Callable[[], None]) -> None:
        """Have the event loop call this while there is something to receive."""
        self._loop.add_reader(self.raw, call)
        self._on_readable = call

    def unwatch_readable(self) -> None:
        """Undo `watch_readable`."""
        if self._on_readable is not None:
            self._on_readable = None
            self._loop.remove_reader(self.raw)

    def watch_writable(self, call: Callable[[], None]) -> None:
        """Have the event loop call this while there is room for another datagram."""
        self._loop.add_writer(self.raw, call)
        self._on_writable = call

    def unwatch_writable(self) -> None:
        """Undo `watch_writable`."""
        if self._on_writable is not None:
            self._on_writable = None
            self._loop.remove_writer(self.raw)

    def unreachable(self, error: OSError) -> None:
        """Tell of an error that is about an earlier datagram, and watch the socket anew.

        uvloop, having seen an error, ends the watch without a word.
        """
        self._on_unreachable(error)
        if not self._renewing:
            self._renewing = True
            self._loop.call_soon(self._renew)

    def _renew(self) -> None:
        self._renewing = False
        if self._on_readable is not None:
            self._loop.remove_reader(self.raw)
            self._loop.add_reader(self.raw, self._on_readable)
        if self._on_writable is not None:
            self._loop.remove_writer(self.raw)
            self._loop.add_writer(self.raw, self._on_writable)

    async def resolve(self, address: Address) -> Address:
        """Look up the name in `address`, for this socket's family.

        Raises:
            OSError: the name is not known, or has no address of this family.
        """
        _, name = await resolve(address, self.raw.family)
        return address_of(name)

    def close(self) -> None:
        """End the watch, and release the socket."""
        self.unwatch_readable()
        self.unwatch_writable()
        self.raw.close()


def largest_datagram(family: int) -> int:
    """How many bytes a datagram can have, for sockets of `family`."""
    return LARGEST_IPV6 if family == socket.AF_INET6 else LARGEST_IPV4


def largest_segment(sock: socket.socket) -> int:
    """Up to which size datagrams can be sent several by one call; 0 where that cannot be."""
    if sys.platform != "linux":
        return 0
    try:
        # Where the system does not know it, it would send all of them as one datagram.
        sock.getsockopt(SOL_UDP, UDP_SEGMENT)
    except OSError:  # pragma: no cover - Linux before 4.18
        return 0
    return LARGEST_IPV4


def lost_datagrams(sock: socket.socket) -> int | None:
    """How many datagrams the system has dropped at this socket; None where it does not tell."""
    if sys.platform != "linux":  # pragma: no cover - other systems
        return None
    return int(MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))[8])


async def _local(
    address: Address | None, family: socket.AddressFamily, options: DatagramOptions
) -> tuple[socket.AddressFamily, SocketAddress, bool]:
    """What to bind to, and whether the socket is for IPv4 and IPv6."""
    if address is not None and address.host:
        family, local = await resolve(address, family)
        return family, local, options.dual_stack and local[0] == "::"
    if family == socket.AF_UNSPEC:
        dual_stack = options.dual_stack and socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual_stack else socket.AF_INET
    port = 0 if address is None else address.port
    host = "::" if family == socket.AF_INET6 else "0.0.0.0"
    return family, (host, port), options.dual_stack and family == socket.AF_INET6


def _set_options(
    sock: socket.socket, options: DatagramOptions, *, dual_stack: bool, bound: bool = False
) -> None:
    def switch(option: int) -> None:
        sock.setsockopt(socket.SOL_SOCKET, option, 1)

    if options.reuse_address and not bound:
        switch(socket.SO_REUSEADDR)
    if options.broadcast:
        switch(socket.SO_BROADCAST)
    if options.receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer)
    if options.send_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer)
    if sock.family == socket.AF_INET6 and not bound:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual_stack)
    set_multicast(
        sock,
        ttl=options.multicast_ttl,
        loop=options.multicast_loop,
        interface=interface_index(options.multicast_interface),
        dual_stack=dual_stack,
    )
