"""From a datagram's payload to a message."""

from collections.abc import Callable
from typing import Any, TypeAlias

from gestalt.net.address import Address
from gestalt.net.wire import Wire

from .message import DatagramMessage, Replier

Decode: TypeAlias = Callable[[bytes, int | None, Address], DatagramMessage[Any] | None]
"""Takes what a `Received` is; gives the message, or None where it is none, which has been told."""


def decoder(wire: Wire, endpoint: Replier, drop: Callable[[Address, Exception], None]) -> Decode:
    """What decodes an endpoint's datagrams.

    Args:
        wire: how messages are put into datagrams.
        endpoint: what replies are sent by.
        drop: is told who sent a datagram that the codec refuses, and why it does.
    """
    decode = wire.decode
    if decode is None:

        def wrap(payload: bytes, type_id: int | None, source: Address) -> DatagramMessage[Any]:
            return DatagramMessage(payload, type_id, source, endpoint)

        return wrap

    def decode_payload(
        payload: bytes, type_id: int | None, source: Address
    ) -> DatagramMessage[Any] | None:
        try:
            return DatagramMessage(decode(payload, type_id), type_id, source, endpoint)
        except Exception as error:
            drop(source, error)
            return None

    return decode_payload
