"""Multicast groups of a socket, for IPv4 and IPv6."""

import socket
import struct
import sys

from gestalt.net.errors import AddressError

# Linux only, and not in the socket module: include/uapi/linux/in.h and in6.h.
IP_MULTICAST_ALL = 49
IPV6_MULTICAST_ALL = 29


def packed_group(group: str) -> bytes | None:
    """The bytes of a multicast group's address, 4 or 16 of them; None for any other address."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            packed = socket.inet_pton(family, group.partition("%")[0])
        except OSError:
            continue
        multicast = 224 <= packed[0] < 240 if family == socket.AF_INET else packed[0] == 255
        return packed if multicast else None
    return None


def interface_index(interface: str | int | None) -> int:
    """The number of a network interface; 0, the system's choice, for None.

    Raises:
        AddressError: there is no interface of this name.
    """
    if interface is None:
        return 0
    if isinstance(interface, int):
        return interface
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        names = ", ".join(name for _, name in socket.if_nameindex())
        raise AddressError(f"{interface!r} is no network interface; there are {names}") from None


def change_membership(sock: socket.socket, group: str, interface: int, *, join: bool) -> None:
    """Join or leave a group.

    Args:
        sock: the socket.
        group: the group's address.
        interface: the number of the interface to receive it from; 0 leaves it to the system.
        join: whether to join; otherwise leave.

    Raises:
        AddressError: it is no multicast group, or an IPv6 one for an IPv4 socket.
        OSError: the system refused.
    """
    packed = packed_group(group)
    if packed is None:
        raise AddressError(f"{group!r} is the address of no multicast group")
    if len(packed) == 4:
        option = socket.IP_ADD_MEMBERSHIP if join else socket.IP_DROP_MEMBERSHIP
        sock.setsockopt(socket.IPPROTO_IP, option, _request(packed, interface))
        return
    if sock.family != socket.AF_INET6:
        raise AddressError(f"{group!r} is an IPv6 group, but the endpoint's socket is an IPv4 one")
    option = socket.IPV6_JOIN_GROUP if join else socket.IPV6_LEAVE_GROUP
    sock.setsockopt(socket.IPPROTO_IPV6, option, packed + struct.pack("@I", interface))


def set_multicast(
    sock: socket.socket, *, ttl: int | None, loop: bool, interface: int, dual_stack: bool
) -> None:
    """Say how a socket sends to groups, and that it receives from those alone that it has joined.

    Args:
        sock: the socket.
        ttl: through how many networks datagrams may go; None leaves it to the system, which has 1.
        loop: whether this host receives them, too.
        interface: the number of the interface to send from; 0 leaves it to the system.
        dual_stack: whether an IPv6 socket carries IPv4, too.
    """
    linux = sys.platform == "linux"
    if sock.family == socket.AF_INET or (dual_stack and linux):
        if ttl is not None:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, loop)
        if interface:
            sock.setsockopt(
                socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _request(bytes(4), interface)
            )
        if linux:
            sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
    if sock.family == socket.AF_INET6:
        if ttl is not None:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, loop)
        if interface:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface)
        if linux:  # pragma: no branch - other systems
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)


def _request(group: bytes, interface: int) -> bytes:
    """A group, if any, and the number of an interface, as the system takes them."""
    if sys.platform == "win32":  # pragma: no cover - Windows
        # An interface's number stands for its address: 0.0.0.1 (Winsock, IP_ADD_MEMBERSHIP and
        # IP_MULTICAST_IF).
        number = struct.pack("!I", interface)
        return group + number if any(group) else number
    return struct.pack("@4s4si", group, bytes(4), interface)
