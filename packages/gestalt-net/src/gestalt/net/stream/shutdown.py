"""Ending what a socket does, for all processes that have it."""

import socket
from typing import Any


def shut_down(sock: Any) -> None:
    """End what a socket does in whichever processes have it: closing ends it in this one only.

    None is what an event loop gives for the socket of a transport that it has closed already.
    """
    if sock is None or sock.fileno() < 0:
        return
    descriptor = sock.fileno()
    # What the event loops hand out for their sockets cannot do it, or warns.
    same = socket.socket(sock.family, sock.type, sock.proto, fileno=descriptor)
    try:
        same.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other end was first, or this system knows it for connections only
    finally:
        same.detach()
