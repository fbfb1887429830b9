"""Sockets that whoever started this process has opened for it: socket activation."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from .forks import keep_from_children

FIRST = 3
"""The number of the first one (sd_listen_fds(3)); those below are the standard streams."""

MOST = 1024
"""How many there can be at most; systemd has fewer."""


class HandedOver(NamedTuple):
    """A descriptor that was handed over, and stays open as long as the process lives.

    Attributes:
        number: of the descriptor.
        name: what the unit calls it, by FileDescriptorName=; "unknown" where it has none.
    """

    number: int
    name: str


# For the process that has looked; a forked child has none.
_found: tuple[int, tuple[HandedOver, ...]] | None = None


def handed_over() -> tuple[HandedOver, ...]:
    """What was handed over to this process, in the order of the unit.

    The first call takes what the environment says of it, and unsets that: the sockets are not for
    the programs that this process starts, nor for its forked children. Source: sd_listen_fds(3).
    """
    global _found
    if _found is None or _found[0] != os.getpid():
        _found = os.getpid(), _take()
    return _found[1]


def describe(sockets: Sequence[HandedOver]) -> dict[str, str]:
    """The environment by which a child hears of all that was handed over to this process.

    It has this process's number, which the child is to replace by its own.
    """
    if not sockets:
        return {}
    names = {each.number: each.name for each in sockets}
    numbers = range(FIRST, max(names) + 1)
    return {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(len(numbers)),
        "LISTEN_FDNAMES": ":".join(names.get(number, "unknown") for number in numbers),
    }


def _take() -> tuple[HandedOver, ...]:
    whose, many, names = (
        os.environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
    )
    if whose != str(os.getpid()) or not (many.isascii() and many.isdigit()):
        return ()
    called = names.split(":") if names else []
    found = []
    for index in range(min(int(many), MOST)):
        number = FIRST + index
        try:
            os.set_inheritable(number, False)
        except OSError:
            continue  # it was promised, and is not there
        keep_from_children(number)
        name = called[index] if index < len(called) else ""
        found.append(HandedOver(number, name or "unknown"))
    return tuple(found)
