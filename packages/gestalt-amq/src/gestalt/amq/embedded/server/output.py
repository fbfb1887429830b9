"""The way of a channel's methods into the bytes of its connection."""

from typing import TYPE_CHECKING

from gestalt.amq.wire import content_frames
from gestalt.amq.wire.codec import encode_deliver, encode_method, method_frame
from gestalt.amq.wire.methods import Method

if TYPE_CHECKING:
    from .connection import Connection


class ChannelOutput:
    """Encodes what the model sends on one channel."""

    __slots__ = ("_connection", "_number")

    def __init__(self, connection: "Connection", number: int) -> None:
        self._connection = connection
        self._number = number

    def send(self, method: Method) -> None:
        """Sends a method without content."""
        self._connection.write(method_frame(self._number, method))

    def send_content(self, method: Method, header: bytes, body: bytes) -> None:
        """Sends a method with a message."""
        connection = self._connection
        payload = encode_method(method)
        connection.write(content_frames(self._number, payload, header, body, connection.frame_max))

    def deliver(
        self,
        prefix: bytes,
        delivery_tag: int,
        redelivered: bool,
        address: bytes,
        header: bytes,
        body: bytes,
    ) -> None:
        """Sends a delivery, from parts that are encoded already."""
        connection = self._connection
        payload = encode_deliver(prefix, delivery_tag, redelivered, address)
        connection.write(content_frames(self._number, payload, header, body, connection.frame_max))
