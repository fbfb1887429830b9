"""A message as a broker delivers it."""

from .properties import Properties


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
    """

    __slots__ = (
        "body",
        "exchange",
        "header",
        "properties",
        "redelivered",
        "routing_key",
        "tag",
        "unreadable",
    )

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


class Got(Delivery):
    """A message that was asked for.

    Attributes:
        left: how many were left in the queue.
    """

    __slots__ = ("left",)

    left: int
