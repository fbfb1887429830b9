"""The way of a channel's methods into the bytes of its connection."""

from collections.abc import Callable

from gestalt.amq.wire import content_frames
from gestalt.amq.wire.codec import encode_deliver, encode_method, method_frame
from gestalt.amq.wire.methods import Method


class ChannelOutput:
    """Encodes what the model sends on one channel.

    Args:
        write: takes the bytes.
        number: the channel's number.
        frame_max: the size of the largest frame that the client takes, in bytes.
    """

    __slots__ = ("_frame_max", "_number", "_write")

    def __init__(self, write: Callable[[bytes], None], number: int, frame_max: int) -> None:
        self._write = write
        self._number = number
        self._frame_max = frame_max

    def send(self, method: Method) -> None:
        """Send a method without content."""
        self._write(method_frame(self._number, method))

    def send_content(self, method: Method, header: bytes, body: bytes) -> None:
        """Send a method with a message."""
        payload = encode_method(method)
        self._write(content_frames(self._number, payload, header, body, self._frame_max))

    def deliver(
        self,
        prefix: bytes,
        delivery_tag: int,
        redelivered: bool,
        address: bytes,
        header: bytes,
        body: bytes,
    ) -> None:
        """Send a delivery, from parts that are encoded already."""
        payload = encode_deliver(prefix, delivery_tag, redelivered, address)
        self._write(content_frames(self._number, payload, header, body, self._frame_max))
