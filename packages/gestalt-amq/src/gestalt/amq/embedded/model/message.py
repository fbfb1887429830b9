"""Messages as the broker holds them, and their places in a queue."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from gestalt.amq.wire import (
    CONTENT_HEADER,
    AmqpError,
    FieldError,
    FieldValue,
    Properties,
    content_header,
    encode_short_string,
    read_properties,
    split_headers,
)
from gestalt.amq.wire.decoder import Content

# What a message in a queue costs beside its body, roughly; so that empty messages count, too.
OVERHEAD = 400

# Larger headers are read anew each time, in bytes: decoded, they take up to a hundred times more.
_MAX_REMEMBERED = 256

_TEN_YEARS = 315_360_000_000
_INTEGER = re.compile("[+-]?[0-9]+")


class Message:
    """A published message; immutable, shared by all queues that it is routed to.

    Attributes:
        exchange: the name of the exchange that it was published to.
        routing_keys: the routing key, then those of the headers CC and BCC.
        header: the payload of its header frame.
        body: its body.
        expiration: its own time to live in seconds, or None.
        priority: its priority, or None where it says nothing of it.
        address: the exchange and the routing key as short strings, as a delivery carries them.
        size: what it costs, in bytes.
    """

    __slots__ = (
        "address",
        "body",
        "exchange",
        "expiration",
        "header",
        "priority",
        "routing_keys",
        "size",
    )

    def __init__(
        self,
        exchange: str,
        routing_keys: tuple[str, ...],
        header: bytes,
        body: bytes,
        properties: Properties,
    ) -> None:
        # What messages in a row share is kept once.
        self.exchange, self.routing_keys, self.address = _names(exchange, routing_keys)
        self.header = header
        self.body = body
        self.expiration = _expiration(properties)
        self.priority = properties.priority
        self.size = OVERHEAD + len(header) + len(body)

    @property
    def properties(self) -> Properties:
        """What the header says, read anew each time: decoded, it would cost several times more."""
        return read_properties(self.header)


class DeadMessage(Message):
    """A message as a dead letter exchange gets it: its headers tell of its deaths."""

    __slots__ = ()


class Entry:
    """A message's place in one queue.

    Attributes:
        message: the message.
        position: its number in the queue, which is ascending.
        deadline: when it expires, on the broker's clock, or None.
        redelivered: it was delivered before, and came back.
        returns: how often it came back, such that it counts against a delivery limit.
        acquired: how often it came back in all.
    """

    __slots__ = ("acquired", "deadline", "message", "position", "redelivered", "returns")

    def __init__(self, message: Message, position: int, deadline: float | None) -> None:
        self.message = message
        self.position = position
        self.deadline = deadline
        self.redelivered = False
        self.returns = 0
        self.acquired = 0


@lru_cache(maxsize=1000)
def _names(exchange: str, routing_keys: tuple[str, ...]) -> tuple[str, tuple[str, ...], bytes]:
    """The same, each always the same object, and the address of a delivery."""
    address = encode_short_string(exchange) + encode_short_string(routing_keys[0])
    return exchange, routing_keys, address


class Receiver:
    """Makes messages of what a client publishes on a channel."""

    __slots__ = ("_header", "_properties")

    def __init__(self) -> None:
        self._header = b""
        self._properties = Properties()

    def receive(
        self, exchange: str, routing_key: str, content: Content, body: bytes
    ) -> tuple[Message, Properties]:
        """Return the message that a client publishes, and its properties.

        The header BCC is taken out, since no receiver may see it.

        Raises:
            AmqpError: its properties are malformed, or not what the broker can work with.
        """
        header, properties = self._read(content.header)
        keys: tuple[str, ...] = (routing_key,)
        headers = properties.headers
        if headers is not None and ("CC" in headers or "BCC" in headers):
            keys += _copies(headers.get("CC"), "CC") + _copies(headers.get("BCC"), "BCC")
            if "BCC" in headers:
                entries = header_entries(header)
                del entries["BCC"]
                header, properties = with_headers(header, properties, entries)
        return Message(exchange, keys, header, body, properties), properties

    def _read(self, header: bytes) -> tuple[bytes, Properties]:
        # Messages in a row mostly share their properties: they are read and kept once.
        if header == self._header:
            return self._header, self._properties
        try:
            properties = read_properties(header)
        except FieldError as error:
            raise AmqpError("SYNTAX_ERROR", str(error)) from error
        if len(header) <= _MAX_REMEMBERED:
            self._header, self._properties = header, properties
        return header, properties


def header_entries(header: bytes) -> dict[str, FieldValue]:
    """Return the headers of a message, each still encoded."""
    return {**split_headers(header[CONTENT_HEADER.size :])}


def with_headers(
    header: bytes, properties: Properties, entries: Mapping[str, FieldValue]
) -> tuple[bytes, Properties]:
    """Return a header frame's payload and the properties with these headers in place of others."""
    body_size = int.from_bytes(header[4:12], "big")
    payload = content_header(replace(properties, headers=entries), body_size)
    return payload, read_properties(payload)


def with_counts(message: Message, counts: Mapping[str, FieldValue]) -> bytes:
    """Return the header frame's payload of the message with these headers as well."""
    entries = {**header_entries(message.header), **counts}
    return with_headers(message.header, message.properties, entries)[0]


def with_reply_to(message: Message, address: str) -> Message:
    """Return the message with another reply address."""
    properties = replace(message.properties, reply_to=address)
    header, properties = with_headers(message.header, properties, header_entries(message.header))
    return Message(message.exchange, message.routing_keys, header, message.body, properties)


def _copies(value: FieldValue, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise AmqpError(
            "PRECONDITION_FAILED", f"invalid message: the header {name} must be an array"
        )
    keys = [key for key in value if isinstance(key, str)]
    if len(keys) != len(value):
        raise AmqpError(
            "PRECONDITION_FAILED", f"invalid message: the header {name} must hold strings only"
        )
    return tuple(keys)


def _expiration(properties: Properties) -> float | None:
    text = properties.expiration
    if text is None:
        return None
    match = _INTEGER.match(text)
    if match is None or match.end() != len(text):
        problem = "no_integer" if match is None else f'{{leftover_string,"{text[match.end() :]}"}}'
        raise AmqpError("PRECONDITION_FAILED", f"invalid expiration '{text}': {problem}")
    # More digits than that are no time, whatever they are.
    milliseconds = int(text[:40])
    if milliseconds < 0:
        raise AmqpError(
            "PRECONDITION_FAILED",
            f"invalid expiration '{text}': {{value_negative,{milliseconds}}}",
        )
    if milliseconds > _TEN_YEARS:
        raise AmqpError(
            "PRECONDITION_FAILED",
            f"invalid expiration '{text}': {{value_too_large,{milliseconds}}}",
        )
    return milliseconds / 1000
