"""Messages as a stream keeps them: in the format of AMQP 1.0, which not all headers outlive.

https://www.rabbitmq.com/docs/conversions
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gestalt.amq.wire import (
    CONTENT_HEADER,
    PERSISTENT,
    TRANSIENT,
    AmqpError,
    FieldValue,
    Long,
    Properties,
    RawValue,
    content_header,
    encode_short_string,
)

from .message import DeadMessage, Message, header_entries

# What a record costs beside its body and what it shares with others, roughly, in bytes.
OVERHEAD = 180

_OFFSET = "x-stream-offset"
_FILTER_VALUE = "x-stream-filter-value"
# The name of the offset, before it the size of the table of headers, behind it the type.
_BEFORE_OFFSET = 4 + len(encode_short_string(_OFFSET)) + 1
_ZERO = bytes(8)
# What RabbitMQ writes for a message that is published by itself, beside what is its own.
_ON_DISK = 130

_DECIMAL, _BINARY, _UNSIGNED = b"D", b"x", b"L"
_NESTED = (b"F", b"A")
# Names that are RabbitMQ's own in that format.
_OWN = ("x-basic-", "x-exchange", "x-opt-deaths", "x-routing-key")


class Record:
    """A message in a stream; immutable.

    Attributes:
        address: the exchange and the routing key as short strings, as a delivery carries them.
        body: its body.
        cost: what it costs, in bytes.
        disk_size: about what it would take in a segment of RabbitMQ's, in bytes.
    """

    __slots__ = ("_header", "_place", "address", "body")

    def __init__(self, address: bytes, body: bytes, header: bytes, place: int) -> None:
        self.address = address
        self.body = body
        self._header = header
        # Where in the header the offset is.
        self._place = place

    def header(self, offset: int) -> bytes:
        """Return the payload of the header frame of its delivery."""
        header, place = self._header, self._place
        return b"".join((header[:place], offset.to_bytes(8, "big"), header[place + 8 :]))

    @property
    def cost(self) -> int:
        return OVERHEAD + len(self._header) + len(self.body)

    @property
    def disk_size(self) -> int:
        return _ON_DISK + len(self.address) + len(self._header) + len(self.body)


class Recorder:
    """Makes records of messages; those in a row mostly share their header.

    Args:
        containers: as by RabbitMQ's message containers, which came with 3.13.
        filters: messages have a filter value.
    """

    def __init__(self, *, containers: bool, filters: bool) -> None:
        self._containers = containers
        self._filters = filters
        self._last: tuple[bytes, type[Message]] = (b"", Message)
        self._header = b""
        self._place = 0
        self._value: str | None = None

    def record(self, message: Message) -> tuple[Record, str | None]:
        """Return a message as the stream keeps it, and its filter value.

        Raises:
            AmqpError: it has a header that a stream cannot keep.
        """
        key = message.header, type(message)
        if key != self._last:
            self._read(message)
            self._last = key
        return Record(message.address, message.body, self._header, self._place), self._value

    def _read(self, message: Message) -> None:
        properties = message.properties
        value = self._filter_value(properties.headers) if self._filters else None
        # The offset comes first, where it is found again.
        headers: dict[str, FieldValue] = {_OFFSET: Long(0)}
        if properties.headers:
            dead = isinstance(message, DeadMessage)
            for name, raw in header_entries(message.header).items():
                if name != _OFFSET:
                    self._keep(headers, name, _data(raw), dead=dead)
        changes: dict[str, Any] = {"headers": headers, "cluster_id": None}
        if self._containers:
            changes.update(_of_container(properties))
        properties = replace(properties, **changes)
        body_size = CONTENT_HEADER.unpack_from(message.header)[2]
        header = content_header(properties, body_size)
        place = CONTENT_HEADER.size + 2 + _BEFORE_OFFSET
        for text in (properties.content_type, properties.content_encoding):
            if text is not None:
                place += len(encode_short_string(text))
        self._header, self._place, self._value = header, place, value

    def _keep(self, headers: dict[str, FieldValue], name: str, data: bytes, *, dead: bool) -> None:
        """Keep a header, unless it is one of those that get lost."""
        kind = data[:1]
        if kind == _DECIMAL:
            raise _unstorable(f"the header '{name}' is a decimal")
        if kind in _NESTED and not (self._containers and (name.startswith("x-") or name == "CC")):
            return
        if kind == _UNSIGNED:
            data = b"l" + data[1:]
        if self._containers:
            if name.startswith(_OWN) or (name == "x-death" and not dead):
                return
            if kind == _BINARY:
                data = b"S" + data[1:]
        headers[name] = RawValue(data)

    def _filter_value(self, headers: Mapping[str, FieldValue] | None) -> str | None:
        if headers is None or _FILTER_VALUE not in headers:
            return None
        value = headers[_FILTER_VALUE]
        if not isinstance(value, str):
            raise _unstorable(f"the header '{_FILTER_VALUE}' is no string")
        # Without a value and with an empty one is the same.
        return value or None


def _data(raw: FieldValue) -> bytes:
    return raw.data if isinstance(raw, RawValue) else b"V"


def _of_container(properties: Properties) -> dict[str, Any]:
    """What a message container makes of some properties."""
    persistent = properties.delivery_mode == PERSISTENT
    changes: dict[str, Any] = {"delivery_mode": PERSISTENT if persistent else TRANSIENT}
    if properties.expiration is not None:
        # A number for certain: another text was refused when it was published.
        changes["expiration"] = str(int(properties.expiration))
    return changes


def _unstorable(problem: str) -> AmqpError:
    return AmqpError("INTERNAL_ERROR", f"a stream cannot keep the message: {problem}")
