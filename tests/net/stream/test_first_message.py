"""When time is over for the first message, by a clock that the test turns."""

from collections.abc import Callable
from typing import Any

from gestalt.core import ManualClock
from gestalt.net import LimitExceeded, Limits
from gestalt.net.stream.room import Room
from gestalt.net.stream.timeouts import Timeouts


class Loop:
    """The clock of an event loop, and its timers."""

    def __init__(self) -> None:
        self._clock = ManualClock()
        self.time = self._clock.time

    def call_later(self, delay: float, callback: Callable[[], Any]) -> Any:
        return self._clock.call_at(self.time() + delay, callback)

    def pass_time(self, seconds: float) -> None:
        """In steps, as an event loop that is not held up."""
        for _ in range(round(seconds * 10)):
            self._clock.advance(0.1)


class Quiet:
    """A connection whose peer has sent nothing yet."""

    blocked = busy = False
    message_begun = False
    progress = incomplete = (0, 0)

    def __init__(self) -> None:
        self.heard = False
        self.unread = self.received = 0
        self.paused = 0.0
        self.faults: list[Exception | None] = []

    def reading_time(self, now: float) -> float:
        return now - self.paused

    def abort(self, fault: Exception | None = None) -> None:
        self.faults.append(fault)

    def wait_for_room(self) -> None: ...

    def go_on(self) -> None: ...


def watch(limits: Limits, *connections: Quiet) -> Loop:
    loop: Any = Loop()
    Timeouts(loop, limits, dict(enumerate(connections)), Room(None, None))
    return loop  # type: ignore[no-any-return]


def test_who_sends_no_whole_message_in_time_is_cut_and_nobody_else() -> None:
    silent, early, dripping, late = (Quiet() for _ in range(4))
    dripping.message_begun = True
    loop = watch(Limits(first_message_timeout=5.0), silent, early, dripping, late)
    early.received = 1
    loop.pass_time(4.8)
    late.received = 1
    assert not any(each.faults for each in (silent, early, dripping, late))
    loop.pass_time(1.0)
    for each in (silent, dripping):
        assert isinstance(each.faults[0], LimitExceeded)
        assert str(each.faults[0]) == "it sent no whole message for more than 5.0 s"
    loop.pass_time(3600)
    assert not early.faults
    assert not late.faults


def test_time_in_which_a_peer_is_not_read_does_not_count() -> None:
    peer = Quiet()
    loop = watch(Limits(first_message_timeout=5.0), peer)
    loop.pass_time(1.0)
    peer.paused = 20.0
    loop.pass_time(23.0)
    assert not peer.faults
    loop.pass_time(3.0)
    assert peer.faults


def test_without_the_limit_a_silent_peer_stays() -> None:
    peer = Quiet()
    loop = watch(Limits(), peer)
    loop.pass_time(600)
    assert not peer.faults
