"""What a peer may cost."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a peer may cost: immutable, shared by any number of endpoints.

    The size of a message is limited by the framing, and what it may grow to by the codec. Timeouts
    are looked at now and then, so that each may take up to an eighth longer. None means no limit.

    Args:
        max_peers: how many peers a server has at a time, those in their TLS handshake included;
            it closes further ones at once.
        send_buffer: how many bytes may wait to be sent to a peer before `send` waits, too.
        idle_timeout: how long a peer may neither send a message nor take one, in seconds.
        message_timeout: how long a message may take from its first byte to its last, in seconds.
        stall_timeout: how long a peer may take nothing while something waits for it, in seconds.
        handshake_timeout: how long a TLS handshake may take, in seconds.
        close_timeout: how long the last bytes of a connection may take, in seconds.
        keepalive: after how much silence the system probes a TCP link, in seconds; after three
            probes without an answer, half as long again, the link is lost.

    Raises:
        ValueError: a limit is not positive.
    """

    max_peers: int | None = 10_000
    send_buffer: int = 64 * 1024
    idle_timeout: float | None = None
    message_timeout: float | None = 60.0
    stall_timeout: float | None = 60.0
    handshake_timeout: float = 10.0
    close_timeout: float = 5.0
    keepalive: float | None = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not value > 0:
                raise ValueError(f"{field.name} must be positive, got {value}")
