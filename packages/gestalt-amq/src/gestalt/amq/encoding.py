"""Between a message and what AMQP carries of it: its body, encoded, and its properties."""

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from gestalt.amq.wire import Delivery, Properties, shown
from gestalt.codecs import Codec, Codecs, DecodeError, Encoded

from .errors import Unsendable, UnsendableType
from .headers import COMPRESSION_HEADER, TYPE_ID_HEADER
from .message import BusMessage

if TYPE_CHECKING:
    from uuid import UUID

# In milliseconds: RabbitMQ ends the channel of whoever sends a longer one.
MAX_EXPIRATION = 2**32 - 1

# What is named in the header of kombu, and of gestalt 20; those write the character set of the body
# in content_encoding. What kombu calls x-gzip is zlib's format.
_COMPRESSIONS = {
    "application/x-gzip": "deflate",
    "gzip": "deflate",
    "zlib": "deflate",
    "deflate": "deflate",
    "application/x-bz2": "bzip2",
    "bzip2": "bzip2",
    "bz2": "bzip2",
    "application/x-lzma": "xz",
    "lzma": "xz",
    "xz": "xz",
    "application/x-brotli": "br",
    "brotli": "br",
    "br": "br",
    "application/zstd": "zstd",
    "zstd": "zstd",
    "snappy": "snappy",
    "application/x-snappy": "snappy",
}
_CHARACTER_SETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "binary", "iso-8859-1"})
_GZIP_MAGIC = b"\x1f\x8b"


class MessageOptions(TypedDict, total=False):
    """What may go with a message, besides its body.

    Attributes:
        headers: application headers.
        expiration: how long it may wait in a queue, in seconds or as a timedelta.
        priority: for queues with priorities, 0 to 255.
        message_id: an identifier; Gestalt itself gives it no meaning.
        correlation_id: the message_id that this one answers.
        reply_to: where an answer is expected.
        timestamp: when it came to be; a number counts seconds since 1970.
        app_id: the application's name.
        user_id: checked by the broker to be the connection's user.
    """

    headers: Mapping[str, Any]
    expiration: float | datetime.timedelta
    priority: int
    message_id: "str | UUID"
    correlation_id: "str | UUID"
    reply_to: str
    timestamp: datetime.datetime | float
    app_id: str
    user_id: str


_OPTIONS = MessageOptions.__annotations__.keys()
_IDENTIFIERS = frozenset({"message_id", "correlation_id"})
_TEXTS = _IDENTIFIERS | {"reply_to", "app_id", "user_id"}


def make_properties(encoded: Encoded, delivery_mode: int, options: MessageOptions) -> Properties:
    """The properties of an encoded body, and what goes with it.

    Raises:
        UnsendableType: an option does not exist, or is of a wrong type.
        Unsendable: an option is out of its range.
    """
    values: dict[str, Any] = dict(options)
    if unknown := values.keys() - _OPTIONS:
        raise UnsendableType(
            f"a message has no option {min(unknown)!r}; there are {', '.join(sorted(_OPTIONS))}"
        )
    for name in _TEXTS & values.keys():
        value = values[name]
        if value is None or isinstance(value, str):
            continue
        from uuid import UUID  # slow to import, and few give one

        if isinstance(value, UUID) and name in _IDENTIFIERS:
            values[name] = str(value)
        else:
            wanted = "a str or a uuid.UUID" if name in _IDENTIFIERS else "a str"
            raise UnsendableType(f"{name} is {wanted}, got {shown(value)}")
    if (headers := values.get("headers")) is not None:
        checked_headers(headers)
    if (expiration := values.pop("expiration", None)) is not None:
        values["expiration"] = str(_milliseconds(expiration))
    if (timestamp := values.pop("timestamp", None)) is not None:
        values["timestamp"] = _seconds(timestamp)
    if (priority := values.get("priority")) is not None:
        if not isinstance(priority, int) or isinstance(priority, bool):
            raise UnsendableType(f"priority is a number from 0 to 255, got {shown(priority)}")
        if not 0 <= priority <= 255:
            raise Unsendable(f"priority is 0 to 255, got {shown(priority)}")
    return Properties(
        content_type=encoded.content_type,
        content_encoding=encoded.content_encoding,
        type=encoded.type_name,
        delivery_mode=delivery_mode,
        **values,
    )


def checked_headers(headers: object) -> Mapping[str, Any]:
    """Headers that are given.

    Raises:
        UnsendableType: they are no mapping.
    """
    if not isinstance(headers, Mapping):
        raise UnsendableType(f"headers are a mapping of names to values, got {shown(headers)}")
    return headers


def _milliseconds(expiration: object) -> int:
    if isinstance(expiration, datetime.timedelta):
        expiration = expiration.total_seconds()
    if not isinstance(expiration, int | float) or isinstance(expiration, bool):
        raise UnsendableType(
            f"expiration is a number of seconds, or a datetime.timedelta, got {shown(expiration)}"
        )
    if not 0 <= expiration <= MAX_EXPIRATION / 1000:
        raise Unsendable(
            f"expiration is 0 to {MAX_EXPIRATION / 1000} seconds, and not negative, "
            f"got {shown(expiration)}"
        )
    return round(expiration * 1000)


def _seconds(timestamp: object) -> int:
    if isinstance(timestamp, datetime.datetime):
        try:
            timestamp = timestamp.timestamp()
        except (OverflowError, OSError, ValueError) as error:
            raise Unsendable(f"timestamp cannot be sent: {error}") from error
    if not isinstance(timestamp, int | float) or isinstance(timestamp, bool):
        raise UnsendableType(
            f"timestamp is a datetime.datetime, or seconds since 1970, got {shown(timestamp)}"
        )
    if not 0 <= timestamp < 2**63:
        raise Unsendable(
            f"timestamp is 0 to {2**63 - 1} seconds since 1970, got {shown(timestamp)}"
        )
    return int(timestamp)


def codecs_of(codec: Codec | Codecs) -> tuple[Codec, ...]:
    """Each format that is read, the one that is written first."""
    return (codec,) if isinstance(codec, Codec) else tuple(codec)


def decode(codec: Codec | Codecs, delivery: Delivery) -> BusMessage[Any]:
    """Decode a delivery; errors as those of `decode_body`."""
    return BusMessage(*decode_body(codec, delivery), delivery)


def decode_body(codec: Codec | Codecs, delivery: Delivery) -> tuple[Any, int | None]:
    """Decode the body of a delivery, and find its type id.

    Raises:
        CodecError: it cannot be decoded, or is not allowed to be.
    """
    if delivery.unreadable is not None:
        raise DecodeError(f"the headers cannot be read: {delivery.unreadable}")
    properties = delivery.properties
    headers = properties.headers
    content_encoding = properties.content_encoding
    type_id: int | None = None
    if content_encoding is not None and content_encoding.lower() in _CHARACTER_SETS:
        content_encoding = None
    if headers:
        compression = headers.get(COMPRESSION_HEADER)
        if content_encoding is None and isinstance(compression, str):
            content_encoding = _COMPRESSIONS.get(compression.lower(), compression)
            if content_encoding == "deflate" and delivery.body.startswith(_GZIP_MAGIC):
                content_encoding = "gzip"
        type_id = headers.get(TYPE_ID_HEADER)
        if not isinstance(type_id, int):
            type_id = None
    body = codec.decode(
        delivery.body,
        type_id=type_id,
        type_name=properties.type,
        content_type=properties.content_type,
        content_encoding=content_encoding,
    )
    if type_id is None and codec.types is not None and properties.type is not None:
        type_id = codec.types.by_name(properties.type).id
    return body, type_id
