"""The wire layer: AMQP 0-9-1 to bytes and back, for either side of a connection.

It does no input or output, knows no asyncio, and nothing of what is built on it. The general form
is in `codec` and `decoder`: every method, with its content. What comes or goes with every message
has a faster form beside it that gives the same: `frames` to write, `demultiplexer` to read.

`codec`, `decoder` and `methods` are imported by their names: a client of these few frames is to
start without their sixty classes.
"""

from .delivery import Delivery, Got
from .demultiplexer import ConnectionSink, Demultiplexer, PartialContent, Sink
from .errors import (
    REPLY_CODES,
    AmqpError,
    FieldError,
    FieldTypeError,
    NestingError,
    WireError,
    shown,
)
from .frames import (
    FRAME_MIN_SIZE,
    HEARTBEAT_FRAME,
    PROTOCOL_HEADER,
    ack_frame,
    content_frames,
    content_parts,
    get_frame,
    nack_frame,
    publish_frame,
    update_secret_frame,
)
from .properties import (
    CONTENT_HEADER,
    PERSISTENT,
    TRANSIENT,
    Properties,
    content_header,
    decode_properties,
    encode_properties,
    read_properties,
    split_headers,
)
from .raw import TYPE_NAMES, RawValue, raw_name, split_array, split_table
from .strings import encode_short_string
from .tables import (
    MAX_DEPTH,
    Arguments,
    FieldValue,
    Long,
    decode_arguments,
    decode_table,
    decode_value,
    encode_table,
)
from .template import PropertiesTemplate

__all__ = [
    "CONTENT_HEADER",
    "FRAME_MIN_SIZE",
    "HEARTBEAT_FRAME",
    "MAX_DEPTH",
    "PERSISTENT",
    "PROTOCOL_HEADER",
    "REPLY_CODES",
    "TRANSIENT",
    "TYPE_NAMES",
    "AmqpError",
    "Arguments",
    "ConnectionSink",
    "Delivery",
    "Demultiplexer",
    "FieldError",
    "FieldTypeError",
    "FieldValue",
    "Got",
    "Long",
    "NestingError",
    "PartialContent",
    "Properties",
    "PropertiesTemplate",
    "RawValue",
    "Sink",
    "WireError",
    "ack_frame",
    "content_frames",
    "content_header",
    "content_parts",
    "decode_arguments",
    "decode_properties",
    "decode_table",
    "decode_value",
    "encode_properties",
    "encode_short_string",
    "encode_table",
    "get_frame",
    "nack_frame",
    "publish_frame",
    "raw_name",
    "read_properties",
    "shown",
    "split_array",
    "split_headers",
    "split_table",
    "update_secret_frame",
]
