"""The wire layer: AMQP 0-9-1 frames and methods to bytes and back, for either side of a connection.

It does no input or output, and knows no asyncio.
"""

from .codec import decode_method, deliver_prefix, encode_deliver, encode_method, method_numbers
from .errors import REPLY_CODES, AmqpError, FieldError, WireError
from .fields import (
    TYPE_NAMES,
    FieldValue,
    Long,
    Table,
    decode_table,
    encode_short_string,
    encode_table,
    encode_value,
    join_table,
    split_table,
)
from .frames import (
    FRAME_MIN_SIZE,
    HEARTBEAT_FRAME,
    PROTOCOL_HEADER,
    Content,
    Decoder,
    Event,
    Heartbeat,
    ProtocolHeader,
    content_frames,
    method_frame,
)
from .properties import Properties, content_header, headers_offset, read_properties

__all__ = [
    "FRAME_MIN_SIZE",
    "HEARTBEAT_FRAME",
    "PROTOCOL_HEADER",
    "REPLY_CODES",
    "TYPE_NAMES",
    "AmqpError",
    "Content",
    "Decoder",
    "Event",
    "FieldError",
    "FieldValue",
    "Heartbeat",
    "Long",
    "Properties",
    "ProtocolHeader",
    "Table",
    "WireError",
    "content_frames",
    "content_header",
    "decode_method",
    "decode_table",
    "deliver_prefix",
    "encode_deliver",
    "encode_method",
    "encode_short_string",
    "encode_table",
    "encode_value",
    "headers_offset",
    "join_table",
    "method_frame",
    "method_numbers",
    "read_properties",
    "split_table",
]
