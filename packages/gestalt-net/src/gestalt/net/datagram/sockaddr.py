"""Socket addresses: what the operating system calls an address, and back."""

import asyncio
import socket
from typing import Any, TypeAlias

from gestalt.net.address import Address
from gestalt.net.errors import AddressError

SocketAddress: TypeAlias = tuple[Any, ...]
"""An address as the socket module has it."""


async def resolve(
    address: Address, family: socket.AddressFamily
) -> tuple[socket.AddressFamily, SocketAddress]:
    """What the system calls `address`, a name's first one, for sockets of `family`.

    Raises:
        OSError: the name is not known, or has no address of this family; it names the address.
    """
    loop = asyncio.get_running_loop()
    try:
        infos = await loop.getaddrinfo(
            address.host,
            address.port,
            family=family,
            type=socket.SOCK_DGRAM,
            flags=socket.AI_V4MAPPED if family == socket.AF_INET6 else 0,
        )
    except socket.gaierror as error:
        text = f"{address} cannot be looked up: {error.strerror}"
        raise socket.gaierror(error.errno, text) from error
    return socket.AddressFamily(infos[0][0]), infos[0][4]


def is_name(host: str) -> bool:
    """Whether a host has to be looked up: it is neither an IP address nor missing."""
    try:
        socket.getaddrinfo(host or "::", 0, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return True
    return False


def sockaddr_of(address: Address, family: int) -> SocketAddress:
    """What the system calls `address`, whose host is no name, for sockets of `family`.

    Raises:
        AddressError: the host is a name, is missing, or is not of this family.
    """
    host, port = address.host, address.port
    if not host or not port:
        raise AddressError(f"{address} lacks a host or a port to send to")
    if is_name(host):
        raise AddressError(f"{host!r} is a name, which takes time to look up: see resolve")
    flags = socket.AI_NUMERICHOST
    if family == socket.AF_INET6:
        flags |= socket.AI_V4MAPPED
    try:
        return socket.getaddrinfo(host, port, family, socket.SOCK_DGRAM, flags=flags)[0][4]
    except socket.gaierror:
        raise AddressError(f"{host!r} is no IPv4 address, which the socket needs") from None


def address_of(name: SocketAddress) -> Address:
    """The address that the system calls `name`; IPv4 within IPv6 is shown as what it is."""
    host: str = name[0]
    if host.startswith("::ffff:") and "." in host:
        host = host[7:]
    elif len(name) == 4 and name[3]:
        host = f"{host.partition('%')[0]}%{name[3]}"
    return Address("udp", host, name[1])
