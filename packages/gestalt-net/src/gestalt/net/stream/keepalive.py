"""TCP keepalive: the system finds a link that died while nothing was sent."""

import socket
from typing import Protocol

PROBES = 3
"""How many probes may go unanswered before the link counts as lost."""

INTERVALS = 6
"""How many probe intervals make up the silence before the first probe."""

LONGEST = 32_767
"""The longest time that Linux takes, in seconds."""


class Options(Protocol):
    """A socket, or what an event loop gives out in place of it."""

    @property
    def family(self) -> int: ...

    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...


def keep_alive(sock: Options, silence: float | None) -> None:
    """Have the link probed after `silence`, in seconds. Accepted sockets inherit it.

    Source: RFC 9293, section 3.8.4. A system without a setting of its own for each socket probes
    after its own time.
    """
    if silence is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", silence),
        ("TCP_KEEPINTVL", silence / INTERVALS),
        ("TCP_KEEPCNT", PROBES),
    ):
        if hasattr(socket, option):  # pragma: no branch - Windows
            seconds = min(LONGEST, max(1, round(value)))
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
