"""The AMQP wire layer, for either side: frames, methods, properties and field tables."""

import contextlib
from collections.abc import Callable
from typing import Any

from gestalt.amq.wire import (
    CONTENT_HEADER,
    Delivery,
    Demultiplexer,
    FieldError,
    PartialContent,
    RawValue,
    WireError,
    decode_arguments,
    decode_properties,
    decode_table,
    encode_properties,
    encode_table,
    read_properties,
    split_array,
    split_headers,
    split_table,
)
from gestalt.amq.wire.codec import method_frame
from gestalt.amq.wire.decoder import Decoder, Heartbeat, ProtocolHeader
from gestalt.amq.wire.frames import HEADER, frame
from gestalt.amq.wire.methods import BasicDeliver
from gestalt.amq.wire.properties import BASIC_CLASS

NAMES = ["amqp-server", "amqp-client", "amqp-table", "amqp-properties"]


def target(name: str) -> Callable[[bytes], None]:
    """Reads bytes of a peer as the broker, or as the client, does."""
    return {
        "amqp-server": _server,
        "amqp-client": _client,
        "amqp-table": _table,
        "amqp-properties": _properties,
    }[name]


def _server(data: bytes) -> None:
    decoder = Decoder(expect_header=False)
    try:
        events = decoder.feed(data)
    except WireError as error:
        events = list(error.events)
    for channel, method, content in events:
        if isinstance(method, Heartbeat | ProtocolHeader):
            continue
        if content is not None:
            with contextlib.suppress(FieldError):
                read_properties(content.header)
            continue
        # A number that is not finite is read, and not written.
        with contextlib.suppress(FieldError):
            again = Decoder(expect_header=False).feed(method_frame(channel, method))
            assert again == [(channel, method, None)], "what was encoded again differs"


class _Channel:
    """Keeps the deliveries that the client's side of the wire finds."""

    def __init__(self) -> None:
        self.content: PartialContent | None = None
        self.deliveries: list[Delivery] = []

    def on_delivery(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments, **more: None


def _client(data: bytes) -> None:
    whole, halves = (
        _deliveries([data]),
        _deliveries([data[: len(data) // 2], data[len(data) // 2 :]]),
    )
    assert whole == halves, "what is found depends on the pieces"


def _deliveries(pieces: list[bytes]) -> list[Any]:
    channel = _Channel()
    demultiplexer = Demultiplexer(channel)
    demultiplexer.sinks[1] = channel
    with contextlib.suppress(WireError):
        for piece in pieces:
            demultiplexer.feed(piece)
    return [
        (each.tag, each.redelivered, each.exchange, each.routing_key, each.body, each.unreadable)
        for each in channel.deliveries
    ]


def _table(data: bytes) -> None:
    with contextlib.suppress(FieldError):
        entries = split_table(data)
        assert split_table(encode_table(entries)) == entries, "what was split differs"
        for entry in entries.values():
            with contextlib.suppress(FieldError):
                for each in split_array(entry):
                    assert isinstance(each, RawValue)
    with contextlib.suppress(FieldError):
        table, stop = decode_table(data)
        assert split_table(data).keys() == table.keys(), "what was split has other names"
        assert repr(decode_arguments(data)) == repr((table, stop)), "arguments differ"
        again, _ = decode_table(encode_table(table))
        assert repr(again) == repr(table), "what was encoded again differs"


def _properties(data: bytes) -> None:
    """As the header of a content, on its way into the broker and into the client."""
    start = CONTENT_HEADER.pack(BASIC_CLASS, 0, 0)
    message = method_frame(1, BasicDeliver("tag", 1, False, "", "key"))
    message += frame(HEADER, 1, start + data)
    _server(message)
    _client(message)
    with contextlib.suppress(FieldError):
        properties, unreadable = decode_properties(data)
        if unreadable is None:
            assert split_headers(data).keys() == (properties.headers or {}).keys()
            again = decode_properties(encode_properties(properties))
            assert repr(again) == repr((properties, None)), "what was encoded again differs"
