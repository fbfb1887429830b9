"""Ports that several sockets share, such as those of an application's processes."""

import errno
import os
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


def refusal(error: OSError, *, shared: bool) -> str:
    """Why a socket was not bound, and what to do where several processes want one port.

    Args:
        error: the system's.
        shared: whether `share_port` was called for the socket.
    """
    reason = os.strerror(error.errno or 0)
    if error.errno != errno.EADDRINUSE or not hasattr(socket, "SO_REUSEPORT"):
        return reason
    if shared:
        return f"{reason}; who has it does not share it by reuse_port=True, or is another user"
    return f"{reason}; each of several processes that share it needs reuse_port=True"
