"""Connecting a socket to an address of any kind."""

import asyncio
import errno
import os
import socket
import sys

from gestalt.core.dial import dial as dial_host
from gestalt.core.dial import race
from gestalt.net.address import Address


async def dial(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    """Connect a socket; of a host with several addresses, to the one that answers first.

    Raises:
        OSError: there is no such host, or none of its addresses could be connected to. With
            several, it is an OSError that names each one's failure.
    """
    if address.scheme == "unix":
        if not hasattr(socket, "AF_UNIX"):
            raise OSError(
                errno.EAFNOSUPPORT, f"{address}: this system has no unix sockets for Python"
            )
        return await race(loop, [(socket.AF_UNIX, address.path)])
    return await dial_host(loop, address.host, address.port)


def let_go(sock: socket.socket) -> None:
    """Close a socket of which no connection came, if that is not done yet.

    uvloop closes the descriptor below it: the number may be another one's in the next turn.
    """
    if sys.platform == "win32":  # pragma: no cover - Windows
        # Where there is no uvloop, either, a socket is no descriptor.
        sock.close()
        return
    try:
        os.fstat(sock.fileno())
    except OSError:
        sock.detach()
    else:
        sock.close()
