"""What a peer may cost."""

from dataclasses import dataclass, field, fields

try:
    import resource
except ImportError:  # Windows has no such limits.
    resource = None  # type: ignore[assignment]

MOST_PEERS = 10_000
"""How many peers a server has by default, where the system lets it."""

SPARE = 32
"""How many descriptors, and an eighth of all, are left to the rest of the application."""


def most_peers() -> int:
    """How many peers this process can have: a part of the descriptors that it may open."""
    if resource is None:
        return MOST_PEERS
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:  # pragma: no cover - macOS
        return MOST_PEERS
    return max(1, min(MOST_PEERS, descriptors - max(SPARE, descriptors // 8)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a peer may cost: immutable, shared by any number of endpoints.

    The size of a message is limited by the framing, and what it may grow to by the codec. Timeouts
    are looked at now and then, so that each may take up to an eighth longer. None means no limit.

    Args:
        max_peers: how many peers a server has at a time; it closes further ones at once. Those in
            their TLS handshake count, and those that have gone while something of theirs is
            handled, or a callback about them runs. By default 10,000, or what this process may open
            as descriptors less a reserve (an eighth, at least 32), if that is less.
        receive_buffer: how many bytes the messages of all peers of an endpoint may take while they
            arrive, beyond 64 KiB each. A larger message gets its room when it has begun, or its
            peer is read no more until there is some.
        send_buffer: how many bytes may wait to be sent to a peer before `send` waits, too.
        idle_timeout: how long a peer may neither send a message nor take one, in seconds. Time
            during which it is not read, or something of it is handled, does not count.
        first_message_timeout: within how many seconds of its connection a peer has to send its
            first whole message, as where that is a login. Time during which it is not read does
            not count.
        message_timeout: how long a message may take from its first byte to its last, in seconds.
            Time during which its peer is not read does not count. An eighth of it, while other
            peers wait for room.
        stall_timeout: how long a peer may take nothing while something waits for it, in seconds.
        handshake_timeout: how long a TLS handshake may take, in seconds.
        close_timeout: how long the last bytes of a connection may take, in seconds.
        keepalive: after how much silence the system probes a TCP link, in seconds; after three
            probes without an answer, half as long again, the link is lost.

    Raises:
        ValueError: a limit is not positive.
    """

    max_peers: int | None = field(default_factory=most_peers)
    receive_buffer: int | None = 64 * 1024 * 1024
    send_buffer: int = 64 * 1024
    idle_timeout: float | None = None
    first_message_timeout: float | None = None
    message_timeout: float | None = 60.0
    stall_timeout: float | None = 60.0
    handshake_timeout: float = 10.0
    close_timeout: float = 5.0
    keepalive: float | None = 60.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and not value > 0:
                raise ValueError(f"{each.name} must be positive, got {value}")
