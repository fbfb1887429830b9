"""The AMQP wire layer, for either side: frames, methods, properties and field tables."""

import contextlib
import struct
from collections.abc import Callable

from gestalt.amq.frames import FrameError, Inlet
from gestalt.amq.wire import Decoder as WireDecoder
from gestalt.amq.wire import (
    FieldError,
    WireError,
    decode_table,
    encode_table,
    method_frame,
    read_properties,
)
from gestalt.amq.wire.methods import BasicDeliver

_FRAME = struct.Struct(">BHI")
_CONTENT = struct.Struct(">HHQ")
_HEADER, _BASIC = 2, 60

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
    decoder = WireDecoder(expect_header=False)
    try:
        events = decoder.feed(data)
    except WireError as error:
        events = list(error.events)
    for channel, method, content in events:
        if content is not None:
            with contextlib.suppress(FieldError):
                read_properties(content.header)
        if isinstance(method, tuple):
            continue
        encoded = method_frame(channel, method)
        assert WireDecoder(expect_header=False).feed(encoded) == [(channel, method, None)] or (
            content is not None
        ), "what was encoded again differs"


class _Nobody:
    """Is told of what the client's half of the wire finds."""

    content = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: None


def _client(data: bytes) -> None:
    inlet = Inlet(_Nobody())
    inlet.sinks[1] = _Nobody()  # type: ignore[assignment]
    with contextlib.suppress(FrameError):
        inlet.feed(data)


def _table(data: bytes) -> None:
    with contextlib.suppress(FieldError):
        table, _ = decode_table(data)
        again, _ = decode_table(encode_table(table))
        assert repr(again) == repr(table), "what was encoded again differs"


def _properties(data: bytes) -> None:
    """As the header of a content, on its way into the broker and into the client."""
    start = _CONTENT.pack(_BASIC, 0, 0)
    header = _FRAME.pack(_HEADER, 1, len(start) + len(data)) + start + data + b"\xce"
    _server(method_frame(1, BasicDeliver("tag", 1, False, "", "key")) + header)
    _client(method_frame(1, BasicDeliver("tag", 1, False, "", "key")) + header)
