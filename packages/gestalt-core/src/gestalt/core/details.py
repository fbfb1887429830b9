"""What a component tells of itself besides numbers, for people who look into the process."""

import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NamedTuple, TypeAlias, TypeVar

from .calling import RAISED
from .component import Component
from .marks import Mark
from .reporting import Reports

MOST = 200
"""How many rows are read of one component, unless more are asked for."""


class PeerRow(NamedTuple):
    """Somebody that a component is connected with.

    Args:
        address: where that is, or how it is called.
        age: for how long it has been connected, in seconds; None where that is not known.
        received: messages that came from it.
        sent: messages that went there.
        bytes_received: what was read from it.
        bytes_sent: what was written there.
        waiting: bytes that wait to be sent there.
        note: what else there is to know, in a few words.
    """

    address: str
    age: float | None = None
    received: int | None = None
    sent: int | None = None
    bytes_received: int | None = None
    bytes_sent: int | None = None
    waiting: int | None = None
    note: str = ""


class QueueRow(NamedTuple):
    """Something in which work waits: a queue, a backlog, a window.

    Args:
        name: how it is called.
        waiting: how much waits to be begun.
        active: how much is begun and not done.
        bound: how much there may be; None where there is no bound, or it is somebody else's.
        note: what else there is to know, in a few words, such as what keeps it from its work.
    """

    name: str
    waiting: int = 0
    active: int = 0
    bound: int | None = None
    note: str = ""


class TimerRow(NamedTuple):
    """Something that is to happen at a time.

    Args:
        name: how it is called.
        schedule: when it comes due, as it was asked for: "every 1 s".
        due: in how many seconds it comes due; None while it does not.
        active: whether it is under way.
        note: what else there is to know, in a few words.
    """

    name: str
    schedule: str = ""
    due: float | None = None
    active: bool = False
    note: str = ""


Row: TypeAlias = PeerRow | QueueRow | TimerRow

F = TypeVar("F", bound=Callable[[Any], Iterable[Row]])

_mark = Mark("details")
_reports = Reports(logging.getLogger("gestalt.core"))


def details(method: F) -> F:
    """Have `read` call the decorated method of a component, for what it has to tell.

        class Warehouse(Component):
            @details
            def _orders(self) -> Iterable[Row]:
                yield QueueRow("orders", waiting=len(self.orders), bound=1000)

    It is called in the event loop while somebody looks, about once a second, and must not wait. Of
    a generator, no more is read than is shown. The method of a subclass takes the place of none of
    its base classes, whatever it is called: both are asked.

    Raises:
        TypeError: it is no function.
    """
    _mark.put(method)
    return method


def read(component: Component, *, most: int = MOST) -> list[Row]:
    """What a component tells of itself, up to `most` rows from each method.

    It is called in the component's event loop. It never raises: a method that does is told of in
    the log, and what the others tell is given.
    """
    found: list[Row] = []
    for method in _mark.methods_of(type(component)):
        try:
            found.extend(islice(method(component), most))
        except RAISED as error:
            kind = type(component).__name__
            _reports.log(f"a component of type {kind}: its details cannot be read", error)
    return found
