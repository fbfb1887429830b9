"""What a stream endpoint counts."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """What all connections of an endpoint have carried, and what of it is not handled yet."""

    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    waiting: int = 0
    in_flight: int = 0


class _Carried:
    """The counters that each connection has of its own; a look at one adds them up."""

    __slots__ = ("_handled", "_traffic")

    def __init__(self) -> None:
        self._traffic: Callable[[], Traffic] = Traffic
        self._handled = 0

    def follow(self, traffic: Callable[[], Traffic]) -> None:
        """Add up what the connections have carried by calling this."""
        self._traffic = traffic

    def _never_less(self, handled: int) -> int:
        self._handled = max(self._handled, handled)
        return self._handled

    @property
    def received(self) -> int:
        """Messages that came, whatever became of them."""
        return self._traffic().received

    @property
    def received_bytes(self) -> int:
        """Bytes that came; with TLS, after decryption."""
        return self._traffic().received_bytes

    @property
    def sent(self) -> int:
        """Messages that were given to the system."""
        return self._traffic().sent

    @property
    def sent_bytes(self) -> int:
        """Bytes that were given to the system; with TLS, before encryption."""
        return self._traffic().sent_bytes


@dataclass(slots=True)
class StreamStats(_Carried):
    """Counters of an endpoint, since it was made.

    Args:
        connected: connections that came up.
        refused: connections closed at once, since there were `max_peers` already, or the system had
            no descriptors left.
        handshakes_failed: connections to a server whose TLS handshake came to nothing.
        faults: connections closed because of what the peer did, or failed to do.
        handler_errors: exceptions raised by handlers and callbacks.
        failed: messages whose handler raised.
        discarded: messages that their handler has dropped, by a `Discard`.
        abandoned: messages that came and were not handled, since what came before was a fault of
            the peer, or since the endpoint stopped.
        dropped: messages of a broadcast that slow peers were not sent.
        unreported: errors that `on_error` was not given, since it was too slow.
    """

    connected: int = 0
    refused: int = 0
    handshakes_failed: int = 0
    faults: int = 0
    handler_errors: int = 0
    failed: int = 0
    discarded: int = 0
    abandoned: int = 0
    dropped: int = 0
    unreported: int = 0

    def __post_init__(self) -> None:
        _Carried.__init__(self)

    @property
    def handled(self) -> int:
        """Messages whose handler succeeded, or that were taken by `async for`."""
        return self.handled_of(self._traffic())

    def handled_of(self, traffic: Traffic) -> int:
        """How many of the messages of this traffic were handled."""
        # Plain handlers are done with what was received: to count what is not costs them nothing.
        left = traffic.waiting + traffic.in_flight + self.failed + self.discarded + self.abandoned
        # A task that has handled one message and gives way to others counts as being at it.
        return self._never_less(traffic.received - left)
