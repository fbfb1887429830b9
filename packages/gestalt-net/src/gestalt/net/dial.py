"""Connecting a socket to the fastest of a host's addresses."""

import asyncio
import os
import socket
from collections import deque
from itertools import chain, zip_longest
from typing import Any

from gestalt.core import keep_from_children

from .address import Address

ATTEMPT_DELAY = 0.25
"""How long the next address waits for the one before it, in seconds (RFC 8305, section 5)."""


async def dial(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    """Connect a socket, trying the host's addresses in a staggered race.

    The event loops differ in what they know of RFC 8305 (happy eyeballs): uvloop has none of it.

    Raises:
        OSError: there is no such host, or none of its addresses could be connected to. With
            several, it is an OSError that names each one's failure.
    """
    if address.scheme == "unix":
        return await _connect(loop, socket.AF_UNIX, address.path)
    infos = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    targets = deque(_interleave([(info[0], info[4]) for info in infos]))
    failures: list[OSError] = []
    attempts: set[asyncio.Task[socket.socket]] = set()
    try:
        while targets or attempts:
            if targets:
                attempts.add(asyncio.create_task(_connect(loop, *targets.popleft())))
            done, _ = await asyncio.wait(
                attempts,
                timeout=ATTEMPT_DELAY if targets else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                attempts.remove(attempt)
                try:
                    return attempt.result()
                except OSError as error:
                    failures.append(error)
    finally:
        for attempt in attempts:
            attempt.add_done_callback(_close_loser)
            attempt.cancel()
    raise OSError(failures[0].errno, "; ".join(failure.strerror or "" for failure in failures))


def let_go(sock: socket.socket) -> None:
    """Close a socket of which no connection came, if that is not done yet.

    uvloop closes the descriptor below it: the number may be another one's in the next turn.
    """
    try:
        os.fstat(sock.fileno())
    except OSError:
        sock.detach()
    else:
        sock.close()


async def _connect(loop: asyncio.AbstractEventLoop, family: int, target: Any) -> socket.socket:
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        keep_from_children(connecting.fileno())
        connecting.setblocking(False)
        await loop.sock_connect(connecting, target)
    except BaseException as error:
        connecting.close()
        if isinstance(error, OSError):
            host = target[0] if isinstance(target, tuple) else target
            raise OSError(error.errno, f"{host}: {os.strerror(error.errno or 0)}") from error
        raise
    return connecting


def _close_loser(attempt: "asyncio.Task[socket.socket]") -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _interleave(targets: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Alternate the address families, beginning with the one that is preferred."""
    if not targets:
        return []
    first = [target for target in targets if target[0] == targets[0][0]]
    other = [target for target in targets if target[0] != targets[0][0]]
    return [target for target in chain(*zip_longest(first, other)) if target is not None]
