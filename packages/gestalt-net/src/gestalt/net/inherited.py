"""Sockets that this process was started with, by the addresses `fd://3` and `systemd://name`."""

import errno
import os
import socket
import stat
from contextlib import ExitStack

from gestalt.core.activation import handed_over

from .address import Address

SCHEMES = ("fd", "systemd")
"""Those of addresses that stand for such sockets."""


def inherited(address: Address, kind: socket.SocketKind) -> list[socket.socket]:
    """The sockets that an address stands for: copies, which may be closed.

    Args:
        address: `fd://3` is the descriptor of that number, `systemd://name` are those that systemd
            has handed over by that name.
        kind: SOCK_STREAM or SOCK_DGRAM.

    Raises:
        OSError: there is none, or one is no such socket.
    """
    if address.scheme == "fd":
        numbers = [address.port]
    else:
        all_of_them = handed_over()
        numbers = [each.number for each in all_of_them if each.name == address.host]
        if not numbers:
            names = ", ".join(dict.fromkeys(each.name for each in all_of_them))
            there = f"there are {names}" if names else "none was handed over to this process"
            raise OSError(errno.ENOENT, f"{address} names no socket: {there}")
    with ExitStack() as made:
        sockets = [made.enter_context(_copy(number, address)) for number in numbers]
        for number, sock in zip(numbers, sockets, strict=True):
            _check(sock, kind, f"{address}: descriptor {number}")
        made.pop_all()
    return sockets


def _copy(number: int, address: Address) -> socket.socket:
    try:
        is_socket = stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError as error:
        raise OSError(error.errno, f"{address}: descriptor {number} is not open") from None
    if not is_socket:
        raise OSError(errno.ENOTSOCK, f"{address}: descriptor {number} is no socket")
    return socket.socket(fileno=os.dup(number))


def _check(sock: socket.socket, kind: socket.SocketKind, who: str) -> None:
    if sock.type != kind:
        wanted = "listen for streams" if kind == socket.SOCK_STREAM else "receive datagrams"
        raise OSError(errno.EPROTOTYPE, f"{who} cannot {wanted}")
    try:
        sock.getpeername()
    except OSError:
        return
    raise OSError(errno.EISCONN, f"{who} is a connection: its unit needs Accept=no")
