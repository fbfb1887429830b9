"""What accompanies an application without being a part of it: probes, a watchdog, a live view."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Literal, Protocol

from gestalt.core import Component
from gestalt.core.numbers import kind_of

Stage = Literal["starting", "running", "stopping"]


class View(Protocol):
    """What an attendant sees of the application, and what it may ask of it."""

    @property
    def state(self) -> Stage:
        """Where the application is in its life."""

    @property
    def components(self) -> list[Component]:
        """The components that are parts of it, in the order of their start."""

    @property
    def errors(self) -> Sequence[BaseException]:
        """What it has failed by so far; each was reported."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that it runs in."""

    def request_stop(self) -> None:
        """Begin the graceful stop, as the first signal does; once it has begun, do nothing."""

    def cut(self) -> None:
        """Cut what drains, as the second signal does."""

    def attend(self, coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `coro` in a task of the attendant's own.

        The stop of the application leaves it alone; after the attendant's `end` it is cancelled.
        An exception that it raises is treated as one of the application's own tasks.
        """


class Attendant:
    """Something that accompanies an application, told of each step in its life.

    All methods do nothing until a subclass fills them in. They are called within the event loop, in
    the order in which the attendants were given; `end` in reverse. An exception that one of them
    raises is reported, and the application stops with status 1.

    The stop of an application cancels all tasks that it knows of. Those that `View.attend` has
    started stay until `end`.
    """

    async def begin(self, view: View) -> None:
        """Called before the first part starts. When it raises, no part starts.

        Args:
            view: the application, to be looked at until `end`.
        """

    def started(self) -> None:
        """All parts run."""

    def stopping(self, seconds: float) -> None:
        """The graceful stop begins; it comes before `started` when the start is interrupted.

        Args:
            seconds: how long it may take, finalizers included.
        """

    def reloading(self) -> None:
        """A reload begins, as SIGHUP asks for it."""

    def reloaded(self) -> None:
        """The reload is over, whether it succeeded or not."""

    async def end(self) -> None:
        """Called last, after the parts and the finalizers; also when `begin` has failed.

        It has a second, or what is left for the stop, and is cancelled then.
        """


def check_attendants(attendants: object) -> list[Attendant]:
    """Give the attendants as a list.

    Raises:
        TypeError: it is not a sequence of attendants.
    """
    if not isinstance(attendants, Sequence):
        raise TypeError(f"attendants must be several of them, got {kind_of(attendants)}")
    for each in attendants:
        if not isinstance(each, Attendant):
            raise TypeError(f"attendants takes attendants, got {kind_of(each)}")
    return list(attendants)
