"""Ports that several sockets share, such as those of an application's processes."""

import errno
import socket


def share_port(sock: socket.socket, address: object) -> None:
    """Let other sockets of this user have the same address; each gets a part of what comes.

    Args:
        sock: a socket that is not bound yet.
        address: what it is to be bound to, as errors call it.

    Raises:
        OSError: this system has no such sockets.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise OSError(
            errno.ENOPROTOOPT, f"{address} cannot be shared: this system has no SO_REUSEPORT"
        )
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
