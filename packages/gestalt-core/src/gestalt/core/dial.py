"""Connecting a socket to the fastest of a host's addresses."""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain, zip_longest
from typing import Any

from .forks import keep_from_children

ATTEMPT_DELAY = 0.25
"""How long the next address waits for the one before it, in seconds (RFC 8305, section 5)."""


async def dial(
    loop: asyncio.AbstractEventLoop,
    host: str,
    port: int,
    *,
    order: Callable[[Any], float] | None = None,
) -> socket.socket:
    """Connect a socket, trying the host's addresses in a staggered race.

    The event loops differ in what they know of RFC 8305 (happy eyeballs): uvloop has none of it.
    There is no deadline: the caller sets one for all of it.

    Args:
        order: gives a rank to a socket address; those of a lower one are tried first.

    Raises:
        OSError: there is no such host, or none of its addresses could be connected to. With
            several, it is an OSError that names each one's failure.
    """
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    targets = _interleave([(info[0], info[4]) for info in infos])
    if order is not None:
        targets.sort(key=lambda target: order(target[1]))
    return await race(loop, targets)


async def race(
    loop: asyncio.AbstractEventLoop, addresses: Iterable[tuple[int, Any]]
) -> socket.socket:
    """Connect a socket to the first of these addresses that answers; as `dial` otherwise.

    Args:
        addresses: pairs of an address family and a socket address.
    """
    targets = deque(addresses)
    failures: list[OSError] = []
    attempts: set[asyncio.Task[socket.socket]] = set()
    try:
        while targets or attempts:
            if targets:
                # Not by the loop's factory: an eager one would run it before it is held.
                connecting = _connect(loop, *targets.popleft())
                attempts.add(asyncio.Task(connecting, loop=asyncio.get_running_loop()))
            done, _ = await asyncio.wait(
                attempts,
                timeout=ATTEMPT_DELAY if targets else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                error = attempt.exception()
                if error is None:
                    # The others, of which some may have succeeded in the same turn, are closed.
                    attempts.remove(attempt)
                    return attempt.result()
                if not isinstance(error, OSError):
                    raise error
                attempts.remove(attempt)
                failures.append(error)
    finally:
        for attempt in attempts:
            attempt.add_done_callback(_close_loser)
            attempt.cancel()
    if not failures:
        raise OSError("the name has no address")
    raise OSError(failures[0].errno, "; ".join(failure.strerror or "" for failure in failures))


async def _connect(loop: asyncio.AbstractEventLoop, family: int, target: Any) -> socket.socket:
    # The event loops turn off Nagle's algorithm only where the protocol is said outright.
    protocol = socket.IPPROTO_TCP if family in (socket.AF_INET, socket.AF_INET6) else 0
    connecting = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        keep_from_children(connecting.fileno())
        connecting.setblocking(False)
        await loop.sock_connect(connecting, target)
    except BaseException as error:
        connecting.close()
        if isinstance(error, OSError):
            host = target[0] if isinstance(target, tuple) else target
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise OSError(error.errno, f"{host}: {reason}") from error
        raise
    return connecting


def _close_loser(attempt: "asyncio.Task[socket.socket]") -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _interleave(targets: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Alternate the address families, beginning with the one that is preferred."""
    first = [target for target in targets if target[0] == targets[0][0]]
    other = [target for target in targets if target[0] != targets[0][0]]
    return [target for target in chain(*zip_longest(first, other)) if target is not None]
