"""A message as a broker delivers it."""

from .properties import Properties
from .strings import decode_short_string


class Delivery:
    """A message as the broker handed it over.

    Attributes:
        tag: its number on its channel.
        redelivered: it was delivered before, and not acknowledged.
        exchange: the exchange that it was published to.
        routing_key: the routing key that it was published with.
        properties: its properties.
        body: its body.
        header: its properties as they came, encoded.
        unreadable: why its headers cannot be read, None if they can.
        method: of one that a consumer got, the basic.deliver that announced it.
    """

    __slots__ = (
        "body",
        "exchange",
        "header",
        "method",
        "properties",
        "redelivered",
        "routing_key",
        "tag",
        "unreadable",
    )

    method: bytes

    def __init__(
        self,
        tag: int,
        redelivered: bool,
        exchange: str,
        routing_key: str,
        properties: Properties,
        body: bytes,
    ) -> None:
        self.tag = tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.routing_key = routing_key
        self.properties = properties
        self.body = body
        self.header = b""
        self.unreadable: str | None = None

    @property
    def consumer_tag(self) -> str | None:
        """The consumer that it came to; None for one that came otherwise."""
        # Set where there is one alone, for the sake of the others' speed.
        method: bytes = getattr(self, "method", b"")
        return decode_short_string(method, 4)[0] if method else None


class Got(Delivery):
    """A message that was asked for.

    Attributes:
        left: how many were left in the queue.
    """

    __slots__ = ("left",)

    left: int
