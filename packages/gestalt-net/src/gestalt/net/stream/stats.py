"""What a stream endpoint counts."""

from dataclasses import dataclass


@dataclass(slots=True)
class StreamStats:
    """Counters of an endpoint, since it was made.

    Args:
        connected: connections that came up.
        refused: connections closed at once, since there were `max_peers` already, or the system had
            no descriptors left.
        handshakes_failed: connections to a server whose TLS handshake came to nothing.
        faults: connections closed because of what the peer did, or failed to do.
        handler_errors: exceptions raised by handlers and callbacks.
        discarded: messages that their handler has dropped, by a `Discard`.
        dropped: messages of a broadcast that slow peers were not sent.
        unreported: errors that `on_error` was not given, since it was too slow.
    """

    connected: int = 0
    refused: int = 0
    handshakes_failed: int = 0
    faults: int = 0
    handler_errors: int = 0
    discarded: int = 0
    dropped: int = 0
    unreported: int = 0
