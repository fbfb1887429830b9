"""What a datagram endpoint counts."""

from dataclasses import dataclass

REASONS = (
    "truncated",
    "malformed",
    "too_large",
    "undecodable",
    "disallowed",
    "unhandled",
    "overflowed",
    "abandoned",
)
"""The counters of received datagrams that were dropped."""


@dataclass(slots=True)
class DatagramStats:
    """Counters of a datagram endpoint, since it was made.

    Attributes:
        received: datagrams taken from the system, whatever became of them.
        sent: datagrams given to the system.
        truncated: dropped, since they end within a frame.
        malformed: dropped, since they are not a frame, or more than one.
        too_large: dropped, since they are larger than `max_size`, of the endpoint or the framing.
        undecodable: dropped, since the codec cannot decode them.
        disallowed: dropped, since the codec does not allow their format or compression.
        unhandled: dropped, since no handler takes such a message.
        overflowed: dropped, since the backlog was full.
        abandoned: dropped, since the endpoint stopped before they were handled.
        unreachable: how often a host has answered that nobody receives there.
        handler_errors: exceptions raised by handlers.
        failed: messages whose handler raised.
        discarded: their handler has dropped them, by a `Discard`.
        unreported: errors that `on_error` was not given, since it was too slow.
        received_bytes: of all datagrams that were received.
        sent_bytes: of all datagrams that were sent.
    """

    received: int = 0
    sent: int = 0
    truncated: int = 0
    malformed: int = 0
    too_large: int = 0
    undecodable: int = 0
    disallowed: int = 0
    unhandled: int = 0
    overflowed: int = 0
    abandoned: int = 0
    unreachable: int = 0
    handler_errors: int = 0
    failed: int = 0
    discarded: int = 0
    unreported: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0

    @property
    def dropped(self) -> int:
        """How many received datagrams were dropped, by any cause."""
        return (
            self.truncated
            + self.malformed
            + self.too_large
            + self.undecodable
            + self.disallowed
            + self.unhandled
            + self.overflowed
            + self.abandoned
        )
